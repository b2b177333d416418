"""What an operator may change: `base` declares it, `load` finds a class and fills it.

Development and production are two classes; one of your own is a third (see docs/settings.md).
"""

from settings.loading import (
    DEFAULT_SETTINGS,
    SettingsError,
    import_settings,
    load,
    unknown_variables,
)

__all__ = ["DEFAULT_SETTINGS", "SettingsError", "import_settings", "load", "unknown_variables"]

"""What all classes of settings have in common: where values come from, and that they are fixed."""

from __future__ import annotations

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from settings.declare import SettingsMeta


class Root(BaseSettings, metaclass=SettingsMeta):
    """Takes values from its caller alone, checks defaults too, and shows no value in its errors."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller only; `settings.load` gives it environment and flags.

        A class of your own may add a source behind it, such as a TOML file of pydantic-settings.
        """
        return (init_settings,)

"""From a name, the environment and flags to checked settings, or to lines that say what is wrong.

Flags win over the environment, and the environment over the defaults of the class.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from settings import base
from settings.declare import PREFIX, Option, options, suggestion
from settings.kinds import RefusedError, shown

DEFAULT_SETTINGS = "settings.development"
CHOICE = PREFIX + "SETTINGS"
"""The environment variable that names the settings class."""

CLASS_NAME = "Settings"
_NAME = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?::(?P<cls>[^\W\d]\w*))?")
_NAMED_BY = f"--settings or {CHOICE} names it"

# What Kubernetes (enableServiceLinks) and old Docker links put into the environment for a
# Service or container named aprp.
_LINKED = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)
_LINK_VARIABLE = re.compile(
    PREFIX + r"(SERVICE_(HOST|PORT)(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)"
)
_LINK_CAUSE = "Kubernetes sets it for a Service named aprp"
_LINK_CURE = "set enableServiceLinks: false in the pod"


class SettingsError(Exception):
    """Settings that cannot be used; `lines` has one line for each thing that is wrong."""

    def __init__(self, *lines: str) -> None:
        """Keep the lines, each of them without a line break."""
        super().__init__("\n".join(lines))
        self.lines: tuple[str, ...] = lines


def load(
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> base.Settings:
    """Return the settings of a class, changed by the environment and, above it, by `overrides`.

    `name` is `module` or `module:Class`; without it, APRP_SETTINGS says, or else
    `settings.development` is taken. `environ` is the process's environment by default.
    `overrides` has text by name of the setting, as the command line gives it.

    Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    overrides = overrides or {}
    name = name or environ.get(CHOICE) or DEFAULT_SETTINGS
    settings_class = import_settings(name)
    known = {option.name: option for option in options(settings_class)}
    wrong = [f"{key}: no such setting{suggestion(key, known)}" for key in overrides.keys() - known]
    if wrong:
        raise SettingsError(*sorted(wrong))

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in known.values():
        given = _given(option, environ, overrides)
        if given is not None:
            text, sources[option.name] = given
            values[option.name] = option.kind.decode(text)
    try:
        return settings_class(**values)
    except ValidationError as error:
        lines: dict[str, str] = {}
        for detail in error.errors(include_url=False):
            setting = str(detail["loc"][0]) if detail["loc"] else ""
            # One line for a setting, even if several of its entries are wrong.
            source = sources.get(setting, name)
            lines.setdefault(setting, _line(setting, detail, source, known.get(setting)))
        raise SettingsError(*lines.values()) from None


def import_settings(name: str) -> type[base.Settings]:
    """Return the settings class of a name: `module`, `module:Class` or `module.Class`.

    Without a class it is the module's `Settings`. Modules in the working directory are found too.

    Raises SettingsError.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise SettingsError(
            f"settings {shown(name)}: not a module such as settings.production or my.module:Class"
        )
    # At the end: a file of the working directory must not stand in for a library's module.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    module_name, class_name = match["module"], match["cls"]
    module = _import(name, module_name)
    parent, _, last = module_name.rpartition(".")
    if module is None and parent and class_name is None:
        module, class_name = _import(name, parent), last
        if not hasattr(module, last):
            module = None
    if module is None:
        raise SettingsError(f"settings {shown(name)}: no such module ({_NAMED_BY})")
    return _class_of(name, module, class_name)


def unknown_variables(
    settings_class: type[base.Settings], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Return a warning for each APRP_ variable of an environment that no setting reads."""
    known = {CHOICE}.union(*(option.variables for option in options(settings_class)))
    unknown = sorted(key for key in environ if key.startswith(PREFIX) and key not in known)
    linked = [key for key in unknown if _LINK_VARIABLE.fullmatch(key)]
    lines = [
        f"{key}: no such setting{suggestion(key.upper(), known)}"
        for key in unknown
        if key not in linked
    ]
    if linked:
        lines.append(f"{linked[0]}: no setting, but {_LINK_CAUSE}; {_LINK_CURE}")
    return tuple(lines)


def _given(
    option: Option, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the text that is given for a setting, and the flag or variable it comes from."""
    if option.name in overrides:
        return overrides[option.name], option.flag
    for variable in option.variables:
        if variable in environ:
            return environ[variable], variable
    return None


def _line(setting: str, detail: ErrorDetails, source: str, option: Option | None) -> str:
    """Say in one line what is wrong with a setting and where its value comes from."""
    value = detail["input"]
    tell = shown if option is None else option.kind.told
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, RefusedError):
        text = str(cause)
    elif detail["type"] == "missing":
        text = "not set"
    else:
        reason = str(cause) if cause is not None else detail["msg"]
        text = " ".join(reason.split())
        text = f"{tell(value)} is not allowed: {text}" if setting else text
    if source.startswith(PREFIX) and isinstance(value, str) and _LINKED.match(value):
        source += f"; {_LINK_CAUSE}; {_LINK_CURE}"
    return f"{setting}: {text} (from {source})" if setting else f"settings: {text}"


def _import(name: str, module_name: str) -> ModuleType | None:
    """Import a module; None if there is none of that name."""
    try:
        return importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            missing = f"{module_name}.".startswith(f"{error.name}.")
            if missing:
                return None
        raise SettingsError(f"settings {shown(name)}: {_failure(error)}") from None


def _failure(error: Exception) -> str:
    """Return in one line what failed in a module, with its file and line."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.name == "<module>"]
    place = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    return f"{type(error).__name__}: {text}{place}"


def _class_of(name: str, module: ModuleType, class_name: str | None) -> type[base.Settings]:
    found = getattr(module, class_name or CLASS_NAME, None)
    own = [
        each
        for each, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base.Settings)
        and value.__module__ == module.__name__
    ]
    # `from settings.base import Settings` above a class of another name: the import is not meant.
    imported = class_name is None and own and CLASS_NAME not in own
    if found is None or imported:
        hint = f"; name the class: {module.__name__}:{own[0]}" if own else ""
        raise SettingsError(f"settings {shown(name)}: no class {class_name or CLASS_NAME}{hint}")
    if not (inspect.isclass(found) and issubclass(found, base.Settings)):
        raise SettingsError(
            f"settings {shown(name)}: not a class that derives from settings.base.Settings"
        )
    return found

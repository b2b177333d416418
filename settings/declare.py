"""How settings are declared, and a view of the declarations for everything made from them.

One declaration, an annotated field with `option(...)`, says type, bounds, default, unit, help and
group. `options` reads the declarations of a class back: the environment, the flags, `--help` and
the reference page are made from what it returns.
"""

from __future__ import annotations

import copy
import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from settings.kinds import Kind, RefusedError, Switch, shown

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseSettings)

PREFIX = "APRP_"
"""What an environment variable has before the name of its setting."""

OWN_GROUP = "Own settings"
"""The group of settings that a user's class adds without `option`."""


def option(
    default: Any,
    help: str,
    *,
    group: str = OWN_GROUP,
    also: Sequence[str] = (),
    secret: bool = False,
) -> Any:
    """Declare a setting: its default, one line of help, its group.

    `also` names environment variables that are accepted besides APRP_<name>, which wins. A
    `secret` is left out where settings are shown; its kind hides it everywhere else.
    """
    return Field(
        default=default,
        description=help,
        repr=not secret,
        json_schema_extra={"group": group, "also": list(also)},
    )


class SettingsMeta(ModelMetaclass):
    """Let a class give an inherited setting a new default alone: `PORT = 9000`.

    pydantic wants the annotation repeated, and would then forget bounds and help. Here whatever
    the base declared stays, and only the default changes. A new setting needs its annotation.
    """

    def __new__(
        mcs, name: str, bases: tuple[type[Any], ...], namespace: dict[str, Any], **kwargs: Any
    ) -> type:
        """Build the class, then move its new defaults into copies of the base's fields."""
        inherited: dict[str, FieldInfo] = {}
        for base in reversed(bases):
            inherited.update(getattr(base, "model_fields", {}))
        defaults = {
            key: namespace.pop(key)
            for key in inherited.keys() & namespace.keys()
            if not isinstance(namespace[key], FieldInfo)
        }
        try:
            cls: type[BaseSettings] = super().__new__(mcs, name, bases, namespace, **kwargs)
        except PydanticUserError as error:
            raise TypeError(_explain(error, namespace, inherited)) from None
        for key, value in defaults.items():
            field = copy.copy(inherited[key])
            field.default, field.default_factory = value, None
            cls.model_fields[key] = field
        if defaults:
            cls.model_rebuild(force=True)
        return cls


@dataclass(frozen=True, slots=True)
class Plain(Kind):
    """A setting of a user's own class that is declared with a type of Python alone.

    pydantic checks it. Text is split at commas for a list, and handed over as it is otherwise.
    """

    annotation: Any

    @property
    def allowed(self) -> str:
        """See Kind."""
        plain = isinstance(self.annotation, type) and not typing.get_args(self.annotation)
        return self.annotation.__name__ if plain else str(self.annotation).replace("typing.", "")

    def read(self, value: object) -> Any:
        """Return the value as it is: pydantic checks it by the annotation."""
        return value

    def decode(self, text: str) -> Any:
        """Return the parts between commas where the annotation is that of a list."""
        kept = typing.get_origin(self.annotation) or self.annotation
        if isinstance(kept, type) and issubclass(kept, (list, tuple, set, frozenset, Sequence)):
            return text if kept is str else [part.strip() for part in text.split(",") if part]
        return text

    def show(self, value: Any) -> str:
        """Return the value as text, a list with commas."""
        return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


@dataclass(frozen=True, slots=True)
class Option:
    """One declared setting, as a class has it."""

    name: str
    kind: Kind
    default: Any
    help: str
    group: str
    also: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The command-line flag: `--log-max-bytes`."""
        return "--" + self.name.lower().replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        """The flag, and for a switch the one that puts it off."""
        off = (f"--no-{self.flag[2:]}",) if isinstance(self.kind, Switch) else ()
        return (self.flag, *off)

    @property
    def variable(self) -> str:
        """The environment variable: `APRP_LOG_MAX_BYTES`."""
        return PREFIX + self.name

    @property
    def variables(self) -> tuple[str, ...]:
        """All environment variables that set it; the first that is there wins."""
        return (self.variable, *self.also)

    @property
    def shown_default(self) -> str:
        """The default with its unit, as an operator would write it; "empty" if there is none."""
        if self.default is PydanticUndefined:
            return "none, it must be given"
        try:
            value = self.kind.parse(self.default)
        except RefusedError:
            # A default that must be replaced, such as no origin at all in production.
            value = self.default
        if value is None or value == "" or value == () or value == []:
            return "empty"
        return self.kind.show(value)


def options(settings_class: type[BaseSettings]) -> tuple[Option, ...]:
    """Return the declared settings of a class, in their order."""
    return tuple(_option(name, field) for name, field in settings_class.model_fields.items())


def groups(found: Iterable[Option]) -> dict[str, list[Option]]:
    """Return the settings by group, both in the order of declaration."""
    sorted_in: dict[str, list[Option]] = {}
    for each in found:
        sorted_in.setdefault(each.group, []).append(each)
    return sorted_in


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


def _option(name: str, field: FieldInfo) -> Option:
    extra = field.json_schema_extra
    declared: dict[str, Any] = extra if isinstance(extra, dict) else {}
    plain: Kind = Switch() if field.annotation is bool else Plain(field.annotation)
    return Option(
        name=name,
        kind=next((each for each in field.metadata if isinstance(each, Kind)), plain),
        default=field.get_default(call_default_factory=True),
        help=field.description or "",
        group=declared.get("group", OWN_GROUP),
        also=tuple(declared.get("also", ())),
    )


def _explain(error: PydanticUserError, names: Iterable[str], known: Mapping[str, Any]) -> str:
    """Name the setting that a class misspells or leaves without its type, in one line."""
    values = names if isinstance(names, Mapping) else {}
    annotated = values.get("__annotations__", {})
    for name, value in values.items():
        if name.isupper() and name not in known and name not in annotated:
            hint = suggestion(name, known)
            # It may be a secret under a misspelt name.
            told = shown(value) if isinstance(value, (int, float)) else "..."
            return f"{name} = {told}: no such setting{hint} (a new one needs its type)"
    return str(error).splitlines()[0]

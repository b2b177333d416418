"""Whether spans are made: the setting OTEL, and what the OTEL_* variables say against it."""

import importlib
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aprp.tracing.spans import Tracing

_log = logging.getLogger("aprp")

_PROTOCOL: Final = "http/protobuf"
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_DISABLED: Final = "OTEL_SDK_DISABLED"

_NEEDED: Final = ("opentelemetry.sdk.trace.export", "opentelemetry.exporter.otlp.proto.http")


class TracingSetupError(Exception):
    """No spans can be sent; the text is one sentence for the operator."""


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Say whether the standard variables leave spans switched on.

    Raises TracingSetupError where they ask for an exporter or a protocol that is not there.
    """
    if environ.get(_DISABLED, "").strip().lower() == "true":
        return False
    exporters = {word.strip().lower() for word in environ.get(_EXPORTER, "").split(",")} - {""}
    if exporters == {"none"}:
        return False
    if exporters - {"otlp"}:
        raise TracingSetupError(
            f"{_EXPORTER}={environ[_EXPORTER]} is not supported: leave it out, or set it to otlp"
        )
    for name in _PROTOCOLS:
        if (protocol := environ.get(name, "").strip()) and protocol != _PROTOCOL:
            raise TracingSetupError(
                f"{name}={protocol} is not supported: set it to {_PROTOCOL}, which collectors "
                "take on port 4318"
            )
    return True


def check(environ: Mapping[str, str] = os.environ) -> None:
    """Look before the start, and before workers are forked, whether spans can be made.

    Raises TracingSetupError. What is imported here, workers need not import.
    """
    if not is_wanted(environ):
        return
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise TracingSetupError(
                f"the packages of OpenTelemetry are missing ({error}): "
                "pip install 'aprp[otel]', or switch it off with --no-otel"
            ) from None


def begin(worker: int, environ: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Begin to make spans in this process; called after the fork, since it starts a thread.

    None where OTEL_* variables switch them off or have values that are no good: that is logged,
    and requests are served all the same.
    """
    try:
        if not is_wanted(environ):
            return None
        from aprp.tracing.export import make_tracing

        return make_tracing(worker)
    except (TracingSetupError, ImportError, ValueError, RuntimeError, OSError) as error:
        _log.error("OpenTelemetry: no spans are made: %s", error)
        return None

"""When spans are made, and what is said where they cannot be."""

import sys

import pytest

from aprp.tracing.setup import TracingSetupError, begin, check, is_wanted


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, True),
        ({"OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SDK_DISABLED": " TRUE "}, False),
        ({"OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_SDK_DISABLED": "1"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": ""}, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": ""}, True),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
    ],
)
def test_the_standard_variables_switch_off(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
    ],
)
def test_what_is_not_there_is_named(name: str, value: str) -> None:
    with pytest.raises(TracingSetupError, match=f"{name}={value} is not supported: .*set it to"):
        check({name: value})


def test_a_missing_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(TracingSetupError, match=r"missing .*pip install 'aprp\[otel\]'.*--no-otel"):
        check({})
    # Where they are not wanted, nothing is missed.
    check({"OTEL_SDK_DISABLED": "true"})


def test_with_the_packages_all_is_well() -> None:
    check({})


def test_switched_off_there_is_no_tracing() -> None:
    assert begin(0, {"OTEL_SDK_DISABLED": "true"}) is None


def test_values_that_are_no_good_stop_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20")
    assert begin(0, {}) is None
    assert caplog.messages[-1].startswith("OpenTelemetry: no spans are made: ")
    assert "max_export_batch_size" in caplog.text

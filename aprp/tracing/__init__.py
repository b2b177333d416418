"""Spans for OpenTelemetry: of requests, of fills, of what origins are asked (docs/tracing.md).

The packages are an optional extra, and only what `setup.begin` imports needs them. Where no spans
are made, `Application.tracing` is None, and that is all that is looked at on the way of a request.
"""

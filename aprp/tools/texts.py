"""Figures as people read them."""

from typing import Final

_SPANS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def span_text(seconds: float) -> str:
    """Give a length of time in its largest unit, cut off below: `3d`, `5h`, `59m`, `12s`."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(int(seconds), 0)}s"


def percent_text(part: int, whole: int) -> str:
    """Give a share in percent; only what is whole is 100 %, and only nothing is 0 %."""
    if part >= whole:
        return "100%"
    shown = min(max(part / whole * 100, 0.1), 99.9) if part > 0 else 0.0
    return f"{shown:.1f}%"


def count_text(count: int, noun: str) -> str:
    """Give `1 object`, `2 objects`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

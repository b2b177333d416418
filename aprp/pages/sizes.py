"""Numbers of bytes as people read them; `assets/sizes.js` writes them the same way in browsers."""

from typing import Final

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(count: float) -> str:
    """Write a number of bytes in powers of 1024, with three figures: `1.43 MiB`, `572 KiB`."""
    unit = "B"
    for larger in _UNITS:
        # What would be rounded to 1024 belongs to the next unit.
        if count < 1023.5:
            break
        count /= 1024
        unit = larger
    # Of a byte there are no parts.
    decimals = 2 if count < 9.995 else 1 if count < 99.95 else 0
    number = f"{count:.{decimals if unit != 'B' else 0}f}"
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"

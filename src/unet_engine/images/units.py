"""Units of length and time, as image files and programs spell them."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_PREFIXES = {
    "yotta": ("Y", 24), "zetta": ("Z", 21), "exa": ("E", 18), "peta": ("P", 15),
    "tera": ("T", 12), "giga": ("G", 9), "mega": ("M", 6), "kilo": ("k", 3),
    "hecto": ("h", 2), "deca": ("da", 1), "": ("", 0), "deci": ("d", -1),
    "centi": ("c", -2), "milli": ("m", -3), "micro": ("u", -6), "nano": ("n", -9),
    "pico": ("p", -12), "femto": ("f", -15), "atto": ("a", -18),
    "zepto": ("z", -21), "yocto": ("y", -24),
}  # fmt: skip
"""Symbol and power of ten of the SI prefixes."""

_METRE = Decimal(10) ** 6
"""In micrometres."""

_INCH = Decimal(25400)
"""In micrometres."""

_LENGTH_SYMBOLS = {
    **{f"{s}m": _METRE.scaleb(p) for s, p in _PREFIXES.values()},
    "\u00c5": Decimal("1e-4"),
    "in": _INCH,
    '"': _INCH,
    "thou": _INCH / 1000,
    "ft": _INCH * 12,
    "yd": _INCH * 36,
}
"""In micrometres. Upper and lower case differ: Mm is a million metres."""

_LENGTH_NAMES = {
    **{
        f"{prefix}{word}{plural}": _METRE.scaleb(power)
        for prefix, (_, power) in _PREFIXES.items()
        for word in ("meter", "metre")
        for plural in ("", "s")
    },
    **dict.fromkeys(("micron", "microns", "um", "ums"), Decimal(1)),
    **dict.fromkeys(("nm", "nanometer"), Decimal("1e-3")),
    **dict.fromkeys(
        ("angstrom", "angstroms", "\u00e5ngstr\u00f6m", "\u00e5ngstr\u00f6ms"),
        Decimal("1e-4"),
    ),
    **dict.fromkeys(("inch", "inches"), _INCH),
    **dict.fromkeys(("foot", "feet"), _INCH * 12),
    **dict.fromkeys(("yard", "yards"), _INCH * 36),
}
"""In micrometres, in any case."""

_TIME_SYMBOLS = {
    **{f"{s}s": Decimal(1).scaleb(p) for s, p in _PREFIXES.values()},
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
"""In seconds. Upper and lower case differ."""

_TIME_NAMES = {
    **{
        f"{prefix}second{plural}": Decimal(1).scaleb(power)
        for prefix, (_, power) in _PREFIXES.items()
        for plural in ("", "s")
    },
    **dict.fromkeys(("sec", "secs"), Decimal(1)),
    **dict.fromkeys(("msec", "msecs"), Decimal("1e-3")),
    **dict.fromkeys(("mins", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), Decimal(3600)),
    **dict.fromkeys(("day", "days"), Decimal(86400)),
}
"""In seconds, in any case."""

_NO_UNITS = {
    "", "pixel", "pixels", "px", "voxel", "voxels", "none", "null", "dimensionless",
    "reference frame", "arbitrary", "a.u.", "frame", "frames",
}  # fmt: skip

# A micro sign in UTF-8 that a program took for Latin-1.
_MISREAD = {
    "\u00c2\u00b5": "\u00b5",
    "\u00ce\u00bc": "\u00b5",
    "\u00c3\u2026": "\u00c5",
}


def is_no_unit(text: str) -> bool:
    """Whether a text stands for sizes without a unit, as ``pixel`` does."""
    return _plain(text).casefold() in _NO_UNITS


def micrometres(text: str) -> Decimal | None:
    """Return a unit of length in micrometres; None when it is not known.

    Parameters
    ----------
    text
        A symbol or a name in any spelling: ``um``, ``µm``, ``micron``, ``Angstrom``.
    """
    return _find(text, _LENGTH_SYMBOLS, _LENGTH_NAMES)


def seconds(text: str) -> Decimal | None:
    """Return a unit of time in seconds; None when it is not known."""
    return _find(text, _TIME_SYMBOLS, _TIME_NAMES)


def _find(
    text: str, symbols: dict[str, Decimal], names: dict[str, Decimal]
) -> Decimal | None:
    plain = _plain(text)
    return symbols.get(plain) or names.get(plain.casefold())


def _plain(text: str) -> str:
    """Return a unit without escapes, in one form of its letters, with u for micro."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
    for misread, meant in _MISREAD.items():
        text = text.replace(misread, meant)
    # Both code points of micro and of the angstrom become one.
    text = unicodedata.normalize("NFKC", text.strip().strip("\0"))
    return " ".join(text.replace("\u03bc", "u").split())

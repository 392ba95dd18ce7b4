"""Zip files as somebody forges them: none of them may be taken for a package."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_CENTRAL = b"PK\x01\x02"
"""Begins the entry of a file in the directory of an archive."""

_FLAGS, _METHOD, _PACKED, _UNPACKED = 8, 10, 20, 24
"""Where in such an entry these stand, in bytes."""

_NAME_LENGTH = 26
"""Where in the header of a file the length of its name stands."""

_METHODS = (1, 6, 9, 12, 14, 93, 97, 98, 99)
"""Of packing that are known to others, or damaged here."""

_BOMB_BYTES = 2**27
"""Of zeros, which are packed a thousand times smaller."""


def repacked(content: bytes, changed: dict[str, bytes]) -> bytes:
    """Return an archive in which some files are others."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files |= changed
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def names_in(content: bytes) -> list[str]:
    """Return the names of the files of an archive."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return archive.namelist()


def _with_entry(
    content: bytes, name: str, data: bytes, attributes: int = 0, packing: int = 0
) -> bytes:
    made = BytesIO(content)
    with warnings.catch_warnings(), zipfile.ZipFile(made, "a") as archive:
        # That a name is there twice.
        warnings.simplefilter("ignore")
        entry = zipfile.ZipInfo(name)
        entry.external_attr = attributes
        entry.compress_type = packing
        archive.writestr(entry, data)
    return made.getvalue()


def climbing(content: bytes, chance: random.Random) -> bytes:
    """Return one with a file whose path leads out of it."""
    up = chance.choice(("../", "..\\", "a/../../", "./../", "a\\..\\..\\"))
    start = up * chance.randint(1, 6)
    if chance.random() < 0.4:
        start = chance.choice(("/tmp/", "C:\\", "\\\\host\\x\\"))
    name = f"{start}{'long' * chance.choice((0, 0, 9999))}fuzz_climbed.txt"
    return _with_entry(content, name, b"out")


def linked(content: bytes, chance: random.Random) -> bytes:
    """Return one with a link in place of a file."""
    target = chance.choice((b"/etc/passwd", b"../../x", b"rdf.yaml"))
    mode = (stat.S_IFLNK | 0o777) << 16
    return _with_entry(content, f"link{chance.randrange(9)}", target, mode)


def doubled(content: bytes, chance: random.Random) -> bytes:
    """Return one with two files of a name."""
    return _with_entry(content, chance.choice(names_in(content)), b"another")


def bombed(content: bytes, chance: random.Random) -> bytes:
    """Return one with a file that fills the memory, listed or not."""
    name = chance.choice((*names_in(content), "more.bin"))
    with zipfile.ZipFile(BytesIO(content)) as archive:
        files = {n: archive.read(n) for n in archive.namelist() if n != name}
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for other, data in files.items():
            archive.writestr(other, data)
    return _with_entry(
        made.getvalue(), name, bytes(_BOMB_BYTES), packing=zipfile.ZIP_DEFLATED
    )


def _entry(content: bytes, chance: random.Random) -> int:
    places, start = [], content.find(_CENTRAL)
    while start >= 0:
        places.append(start)
        start = content.find(_CENTRAL, start + 1)
    return chance.choice(places)


def misstated(content: bytes, chance: random.Random) -> bytes:
    """Return one whose directory states another size of a file, up to 4 GB."""
    return _with_size(content, _UNPACKED, chance)


def misstated_packed(content: bytes, chance: random.Random) -> bytes:
    """Return one that states another packed size, which does no harm where it ends."""
    return _with_size(content, _PACKED, chance)


def _with_size(content: bytes, field: int, chance: random.Random) -> bytes:
    changed = bytearray(content)
    place = _entry(content, chance) + field
    (stated,) = struct.unpack_from("<I", changed, place)
    sizes = [size for size in (0, 1, 2**27, 2**31, 2**32 - 2) if size != stated]
    struct.pack_into("<I", changed, place, chance.choice(sizes))
    return bytes(changed)


def renamed_in_header(content: bytes, chance: random.Random) -> bytes:
    """Return one with a header that states a name of another length."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        start = chance.choice(archive.infolist()).header_offset
    changed = bytearray(content)
    length = chance.choice((1, 500, 5000, 65535))
    struct.pack_into("<H", changed, start + _NAME_LENGTH, length)
    return bytes(changed)


def packed_otherwise(content: bytes, chance: random.Random) -> bytes:
    """Return one whose directory states that a file is encrypted, or packed anyhow."""
    changed, start = bytearray(content), _entry(content, chance)
    if chance.random() < 0.3:
        struct.pack_into("<H", changed, start + _FLAGS, 1)
    else:
        struct.pack_into("<H", changed, start + _METHOD, chance.choice(_METHODS))
    return bytes(changed)


HARMLESS = (misstated_packed,)
"""What may be taken: whatever of it is read is as it was signed."""

FORGED: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    climbing,
    linked,
    doubled,
    bombed,
    misstated,
    renamed_in_header,
    packed_otherwise,
)

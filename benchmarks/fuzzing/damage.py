"""Ways in which files get damaged, or are changed by somebody, made from a seed."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

STRANGE = (
    *(None, True, -1, 0, 2**63, 1.5, float("nan")),
    *("", "../x", "two\nlines", "long" * 1000),
    *([], {}, ["x"], ["long" * 1000]),
)
"""Values of JSON and YAML in places where others belong."""


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Return a file in which some bytes are others."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """Return a file that ends too early, or lacks a part in the middle."""
    start = chance.randrange(len(content))
    kept = content[start + chance.randint(1, 400) :] if chance.random() < 0.5 else b""
    return content[:start] + kept


def near_the_start(content: bytes, chance: random.Random) -> bytes:
    """Return a file whose first bytes, where lengths stand, are others."""
    changed = bytearray(content)
    changed[chance.randrange(min(64, len(changed)))] = chance.randrange(256)
    return bytes(changed)


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    cut,
    near_the_start,
)


def changed_value(values: Any, chance: random.Random) -> Any:
    """Return JSON or YAML values with a strange one, or one less, or one more."""
    if isinstance(values, dict) and values and chance.random() < 0.85:
        key = chance.choice(sorted(values, key=str))
        act = chance.random()
        if act < 0.12:
            return {name: value for name, value in values.items() if name != key}
        if act < 0.2:
            return {**values, "".join(chance.choices(string.ascii_letters, k=5)): 1}
        return {**values, key: changed_value(values[key], chance)}
    if isinstance(values, list) and values and chance.random() < 0.85:
        place = chance.randrange(len(values))
        act = chance.random()
        if act < 0.15:
            return values[:place] + values[place + 1 :]
        if act < 0.3:
            return [*values, values[place]]
        changed = changed_value(values[place], chance)
        return [*values[:place], changed, *values[place + 1 :]]
    if isinstance(values, str) and values and chance.random() < 0.4:
        return "".join(chance.choices(values, k=len(values)))
    return chance.choice(STRANGE)


def changed_header(content: bytes, chance: random.Random) -> bytes:
    """Return a model file with another header, whose length is right."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    ours = header["__metadata__"]
    name = chance.choice(sorted(ours))
    if name in ("spec", "history", "classifier") and chance.random() < 0.8:
        ours[name] = json.dumps(changed_value(json.loads(ours[name]), chance))
    else:
        header = changed_value(header, chance)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]

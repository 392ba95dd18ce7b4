"""``FinishedTiles``: which tiles of a run are on disk, whatever ends it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.prediction.number_set import NumberSet
from unet_engine.prediction.tile_records import record_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from unet_engine.images.source_files import Source
    from unet_engine.images.zarr.storage import Place

logger = logging.getLogger(__name__)

_NAMES = {
    "image": "the image",
    "model": "the model",
    "brightness": "the brightness of the image",
    "tiles": "the tile size",
    "planes": "the planes to predict",
    "average_flips": "the mean over the flips",
    "halo": "the halo",
    "precision": "the precision",
    "effort": "the effort",
    "directions": "the directions of the planes",
    "scale": "the scale at which it is predicted",
    "skipped": "which tiles are not predicted",
    "blocks": "the blocks in which it computes",
    "probabilities": "whether probabilities are written",
    "device": "the device",
    "program": "the version of this program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFiles:
    """The files that the tiles of a run are made from.

    Attributes
    ----------
    source
        All of them.
    chunks_of
        Returns the names of the chunks that a tile is made from, by its number.
    """

    source: Source
    chunks_of: Callable[[int], AbstractSet[str]]


class FinishedTiles:
    """The numbers of the finished tiles, in a record beside the results.

    A number is written after the chunks of its tile have reached the storage, one line
    each, and with a minus where the tile is no longer finished; "4-7" are all from 4
    to 7.

    Parameters
    ----------
    home
        Of the results: the record lies in a hidden folder in it.
    """

    def __init__(self, home: Place) -> None:
        self._home = home
        self._record = record_in(home)
        self._finished = NumberSet()

    @property
    def exists(self) -> bool:
        """True when a run was begun here and not finished."""
        return self._record.exists

    @property
    def has_traces(self) -> bool:
        """True when a run was begun here, even if its record was being removed."""
        return self._record.has_traces

    @property
    def commit_interval(self) -> float:
        """Seconds between two additions."""
        return self._record.commit_interval

    @property
    def written_identity(self) -> tuple[Place, bytes]:
        """Where the identity of the run is written, and what is there."""
        return self._record.place, self._record.identity() or b""

    def begun_with(self, part: str) -> Any:
        """Return a part of the identity of the run that was begun here, or None."""
        begun = self._begun()
        return None if begun is None else begun.get(part)

    def open(
        self, identity: Mapping[str, Any], inputs: InputFiles | None = None
    ) -> NumberSet:
        """Begin a run or resume it; return the numbers of its finished tiles.

        Where chunks of the image changed since it was begun, as a damaged one that was
        copied again, the tiles that were made from them are no longer finished.

        Parameters
        ----------
        identity
            Of the run.
        inputs
            The files of its image. Without them a changed image makes another run.

        Raises
        ------
        DataError
            When the run that was begun here is another one, or still goes on.
        OSError
            When the folder cannot be written to.
        """
        begun = self._begun()
        changed = set[str]()
        if begun is not None and begun != identity:
            changed = self._changed_chunks(begun, identity, inputs)
        self._finished = _numbers(self._record.open(anew=begun is None))
        if inputs is not None and changed:
            lost = {
                n for n in self._finished if not changed.isdisjoint(inputs.chunks_of(n))
            }
            for number in lost:
                self._finished.discard(number)
            self._record.append([f"-{n}" for n in sorted(lost)])
            _report(lost)
        if begun != identity:
            # The identity last: with it the run is one that was begun.
            if inputs is not None:
                self._record.write_listing(inputs.source)
            self._record.write_identity(json.dumps(identity, indent=1).encode())
        return NumberSet(self._finished.ranges)

    def _begun(self) -> Mapping[str, Any] | None:
        """Return the identity of the run that was begun here; None when none was."""
        content = self._record.identity()
        if content is None:
            return None
        try:
            begun = json.loads(content)
        except ValueError:
            return {}
        return begun if isinstance(begun, dict) else {}

    def _changed_chunks(
        self,
        begun: Mapping[str, Any],
        identity: Mapping[str, Any],
        inputs: InputFiles | None,
    ) -> set[str]:
        """Return the chunks in which two runs differ.

        Raises
        ------
        DataError
            When anything else does.
        """
        changed = None
        if inputs is not None and _without_files(begun) == _without_files(identity):
            changed = self._record.changed_chunks(inputs.source)
        if changed is None:
            raise DataError(
                f"{self._home} holds an unfinished run that is not this one: "
                f"{describe_changes(begun, identity)}; run that one to its end, write "
                "to another place, or pass --overwrite to start anew"
            )
        return changed

    def append(self, numbers: Iterable[int]) -> None:
        """Record tiles whose chunks are in the storage."""
        added = list(numbers)
        self._record.append(list(map(str, added)))
        for number in added:
            self._finished.add(number)
        if self._record.is_long:
            self._record.replace(
                [f"{start}-{stop - 1}" for start, stop in self._finished.ranges]
            )

    def close(self) -> None:
        """Let another run resume here."""
        self._record.close()

    def remove(self) -> None:
        """Delete the record: the results are finished."""
        self._record.remove()


def _numbers(lines: Iterable[bytes]) -> NumberSet:
    """Return the numbers that the lines of a record leave finished."""
    finished = NumberSet()
    for line in lines:
        number = line.removeprefix(b"-")
        first, _, last = line.partition(b"-")
        if number.isdigit():
            (finished.add if line == number else finished.discard)(int(number))
        elif first.isdigit() and last.isdigit():
            finished.add_range(int(first), int(last) + 1)
    return finished


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe in which parts two identities differ; empty when they do not."""
    changes = []
    for part, name in _NAMES.items():
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        plain = all(not isinstance(v, dict) and len(str(v)) < 32 for v in (old, new))
        detail = f" ({old} then, {new} now)" if plain else ""
        changes.append(f"{name} changed{detail}")
    return ", ".join(changes)


def _without_files(identity: Mapping[str, Any]) -> dict[str, Any]:
    image = identity.get("image")
    rest = {**image, "files": None} if isinstance(image, dict) else image
    return {**identity, "image": rest}


def _report(lost: AbstractSet[int]) -> None:
    if lost:
        logger.warning(
            "%d finished %s predicted again: the image changed there",
            len(lost),
            "tile is" if len(lost) == 1 else "tiles are",
        )

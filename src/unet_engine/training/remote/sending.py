"""Training pairs ↔ bytes: images apart from labels, which change with every stroke."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import safetensors.numpy

from unet_engine.remote.blobs import digest_of
from unet_engine.remote.packing import compressed, decompressed
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.remote.orders import SentPair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ARRAYS = ("target", "pixel_weights", "soft_target", "object_maps", "times")
"""Of a pair, beside its image."""

_KEPT_HERE = ("features",)
"""Of a pair, what a worker computes anew."""


class PairSender:
    """Packs pairs, each array once as long as it is the same one.

    Attributes
    ----------
    contents
        The bytes of all arrays of the pairs that were packed last, by their digests.
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._images: dict[int, tuple[Any, str]] = {}

    def pack(self, pairs: Sequence[TrainingPair]) -> tuple[SentPair, ...]:
        """Return pairs without arrays, which are in ``contents`` then."""
        before, self.contents = self.contents, {}
        images, self._images = self._images, {}
        return tuple(self._pack(pair, images, before) for pair in pairs)

    def _pack(
        self,
        pair: TrainingPair,
        images: dict[int, tuple[Any, str]],
        before: dict[str, bytes],
    ) -> SentPair:
        # The array itself is kept, so that its number is that of no other.
        known = images.get(id(pair.image))
        if known is not None:
            image = known[1]
            self.contents[image] = before[image]
        else:
            image = self._add({"image": pair.image})
        self._images[id(pair.image)] = (pair.image, image)
        arrays = {name: getattr(pair, name) for name in _ARRAYS}
        labels = self._add({n: a for n, a in arrays.items() if a is not None})
        plain = {
            field.name: getattr(pair, field.name)
            for field in fields(pair)
            if field.name not in (*_ARRAYS, *_KEPT_HERE, "image")
        }
        return SentPair(plain, image, labels)

    def _add(self, arrays: dict[str, Any]) -> str:
        content = compressed(safetensors.numpy.save(arrays))
        digest = digest_of(content)
        self.contents[digest] = content
        return digest


def unpack_pairs(
    sent: Sequence[SentPair], read: Callable[[str], bytes]
) -> list[TrainingPair]:
    """Return training pairs as they were packed.

    Parameters
    ----------
    sent
        The pairs.
    read
        Returns the bytes of a digest.
    """

    def arrays(digest: str) -> dict[str, Any]:
        return dict(safetensors.numpy.load(decompressed(read(digest))))

    return [
        TrainingPair(**arrays(one.image), **arrays(one.labels), **one.fields)
        for one in sent
    ]

"""``ImageChoice``: how the images of a run are read from their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.images.opening import open_image

if TYPE_CHECKING:
    import os

    from unet_engine.images.image import Image
    from unet_engine.images.zarr.chunks import MissingChunks


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageChoice:
    """What of a file is an image, where the file leaves it open.

    Attributes
    ----------
    axes, missing_chunks, series
        As in ``open_image``.
    channel
        Use only this channel, from 0.
    """

    axes: str | None = None
    channel: int | None = None
    missing_chunks: MissingChunks = "refuse"
    series: int | None = None

    def open(self, path: str | os.PathLike[str], *, labels: bool = False) -> Image:
        """Open a file as ``open_image`` does.

        Parameters
        ----------
        path
            The file.
        labels
            It holds ids.

        Raises
        ------
        DataError
            When it cannot be read so.
        """
        image = open_image(
            path,
            axes=self.axes,
            missing_chunks=self.missing_chunks,
            series=self.series,
            labels=labels,
        )
        if self.channel is None:
            return image
        return image.select_channel(self.channel)

"""The objects of one mask: found, measured and written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.cli.commands.object_tables import check_same_objects
from unet_engine.cli.commands.objects_files import (
    choose_scale,
    iter_with_maps,
    open_files,
    open_mask,
)
from unet_engine.cli.files.outputs import is_zarr_name
from unet_engine.cli.files.tasks import check_fits
from unet_engine.cli.progress import bar
from unet_engine.devices import checked_device, is_remote
from unet_engine.generators import drain
from unet_engine.objects.mask_image import with_scale

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from unet_engine.cli.options.objects import MaskFiles, ObjectsOptions
    from unet_engine.images import Image, LabelRule
    from unet_engine.objects import BlockDone, Objects, SemanticMask
    from unet_engine.objects.config import ObjectConfig
    from unet_engine.stopping import Stop


def find_objects(
    files: MaskFiles,
    options: ObjectsOptions,
    config: ObjectConfig,
    rule: LabelRule | None,
    stop: Stop,
) -> dict[str, Any] | None:
    """Find, measure and write the objects of a mask; return their table, or None.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    """
    from unet_engine.objects import label_zarr, write_objects
    from unet_engine.outlines import write_outlines

    started = time.monotonic()
    mask_image, image = open_files(files, options)
    if files.output is not None:
        check_fits(files.output, mask_image)
    scale = choose_scale(options, mask_image, image)
    mask_image = with_scale(mask_image, image, scale)
    mask = open_mask(files, options, mask_image, rule)
    if options.model is not None and image is not None:
        run = iter_with_maps(mask, image, options, stop)
        title = f"{files.mask.name}: object maps"
        mask = _drain_behind_bar(run, title, quiet=options.quiet)
    search = _Search(
        files.mask.name, options, config, mask, mask_image, image, scale, stop
    )
    if files.output is not None and is_zarr_name(files.output):
        with label_zarr(
            files.output,
            mask,
            mask_image,
            stop=stop,
            replace=options.overwrite,
            version=options.ome_zarr,
        ) as out:
            objects, table = search.run(out)
    else:
        objects, table = search.run()
        if files.output is not None:
            write_objects(files.output, objects.labels, mask_image)
    if files.kept is not None:
        check_same_objects(files.kept, objects.labels)
    if files.outlines is not None and table is not None:
        name = (files.image or files.mask).name
        write_outlines(
            files.outlines,
            objects.labels,
            mask_image.leading_axes + "YX",
            table=table,
            image_name=name,
            stop=stop,
        )
    count = len(table["label"]) if table is not None else objects.classes.size
    written = " and ".join(
        str(p)
        for p in (files.output or files.mask, options.table, files.outlines)
        if p is not None
    )
    print(
        f"{written}: {count} object{'s' * (count != 1)} in {objects.ndim}-D"
        f"{_left_out(objects, config, table)} ({time.monotonic() - started:.1f} s)"
    )
    return table


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """What is looked for and measured."""

    name: str
    options: ObjectsOptions
    config: ObjectConfig
    mask: SemanticMask
    mask_image: Image
    image: Image | None
    scale: tuple[float, ...] | None
    stop: Stop

    def run(self, out: Any = None) -> tuple[Objects, dict[str, Any] | None]:
        """Find the objects, and measure them for a table or outlines.

        Parameters
        ----------
        out
            Takes their ids.
        """
        from unet_engine.objects import iter_label_objects, iter_measure_objects
        from unet_engine.objects.splitting import split_here

        name, quiet = self.name, self.options.quiet
        split = split_here
        device = checked_device(self.options.device)
        if is_remote(device):
            from unet_engine.remote.object_blocks import RemoteSplit

            split = RemoteSplit(device, self.stop)
        finding = iter_label_objects(
            self.mask, self.config, out=out, stop=self.stop, split=split
        )
        objects = _drain_behind_bar(finding, name, quiet=quiet)
        if self.options.table is None and self.options.outlines is None:
            return objects, None
        measuring = iter_measure_objects(
            objects,
            self.image,
            scale=self.scale,
            axes=self.mask_image.leading_axes + "YX",
            stop=self.stop,
        )
        return objects, _drain_behind_bar(measuring, f"{name}: measuring", quiet=quiet)


def _left_out(
    objects: Objects, config: ObjectConfig, table: Mapping[str, Any] | None
) -> str:
    """Report objects that are too small, and pixels without intensity."""
    from unet_engine.objects import describe_left_out

    line = ""
    if objects.small:
        line = f"; {objects.small} left out as too small (--min-size 0 keeps them)"
    if table is not None and (pixels := describe_left_out(dict(table))):
        line += f"; {pixels}"
    return line


def _drain_behind_bar(
    run: Generator[BlockDone, None, Any], title: str, *, quiet: bool
) -> Any:
    """Run it behind a progress bar."""
    with bar(1, title, quiet=quiet) as progress:

        def show(event: BlockDone) -> None:
            progress.total = event.total
            progress.update(event.done - progress.n)

        return drain(run, show)

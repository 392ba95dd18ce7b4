"""The table of a run over masks, which may go on with that of an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.cli.files.outputs import check_free, check_place
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.files.inputs import Inputs

    Table = dict[str, npt.NDArray[Any]]


class ObjectTables:
    """Rows of the masks of a run, written together.

    Parameters
    ----------
    path
        Where the table goes; None for no table.
    masks
        All masks of the run. Those with the same name are named by their paths.
    several
        Whether the table has a column for the file.
    """

    def __init__(
        self, path: Path | None, masks: Sequence[Path], *, several: bool
    ) -> None:
        self._path, self._several = path, several
        self._masks = list(masks)
        names = [mask.name for mask in masks]
        self._names = {m: m.name if names.count(m.name) == 1 else str(m) for m in masks}
        self._tables: dict[str, Table] = {}
        self._is_there = False

    def check(self, inputs: Inputs, *, overwrite: bool, resume: bool) -> None:
        """Make sure that the table can be written; take up an earlier one to go on.

        Raises
        ------
        DataError
            When it cannot, or would replace something.
        """
        from unet_engine.objects import check_table_suffix, read_joined_table

        if self._path is None:
            return
        check_table_suffix(self._path)
        inputs.check_apart(self._path)
        check_place(self._path)
        if not resume or overwrite or not self._path.exists():
            check_free(self._path, overwrite=overwrite)
            return
        self._is_there = True
        if self._several:
            self._tables = read_joined_table(self._path)

    def holds(self, mask: Path) -> bool:
        """Whether nothing of a mask is missing in the table."""
        if self._path is None:
            return True
        return self._name(mask) in self._tables if self._several else self._is_there

    def check_new(self) -> None:
        """Refuse to replace the table of one mask, which states not of which.

        Raises
        ------
        DataError
            When it is there.
        """
        if self._path is not None and self._is_there and not self._several:
            check_free(self._path, overwrite=False)

    def add(self, mask: Path, table: Table) -> None:
        """Take up the rows of a mask, in place of earlier ones."""
        self._tables[self._name(mask)] = table

    def write(self) -> None:
        """Write all rows, those of earlier runs too, in the order of the masks.

        Raises
        ------
        DataError
            When the disk is full.
        """
        from unet_engine.objects import join_tables, write_table

        if self._path is None or not self._tables:
            return
        order = [self._name(mask) for mask in self._masks]
        others = [name for name in self._tables if name not in order]
        tables = {n: self._tables[n] for n in (*others, *order) if n in self._tables}
        if not self._several:
            write_table(self._path, next(iter(tables.values())))
            return
        joined = join_tables(tables)
        write_table(self._path, joined)
        print(f"{self._path}: {len(joined['label'])} objects of {len(tables)} files")

    def _name(self, mask: Path) -> str:
        # A name may be no text; a table is UTF-8.
        return self._names[mask].encode("utf-8", "backslashreplace").decode()


def check_same_objects(path: Path, labels: npt.NDArray[Any]) -> None:
    """Make sure that a file holds the objects that were found.

    Raises
    ------
    DataError
        When it holds others, which the user may have edited.
    """
    from unet_engine.cli.commands.objects_files import values_of
    from unet_engine.images import open_image
    from unet_engine.objects.blocks import BlockGrid

    found = values_of(path, open_image(path, labels=True))
    same = tuple(found.shape) == tuple(labels.shape) and all(
        (found[block.core_slices] == labels[block.core_slices]).all()
        for block in BlockGrid.for_array(labels, 2)
    )
    if not same:
        raise DataError(
            f"{path} holds other objects than this run finds, so they were not "
            "measured; pass --overwrite to replace it, or measure it with --method keep"
        )

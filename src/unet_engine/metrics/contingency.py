"""The pixels that each object of the truth shares with each of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from skimage.metrics import contingency_table

from unet_engine.errors import DataError

if TYPE_CHECKING:
    Labels = npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]


def count_overlaps(truth: Labels, predicted: Labels) -> sparse.csr_array:
    """Count the pixels of every pair of a true and a predicted object.

    Parameters
    ----------
    truth, predicted
        Object ids of the same shape, in any number of dimensions; 0 is the background.
        Ids need be neither consecutive nor small.

    Returns
    -------
    scipy.sparse.csr_array
        ``(1 + true objects, 1 + predicted objects)`` int64. Row and column 0 are the
        background, the others follow in the order in which the objects first appear,
        so that the table does not depend on how the objects are numbered.

    Raises
    ------
    DataError
        When the shapes differ, there is no pixel, or ids are negative or not integers.
    """
    if truth.shape != predicted.shape:
        raise DataError(
            f"truth {truth.shape} and prediction {predicted.shape} differ in shape; "
            "compare an image with the prediction of the same image"
        )
    if not truth.size:
        raise DataError(f"an image of shape {truth.shape} has no pixel to compare")
    rows, row_count = _number(truth, "truth")
    columns, column_count = _number(predicted, "prediction")
    table = sparse.csr_array(contingency_table(rows, columns)).astype(np.int64)
    table.resize(row_count, column_count)
    return table


def _number(labels: Labels, name: str) -> tuple[npt.NDArray[np.intp], int]:
    """Number the objects from 1 in the order of their first pixels; return how many."""
    if labels.dtype.kind not in "biu":
        raise DataError(
            f"the {name} holds {labels.dtype}, but object ids are integers; "
            "threshold a probability and label its components first"
        )
    flat = labels.ravel()
    ids, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
    if ids[0] < 0:
        raise DataError(
            f"the {name} has the object id {ids[0]}; ids start at 1 and 0 is background"
        )
    order = np.argsort(np.where(ids == 0, -1, first))
    background = int(ids[0] == 0)
    number = np.empty(ids.size, np.intp)
    number[order] = np.arange(ids.size) + 1 - background
    return number[inverse.ravel()], ids.size + 1 - background

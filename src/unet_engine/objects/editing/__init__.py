"""Objects corrected by hand, and what a network learns from that.

In go the ids of a plane or volume and what the user drew. ``edits`` returns an ``Edit``
that splits, merges, deletes or adds objects; ``lines`` has the pixels of a drawn line.
``claims`` keeps what was corrected as small values that fit ``Annotations``, and makes
object ids of them again; ``classes`` has the classes of pixels that an edit shows.
"""

from unet_engine.objects.editing.claims import (
    claimed_ids,
    claims_after,
    with_claimed_objects,
)
from unet_engine.objects.editing.classes import classes_after
from unet_engine.objects.editing.edits import (
    Edit,
    add_object,
    delete_objects,
    merge_objects,
    split_objects,
)

__all__ = [
    "Edit",
    "add_object",
    "claimed_ids",
    "claims_after",
    "classes_after",
    "delete_objects",
    "merge_objects",
    "split_objects",
    "with_claimed_objects",
]

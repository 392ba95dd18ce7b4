"""The meaning of label values: one rule for all label images of a run.

No file is read here and no torch imported: what the images hold comes as tallies, so
that command line, window and Python decide alike.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.images.labels.case import FEWEST_OBJECTS, MOST_CLASSES, WHITE, Case
from unet_engine.images.labels.choices import COMMAND_LINE
from unet_engine.images.labels.refusals import (
    refuse_1_and_white,
    refuse_counted_from_1,
    refuse_empty,
    refuse_grey_beside_1,
    refuse_large,
    refuse_many_classes,
    refuse_mixed,
    refuse_more_classes,
    refuse_objects,
    refuse_stray_white,
    refuse_white_class,
    refuse_white_in_one_file,
)
from unet_engine.images.labels.rules import LabelRule, named
from unet_engine.images.labels.tallies import each_is_one_piece
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images.labels.choices import LabelValues, Unlabelled, Wording
    from unet_engine.images.labels.rules import Meaning
    from unet_engine.images.labels.tallies import Tally


def decide_labels(
    tallies: Sequence[Tally],
    *,
    values: LabelValues = "auto",
    unlabelled: Unlabelled = "auto",
    classes: int | None = None,
    segmented: bool = False,
    wording: Wording = COMMAND_LINE,
) -> LabelRule:
    """Decide what the label values of a run mean, once for all of its files.

    Parameters
    ----------
    tallies
        Of all label images, also of those that a range leaves out: the meaning must not
        depend on the choice of files.
    values
        What they are, or ``auto``: classes where they cannot be anything else, a mask
        where there is only 0 and white.
    unlabelled
        Value of pixels that nobody labelled; ``none`` when all are labelled; ``auto``:
        -1, or 255 beside classes.
    classes
        Number of classes when it is known.
    segmented
        The files are masks in which objects are looked for: values of one piece each
        are classes then, and any value beside 0 is the foreground.
    wording
        How messages name the choices.

    Raises
    ------
    DataError
        When the values fit no meaning, or more than one.
    """
    case = Case(tuple(tallies), unlabelled, classes, segmented, wording)
    rule = {
        "auto": _auto,
        "classes": _classes,
        "objects": _objects,
        "mask": _mask,
    }[values]
    return rule(case)


def _auto(case: Case) -> LabelRule:
    void = case.negative()
    found = case.values(void)
    white = [v for v in WHITE if found == {0, v}]
    if case.segmented and len(found) == 2 and max(found) > MOST_CLASSES:
        white = [max(found)] if 0 in found else []
    if void is None and case.unlabelled == "auto" and white:
        refuse_many_classes(case, white[0])
        return _rule(case, "mask")
    if void is None and case.unlabelled == "auto":
        refuse_1_and_white(case, found)
        refuse_mixed(case, found)
        if IGNORE in found and max(found - {IGNORE}, default=0) <= MOST_CLASSES:
            void = IGNORE
    found = case.values(void)
    if not found:
        refuse_empty(case, void)
    highest = max(found)
    if highest > MOST_CLASSES and highest >= (case.known or 0):
        refuse_large(case, found, void)
    refuse_counted_from_1(case, found, void)
    refuse_objects(case, found, void)
    return _as_classes(case, found, void)


def _classes(case: Case) -> LabelRule:
    void = case.negative()
    found = case.values(void)
    if void is None and case.unlabelled == "auto" and IGNORE in found:
        void = IGNORE
    found = case.values(void)
    if not found:
        refuse_empty(case, void)
    refuse_white_class(case, found)
    highest = max(found)
    spread = highest + 1 > len(found | {0})
    if highest >= IGNORE or (case.known is None and highest > MOST_CLASSES and spread):
        raise DataError(
            f"the labels hold the values {named(found)}, which are no classes; "
            f"renumber them 0, 1, 2, ... or {case.use('mask')} if they are grey "
            f"levels of a mask, or {case.use('objects')} if they number objects"
        )
    return _as_classes(case, found, void)


def _objects(case: Case) -> LabelRule:
    void = case.negative()
    found = case.values(void)
    if void is None and case.unlabelled == "auto":
        refuse_stray_white(case, found)
    if not found:
        refuse_empty(case, void)
    notes = _split_values(case, void)
    return _rule(case, "objects", unlabelled=void, notes=notes)


def _mask(case: Case) -> LabelRule:
    void = case.negative()
    found = case.values(void)
    if void is None and case.unlabelled == "auto":
        refuse_white_in_one_file(case, found)
    if not found:
        refuse_empty(case, void)
    several = [t for t in case.tallies if len(t.values(void) - {0}) > 1]
    highest = max(found)
    if highest <= MOST_CLASSES or not several:
        return _rule(case, "mask", unlabelled=void)
    if not case.is_grey(void) and each_is_one_piece(case.tallies, void):
        raise DataError(
            f"{several[0].name} holds {len(several[0].values(void) - {0})} values "
            f"of one piece each up to {highest}, which number objects and are no "
            f"grey levels; {case.use('objects')} to take all of them for the "
            "foreground"
        )
    refuse_grey_beside_1(case, several[0], highest, void)
    return _rule(case, "mask", unlabelled=void, above=highest // 2)


def _rule(case: Case, meaning: Meaning, **fields: Any) -> LabelRule:
    pixels: Counter[int] = sum((t.pixels for t in case.tallies), Counter())
    void = fields.get("unlabelled")
    if void is None and isinstance(case.unlabelled, int):
        fields["unlabelled"] = void = case.unlabelled
    if isinstance(case.unlabelled, int) and void not in pixels:
        text = f"no pixel of the labels has the unlabelled value {void}"
        fields["notes"] = (*fields.get("notes", ()), text)
    return LabelRule(meaning=meaning, pixels=pixels, **fields)


def _as_classes(case: Case, found: frozenset[int], void: int | None) -> LabelRule:
    # Where 0 means "not labelled", as in ilastik's labels, classes count from 1.
    first = 1 if void == 0 else 0
    highest = max(found) - first
    if case.known is not None and highest >= case.known:
        refuse_more_classes(case, found, first, void)
    notes = _only_white(case, void)
    return _rule(case, "classes", unlabelled=void, first=first, notes=notes)


def _only_white(case: Case, void: int | None) -> tuple[str, ...]:
    """Name files that would be masks if they were alone."""
    if case.unlabelled != "auto" or void != IGNORE:
        return ()
    names = [t.name for t in case.tallies if t.values() == {0, IGNORE}]
    if not names:
        return ()
    return (
        f"{_listed(names)} holds only 0 and {IGNORE}, and {IGNORE} counts as not "
        f"labelled, as in the other files; {case.use('mask')} if it is the "
        "foreground",
    )


def _split_values(case: Case, void: int | None) -> tuple[str, ...]:
    """Name a file whose values are no objects: few values of many pieces."""
    for tally in case.tallies:
        for value, pieces in tally.pieces.items():
            places = tally.places[value]
            many = pieces >= FEWEST_OBJECTS * places
            if many and value not in (0, void) and len(tally.values(void)) <= 4:
                return (
                    f"in {tally.name} the value {value} lies in {pieces} pieces, "
                    "which count as one object; if the values are classes, "
                    f"{case.use('classes')}, if they are a mask, "
                    f"{case.use('mask')}",
                )
    return ()


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 1
    return names[0] + (f" (and {more} more)" if more else "")

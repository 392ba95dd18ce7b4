"""Label values that fit no meaning, or more than one: messages that lead on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.labels.case import FEWEST_OBJECTS, MOST_CLASSES, WHITE
from unet_engine.images.labels.rules import named
from unet_engine.images.labels.tallies import each_is_one_piece
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from unet_engine.images.labels.case import Case
    from unet_engine.images.labels.tallies import Tally


def refuse_empty(case: Case, void: int | None) -> None:
    """Refuse labels in which nothing is labelled."""
    if void is None:
        raise DataError("the label images hold no pixel; give labels of images")
    white = case.wording.one_class and case.unlabelled == "auto" and void == IGNORE
    more = f", or {case.use('mask')} if {void} is the foreground" if white else ""
    raise DataError(
        f"no pixel is labelled, all label values are {void}; label some pixels of "
        f"at least two classes{more}"
    )


def refuse_many_classes(case: Case, white: int) -> None:
    """Refuse 0 and white where the classes are more than two."""
    if (case.known or 0) > 2:
        raise DataError(
            f"the labels hold only 0 and {white}, and there are {case.known} "
            f"classes; {case.omit(white)} if {white} is not labelled, or "
            f"{case.use('mask')} if {white} is class 1"
        )


def refuse_1_and_white(case: Case, found: frozenset[int]) -> None:
    """Refuse labels of 1 and white alone, either of which may be unlabelled."""
    if found == {1, IGNORE}:
        raise DataError(
            f"the labels hold only 1 and {IGNORE}; {case.omit(IGNORE)} if "
            f"{IGNORE} is not labelled, or {case.use('mask')} with "
            f"{case.omit('none')} if it is the foreground and 1 the background"
        )


def refuse_mixed(case: Case, found: frozenset[int]) -> None:
    """Refuse files of 0 and white among files of small values without white."""
    small = [t for t in case.tallies if 0 < max(t.values(), default=0) <= MOST_CLASSES]
    for tally in case.tallies:
        top = max(tally.values(), default=0)
        if top <= MOST_CLASSES or tally.values() not in ({0, top}, {top}):
            continue
        beside = any(top in t.values() and t.values() - {0, top} for t in case.tallies)
        others = found - {0, top}
        # A file that is white alone is a file that nobody labelled.
        empty = top == IGNORE and tally.values() == {top}
        if small and others and max(others) <= MOST_CLASSES:
            if (beside and top == IGNORE) or empty:
                continue
            raise DataError(
                f"{small[0].name} holds the values {named(small[0].values())} and "
                f"{tally.name} {named(tally.values())}: {case.use('mask')} if "
                f"all above 0 is the foreground, or {case.omit(top)} if {top} is "
                "not labelled"
            )


def refuse_large(case: Case, found: frozenset[int], void: int | None) -> None:
    """Refuse values that are too large for classes."""
    highest = max(found)
    refuse_white_class(case, found)
    ids = each_is_one_piece(case.tallies, void)
    if case.is_grey(void):
        also = f", or {case.use('objects')} if each number is an object"
        where = max(case.tallies, key=lambda t: len(t.values(void)))
        raise DataError(
            f"{where.name} holds {len(where.values(void))} grey levels up to "
            f"{highest}, as a mask that was resampled or compressed; "
            f"{case.use('mask')} to take what is above half of {highest} for the "
            f"foreground{also if ids else ''}"
        )
    many = len(found - {0}) > MOST_CLASSES
    few = len(found - {0}) < FEWEST_OBJECTS
    if many or (not few and ids):
        raise DataError(
            f"the labels hold {len(found - {0})} values up to {highest}, which "
            f"look like object ids; {case.use('objects')} if each number is an "
            "object"
        )
    raise DataError(
        f"the labels hold only the values {named(found)}; renumber the classes 0, "
        f"1, 2, ... or {case.use('mask')} if they are grey levels of a mask, or "
        f"{case.use('objects')} if they number objects (object ids)"
    )


def refuse_white_class(case: Case, found: frozenset[int]) -> None:
    """Refuse white beside classes, which may be unlabelled."""
    highest, others = max(found), found - {max(found)}
    if highest in WHITE and 0 < max(others, default=0) <= MOST_CLASSES:
        raise DataError(
            f"the labels hold {named(others)} and {highest}; {case.omit(highest)} "
            f"if {highest} is not labelled, else renumber the classes 0, 1, 2, ..."
        )


def refuse_counted_from_1(case: Case, found: frozenset[int], void: int | None) -> None:
    """Refuse classes that do not start at 0."""
    if 0 in found or void == 0 or max(found) < 2:
        return
    if case.known is not None and max(found) < case.known:
        return
    first = min(found)
    more = ""
    if case.known is None or max(found) < case.known:
        more = f", or {case.use('classes')} if 0 is a class that nobody labelled"
    if void is not None:
        # With --unlabelled 0 these pixels would be labelled.
        raise DataError(
            f"no label is 0, and the values beside {void}, which is not labelled, "
            f"are {named(found)}; renumber them 0, 1, 2, ... if they count from 1 "
            f"({first} is then the background){more}"
        )
    raise DataError(
        f"no label is 0, and the values are {named(found)}; {case.omit(0)} if "
        f"they count from 1 ({first} is then the background){more}"
    )


def refuse_objects(case: Case, found: frozenset[int], void: int | None) -> None:
    """Refuse values that may number objects, unless all classes are known."""
    if case.known is not None and max(found) < case.known:
        return
    count = len(found - {0})
    # Strokes of two or three classes are one piece each, too.
    enough = count >= FEWEST_OBJECTS or (void is None and count > 1)
    if enough and not case.segmented and each_is_one_piece(case.tallies, void):
        # Among objects, 255 is no more likely to be unlabelled than any number.
        also = f" with {case.omit(void)}" if void == IGNORE else ""
        raise DataError(
            f"the labels hold the values {named(found)}, each in one piece as "
            f"object ids are; {case.use('objects')}{also} if each number is an "
            f"object, or {case.use('classes')} if each is a class"
        )


def refuse_more_classes(
    case: Case, found: frozenset[int], first: int, void: int | None
) -> None:
    """Refuse more classes than the model has."""
    objects = f"{case.use('objects')} if the values are object ids"
    other = f"{case.use('mask')} to take all above 0 for the foreground"
    if each_is_one_piece(case.tallies, void):
        other = objects
    elif void is None and len(found) > FEWEST_OBJECTS:
        # Ids of objects that lie across each other are in several pieces, too.
        other = f"{objects}, {other}"
    raise DataError(
        f"the labels have the value {max(found)} and the model has only the "
        f"classes {first} to {(case.known or 0) - 1 + first}; {other}, or "
        f"{case.wording.more_classes}"
    )


def refuse_stray_white(case: Case, found: frozenset[int]) -> None:
    """Refuse white beside ids of objects, which may be unlabelled."""
    highest = max(found, default=0)
    others = max(found - {highest}, default=0)
    if highest in WHITE and 0 < others < highest // 2:
        raise DataError(
            f"the labels hold ids up to {others} and {highest}; "
            f"{case.omit(highest)} if {highest} is not labelled, or "
            f"{case.omit('none')} if it is an object"
        )


def refuse_white_in_one_file(case: Case, found: frozenset[int]) -> None:
    """Refuse a file of 1 and white, either of which may be unlabelled."""
    for white in WHITE:
        if found - {0, white} == {1} and white in found:
            for tally in case.tallies:
                if {1, white} <= tally.values():
                    raise DataError(
                        f"{tally.name} holds 1 and {white}; {case.omit(white)} "
                        f"if {white} is not labelled, or {case.omit('none')} if "
                        "it is the foreground and 1 the background"
                    )


def refuse_grey_beside_1(
    case: Case, grey: Tally, highest: int, void: int | None
) -> None:
    """Refuse masks of which some have grey levels and others a low maximum."""
    for tally in case.tallies:
        top = max(tally.values(void), default=0)
        if tally.values(void) <= {0, top} and 0 < top <= highest // 2:
            raise DataError(
                f"{tally.name} holds only 0 and {top}, and {grey.name} grey levels "
                f"up to {highest}, of which half is the limit; save "
                f"{tally.name} with {highest} for the foreground"
            )

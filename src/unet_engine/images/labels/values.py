"""The meaning of label values: one rule for all label images of a run.

No file is read here and no torch imported: what the images hold comes as tallies, so
that command line, window and Python decide alike.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from unet_engine.errors import DataError
from unet_engine.images.labels.rules import LabelRule, named
from unet_engine.images.labels.tallies import each_is_one_piece
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images.labels.rules import Meaning
    from unet_engine.images.labels.tallies import Tally

LabelValues = Literal["auto", "classes", "objects", "mask"]
Unlabelled = int | Literal["auto", "none"]

LABEL_VALUES: tuple[LabelValues, ...] = get_args(LabelValues)

_MOST_CLASSES = 16
"""Highest value that is taken for a class where nobody named the classes."""

_FEWEST_OBJECTS = 4
"""Values of one piece each from which they are objects beside unlabelled pixels too."""

_FULL = (IGNORE, 2**16 - 1)
"""White of 8 and of 16 bits: the foreground of a mask, or not labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How a message names the choices: options of a command, or rows of a form.

    Attributes
    ----------
    values, unlabelled
        Formats of one choice.
    objects
        How values are taken for object ids, where that is another choice.
    more_classes
        How a model gets further classes.
    one_class
        Whether labels of a single class are of use.
    """

    values: str = "--label-values {}"
    unlabelled: str = "--unlabelled {}"
    objects: str = ""
    more_classes: str = "name all classes with --classes"
    one_class: bool = False


COMMAND_LINE = Wording()


def parse_unlabelled(text: str) -> Unlabelled:
    """Read a whole number, ``none`` or ``auto``.

    Raises
    ------
    DataError
        When it is something else.
    """
    value = text.strip()
    if value == "none":
        return "none"
    if value == "auto":
        return "auto"
    if not re.fullmatch(r"-?\d+", value):
        raise DataError(
            f"{text!r} is no value of pixels that nobody labelled; give a whole number "
            "such as 255 or -1, none or auto"
        )
    return int(value)


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
    case = _Case(tuple(tallies), unlabelled, classes, segmented, wording)
    rule = {
        "auto": case.auto,
        "classes": case.classes,
        "objects": case.objects,
        "mask": case.mask,
    }[values]
    return rule()


@dataclass(frozen=True, slots=True)
class _Case:
    """The files of a run and the options for them."""

    tallies: tuple[Tally, ...]
    unlabelled: Unlabelled
    known: int | None
    segmented: bool
    wording: Wording

    # one method for each choice

    def auto(self) -> LabelRule:
        void = self._negative()
        found = self._values(void)
        white = [v for v in _FULL if found == {0, v}]
        if self.segmented and len(found) == 2 and max(found) > _MOST_CLASSES:
            white = [max(found)] if 0 in found else []
        if void is None and self.unlabelled == "auto" and white:
            self._refuse_many_classes(white[0])
            return self._rule("mask")
        if void is None and self.unlabelled == "auto":
            self._refuse_1_and_white(found)
            self._refuse_mixed(found)
            if IGNORE in found and max(found - {IGNORE}, default=0) <= _MOST_CLASSES:
                void = IGNORE
        found = self._values(void)
        if not found:
            self._refuse_empty(void)
        highest = max(found)
        if highest > _MOST_CLASSES and highest >= (self.known or 0):
            self._refuse_large(found, void)
        self._refuse_counted_from_1(found, void)
        self._refuse_objects(found, void)
        return self._as_classes(found, void)

    def classes(self) -> LabelRule:
        void = self._negative()
        found = self._values(void)
        if void is None and self.unlabelled == "auto" and IGNORE in found:
            void = IGNORE
        found = self._values(void)
        if not found:
            self._refuse_empty(void)
        self._refuse_white_class(found)
        highest = max(found)
        spread = highest + 1 > len(found | {0})
        if highest >= IGNORE or (
            self.known is None and highest > _MOST_CLASSES and spread
        ):
            raise DataError(
                f"the labels hold the values {named(found)}, which are no classes; "
                f"renumber them 0, 1, 2, ... or {self._pass('mask')} if they are grey "
                f"levels of a mask, or {self._pass('objects')} if they number objects"
            )
        return self._as_classes(found, void)

    def objects(self) -> LabelRule:
        void = self._negative()
        found = self._values(void)
        if void is None and self.unlabelled == "auto":
            self._refuse_stray_white(found)
        if not found:
            self._refuse_empty(void)
        notes = self._split_values(void)
        return self._rule("objects", unlabelled=void, notes=notes)

    def mask(self) -> LabelRule:
        void = self._negative()
        found = self._values(void)
        if void is None and self.unlabelled == "auto":
            self._refuse_white_in_one_file(found)
        if not found:
            self._refuse_empty(void)
        several = [t for t in self.tallies if len(t.values(void) - {0}) > 1]
        highest = max(found)
        if highest <= _MOST_CLASSES or not several:
            return self._rule("mask", unlabelled=void)
        if not self._grey(void) and each_is_one_piece(self.tallies, void):
            raise DataError(
                f"{several[0].name} holds {len(several[0].values(void) - {0})} values "
                f"of one piece each up to {highest}, which number objects and are no "
                f"grey levels; {self._pass('objects')} to take all of them for the "
                "foreground"
            )
        self._refuse_grey_beside_1(several[0], highest, void)
        return self._rule("mask", unlabelled=void, above=highest // 2)

    # parts of them

    def _rule(self, meaning: Meaning, **fields: Any) -> LabelRule:
        pixels: Counter[int] = sum((t.pixels for t in self.tallies), Counter())
        void = fields.get("unlabelled")
        if void is None and isinstance(self.unlabelled, int):
            fields["unlabelled"] = void = self.unlabelled
        if isinstance(self.unlabelled, int) and void not in pixels:
            text = f"no pixel of the labels has the unlabelled value {void}"
            fields["notes"] = (*fields.get("notes", ()), text)
        return LabelRule(meaning=meaning, pixels=pixels, **fields)

    def _as_classes(self, found: frozenset[int], void: int | None) -> LabelRule:
        # Where 0 means "not labelled", as in ilastik's labels, classes count from 1.
        first = 1 if void == 0 else 0
        highest = max(found) - first
        if self.known is not None and highest >= self.known:
            self._refuse_more_classes(found, first, void)
        notes = self._only_white(void)
        return self._rule("classes", unlabelled=void, first=first, notes=notes)

    def _values(self, void: int | None) -> frozenset[int]:
        return frozenset().union(*(t.values(void) for t in self.tallies))

    def _negative(self) -> int | None:
        """Return the unlabelled value that was named, or -1 if it occurs."""
        void = self.unlabelled if isinstance(self.unlabelled, int) else None
        negative = {v for v in self._values(void) if v < 0}
        if negative == {-1} and self.unlabelled == "auto":
            return -1
        if negative:
            name = next(
                t.name for t in self.tallies if min(t.values(void), default=0) < 0
            )
            only = min(negative) if len(negative) == 1 else None
            if void is None and only is not None:
                advice = f"{self._omit(only)} if these pixels are not labelled"
            else:
                advice = "renumber the labels from 0"
            raise DataError(
                f"{name} holds negative numbers down to {min(negative)}; labels start "
                f"at 0: {advice}"
            )
        return void

    def _pass(self, values: LabelValues) -> str:
        if values == "objects" and self.wording.objects:
            return self.wording.objects
        return self.wording.values.format(values)

    def _omit(self, unlabelled: int | str) -> str:
        return self.wording.unlabelled.format(unlabelled)

    def _only_white(self, void: int | None) -> tuple[str, ...]:
        """Name files that would be masks if they were alone."""
        if self.unlabelled != "auto" or void != IGNORE:
            return ()
        names = [t.name for t in self.tallies if t.values() == {0, IGNORE}]
        if not names:
            return ()
        return (
            f"{_listed(names)} holds only 0 and {IGNORE}, and {IGNORE} counts as not "
            f"labelled, as in the other files; {self._pass('mask')} if it is the "
            "foreground",
        )

    def _split_values(self, void: int | None) -> tuple[str, ...]:
        """Name a file whose values are no objects: few values of many pieces."""
        for tally in self.tallies:
            for value, pieces in tally.pieces.items():
                places = tally.places[value]
                many = pieces >= _FEWEST_OBJECTS * places
                if many and value not in (0, void) and len(tally.values(void)) <= 4:
                    return (
                        f"in {tally.name} the value {value} lies in {pieces} pieces, "
                        "which count as one object; if the values are classes, "
                        f"{self._pass('classes')}, if they are a mask, "
                        f"{self._pass('mask')}",
                    )
        return ()

    def _grey(self, void: int | None) -> bool:
        """Whether the values look like a mask that was resampled or compressed.

        Then most of what is not nearly black is nearly white, and what is between lies
        at the rims.
        """
        pixels: Counter[int] = sum((t.pixels for t in self.tallies), Counter())
        counts = {v: n for v, n in pixels.items() if v != void}
        highest = max(counts)
        several = any(len(t.values(void) - {0}) > 1 for t in self.tallies)
        bright = sum(n for v, n in counts.items() if v > 0.75 * highest)
        visible = sum(n for v, n in counts.items() if v > 0.1 * highest)
        return several and highest > _MOST_CLASSES and 2 * bright > visible

    # refusals

    def _refuse_empty(self, void: int | None) -> None:
        if void is None:
            raise DataError("the label images hold no pixel; give labels of images")
        white = self.wording.one_class and self.unlabelled == "auto" and void == IGNORE
        more = f", or {self._pass('mask')} if {void} is the foreground" if white else ""
        raise DataError(
            f"no pixel is labelled, all label values are {void}; label some pixels of "
            f"at least two classes{more}"
        )

    def _refuse_many_classes(self, white: int) -> None:
        if (self.known or 0) > 2:
            raise DataError(
                f"the labels hold only 0 and {white}, and there are {self.known} "
                f"classes; {self._omit(white)} if {white} is not labelled, or "
                f"{self._pass('mask')} if {white} is class 1"
            )

    def _refuse_1_and_white(self, found: frozenset[int]) -> None:
        if found == {1, IGNORE}:
            raise DataError(
                f"the labels hold only 1 and {IGNORE}; {self._omit(IGNORE)} if "
                f"{IGNORE} is not labelled, or {self._pass('mask')} with "
                f"{self._omit('none')} if it is the foreground and 1 the background"
            )

    def _refuse_mixed(self, found: frozenset[int]) -> None:
        """Refuse files of 0 and white among files of small values without white."""
        small = [
            t for t in self.tallies if 0 < max(t.values(), default=0) <= _MOST_CLASSES
        ]
        for tally in self.tallies:
            top = max(tally.values(), default=0)
            if top <= _MOST_CLASSES or tally.values() not in ({0, top}, {top}):
                continue
            beside = any(
                top in t.values() and t.values() - {0, top} for t in self.tallies
            )
            others = found - {0, top}
            # A file that is white alone is a file that nobody labelled.
            empty = top == IGNORE and tally.values() == {top}
            if small and others and max(others) <= _MOST_CLASSES:
                if (beside and top == IGNORE) or empty:
                    continue
                raise DataError(
                    f"{small[0].name} holds the values {named(small[0].values())} and "
                    f"{tally.name} {named(tally.values())}: {self._pass('mask')} if "
                    f"all above 0 is the foreground, or {self._omit(top)} if {top} is "
                    "not labelled"
                )

    def _refuse_large(self, found: frozenset[int], void: int | None) -> None:
        highest = max(found)
        self._refuse_white_class(found)
        ids = each_is_one_piece(self.tallies, void)
        if self._grey(void):
            also = f", or {self._pass('objects')} if each number is an object"
            where = max(self.tallies, key=lambda t: len(t.values(void)))
            raise DataError(
                f"{where.name} holds {len(where.values(void))} grey levels up to "
                f"{highest}, as a mask that was resampled or compressed; "
                f"{self._pass('mask')} to take what is above half of {highest} for the "
                f"foreground{also if ids else ''}"
            )
        many = len(found - {0}) > _MOST_CLASSES
        few = len(found - {0}) < _FEWEST_OBJECTS
        if many or (not few and ids):
            raise DataError(
                f"the labels hold {len(found - {0})} values up to {highest}, which "
                f"look like object ids; {self._pass('objects')} if each number is an "
                "object"
            )
        raise DataError(
            f"the labels hold only the values {named(found)}; renumber the classes 0, "
            f"1, 2, ... or {self._pass('mask')} if they are grey levels of a mask, or "
            f"{self._pass('objects')} if they number objects (object ids)"
        )

    def _refuse_white_class(self, found: frozenset[int]) -> None:
        highest, others = max(found), found - {max(found)}
        if highest in _FULL and 0 < max(others, default=0) <= _MOST_CLASSES:
            raise DataError(
                f"the labels hold {named(others)} and {highest}; {self._omit(highest)} "
                f"if {highest} is not labelled, else renumber the classes 0, 1, 2, ..."
            )

    def _refuse_counted_from_1(self, found: frozenset[int], void: int | None) -> None:
        if 0 in found or void == 0 or max(found) < 2:
            return
        if self.known is not None and max(found) < self.known:
            return
        first = min(found)
        more = ""
        if self.known is None or max(found) < self.known:
            more = f", or {self._pass('classes')} if 0 is a class that nobody labelled"
        if void is not None:
            # With --unlabelled 0 these pixels would be labelled.
            raise DataError(
                f"no label is 0, and the values beside {void}, which is not labelled, "
                f"are {named(found)}; renumber them 0, 1, 2, ... if they count from 1 "
                f"({first} is then the background){more}"
            )
        raise DataError(
            f"no label is 0, and the values are {named(found)}; {self._omit(0)} if "
            f"they count from 1 ({first} is then the background){more}"
        )

    def _refuse_objects(self, found: frozenset[int], void: int | None) -> None:
        """Refuse values that may number objects, unless all classes are known."""
        if self.known is not None and max(found) < self.known:
            return
        count = len(found - {0})
        # Strokes of two or three classes are one piece each, too.
        enough = count >= _FEWEST_OBJECTS or (void is None and count > 1)
        if enough and not self.segmented and each_is_one_piece(self.tallies, void):
            # Among objects, 255 is no more likely to be unlabelled than any number.
            also = f" with {self._omit(void)}" if void == IGNORE else ""
            raise DataError(
                f"the labels hold the values {named(found)}, each in one piece as "
                f"object ids are; {self._pass('objects')}{also} if each number is an "
                f"object, or {self._pass('classes')} if each is a class"
            )

    def _refuse_more_classes(
        self, found: frozenset[int], first: int, void: int | None
    ) -> None:
        objects = f"{self._pass('objects')} if the values are object ids"
        other = f"{self._pass('mask')} to take all above 0 for the foreground"
        if each_is_one_piece(self.tallies, void):
            other = objects
        elif void is None and len(found) > _FEWEST_OBJECTS:
            # Ids of objects that lie across each other are in several pieces, too.
            other = f"{objects}, {other}"
        raise DataError(
            f"the labels have the value {max(found)} and the model has only the "
            f"classes {first} to {(self.known or 0) - 1 + first}; {other}, or "
            f"{self.wording.more_classes}"
        )

    def _refuse_stray_white(self, found: frozenset[int]) -> None:
        highest = max(found, default=0)
        others = max(found - {highest}, default=0)
        if highest in _FULL and 0 < others < highest // 2:
            raise DataError(
                f"the labels hold ids up to {others} and {highest}; "
                f"{self._omit(highest)} if {highest} is not labelled, or "
                f"{self._omit('none')} if it is an object"
            )

    def _refuse_white_in_one_file(self, found: frozenset[int]) -> None:
        for white in _FULL:
            if found - {0, white} == {1} and white in found:
                for tally in self.tallies:
                    if {1, white} <= tally.values():
                        raise DataError(
                            f"{tally.name} holds 1 and {white}; {self._omit(white)} "
                            f"if {white} is not labelled, or {self._omit('none')} if "
                            "it is the foreground and 1 the background"
                        )

    def _refuse_grey_beside_1(
        self, grey: Tally, highest: int, void: int | None
    ) -> None:
        for tally in self.tallies:
            top = max(tally.values(void), default=0)
            if tally.values(void) <= {0, top} and 0 < top <= highest // 2:
                raise DataError(
                    f"{tally.name} holds only 0 and {top}, and {grey.name} grey levels "
                    f"up to {highest}, of which half is the limit; save "
                    f"{tally.name} with {highest} for the foreground"
                )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 1
    return names[0] + (f" (and {more} more)" if more else "")

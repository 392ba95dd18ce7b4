"""The section "Compare": two masks on one view, uncertainty, and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.steps.compare.pair import PairChoice
from napari_unet.steps.compare.scores import ScoresPanel
from napari_unet.steps.compare.shown import ShownPair
from napari_unet.steps.compare.uncertainty import UncertaintyRow
from napari_unet.widgets.forms import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.mask_versions import MaskVersions
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live


class CompareSection(Section):
    """Choose two masks, see what differs, and how much. Nothing is learned from it.

    Parameters
    ----------
    viewer, workspace, masks
        What is worked on.
    live
        Has what was learned from the strokes.

    Attributes
    ----------
    choice, shown, uncertainty, scores
        The parts of the section.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, live: Live
    ) -> None:
        super().__init__(
            "Compare",
            "See what differs between two masks, or between a mask and a ground truth; "
            "and where the prediction is uncertain.",
            expanded=False,
        )
        self._masks = masks
        self._versions: MaskVersions | None = None
        self.choice = PairChoice(viewer, masks)
        self.shown = ShownPair(viewer, workspace, self.choice)
        self.scores = ScoresPanel(viewer, workspace, self.choice)
        self.uncertainty = UncertaintyRow(viewer, workspace, masks, live)
        for part in (self.choice, self.shown, self.scores, self.uncertainty):
            self.content.addWidget(part)
        for signal in (workspace.layer_changed, workspace.mask_changed):
            signal.connect(self.reset_choices)
        # What cannot be switched off where it is not seen must not stay.
        self.toggled.connect(lambda expanded: None if expanded else self.end())

    def flicker(self) -> None:
        """Show the other one of two masks that are compared."""
        if self.choice.pair is not None:
            self.expand()
            self.shown.toggle()

    def go_to_next_worst(self) -> None:
        """Go to the next place where two compared masks differ most."""
        self.scores.go_to_next()

    def end(self) -> None:
        """Leave the viewer as it was before."""
        self.shown.end()
        self.uncertainty.end()
        self.scores.end()

    def reset_choices(self) -> None:
        """Offer the masks that there are now."""
        view = self._masks.current
        versions = None if view is None else view.working_image.versions
        if versions is not self._versions:
            if self._versions is not None:
                self._versions.changed.disconnect(self.choice.reset_choices)
            if versions is not None:
                versions.changed.connect(self.choice.reset_choices)
            self._versions = versions
        self.choice.reset_choices()

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer."""
        self.shown.on_removed(layer)
        self.uncertainty.on_removed(layer)

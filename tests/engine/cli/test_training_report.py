"""What a training of strokes prints at its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from unet_engine.cli.commands.training_progress import conclude, describe_evaluation
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.training.events import FineTuned, Validation
from unet_engine.training.mask_score import FEWEST_STROKES, MaskScore
from unet_engine.training.saving import Trained

if TYPE_CHECKING:
    from pathlib import Path


def score(strokes: int) -> MaskScore:
    return MaskScore(
        ious=(0.9, 0.7),
        low=(0.8, 0.6),
        high=(0.95, 0.8),
        strokes=strokes,
        images=2,
        right=0.9,
    )


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Print the end of a training with a score: ``printed(score)``."""
    checkpoint = start_checkpoint(ModelSpec(depth=2, width=4))
    model = ModelStore(tmp_path).save("nerves", checkpoint)
    look = Validation(step=3, loss=0.1, iou=1.0, best=True, seconds=1.0)

    def end(after: MaskScore | None) -> str:
        result = FineTuned(
            checkpoint=checkpoint, improved=True, before=look, after=look, steps=3,
            stopped=False, score_after=after,
        )  # fmt: skip
        options: Any = SimpleNamespace(out="nerves", overwrite=False)
        assert conclude(Trained(result=result, model=model), options) == 0
        return capsys.readouterr().out

    return end


def test_the_score_of_each_class_stands_below_the_validation(printed: Any):
    out = printed(score(FEWEST_STROKES))
    assert "foreground 0.70 (0.60 to 0.80)" in out.splitlines()[-1]
    assert f"{FEWEST_STROKES} strokes (2 images)" in out


def test_too_few_strokes_are_named_and_give_no_score(printed: Any):
    assert "could be checked on 1 stroke" in printed(score(1))


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (None, "validation: IoU 1.000, loss 0.100"),
        (0.52, "validation: expected IoU 0.520, loss 0.100"),
        (float("nan"), "validation: loss 0.100"),
    ],
)
def test_an_evaluation_on_strokes_shows_the_score_of_the_mask(
    expected: float | None, line: str
):
    look = Validation(
        step=3, loss=0.1, iou=1.0, best=False, seconds=1.0, expected_iou=expected
    )
    assert line in describe_evaluation(look)


def test_a_training_of_whole_labels_has_no_such_line(printed: Any):
    assert len(printed(None).splitlines()) == 2

"""``napari-unet evaluate --worst`` lists where result and labels differ most."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from test_cli_literature import data, evaluate, folder, store

from unet_engine.cli import main
from unet_engine.images import open_image
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder", "store"]


@pytest.fixture
def tiny(store: Any, make_checkpoint: Any) -> Any:
    store.save("tiny", make_checkpoint())
    return make_checkpoint()


def test_the_worst_places_of_all_images_come_first(
    folder: Path, tiny: Any, capsys: pytest.CaptureFixture
):
    assert evaluate(folder, "masks", "--worst=2", "--json") == 0
    worst = json.loads(capsys.readouterr().out)["worst"]
    assert len(worst) == 2
    wrong = {}
    for path in (folder / "images").iterdir():
        found = predict(open_image(path), tiny).labels
        truth = open_image(folder / "masks" / path.name).data[...]
        wrong[path.stem] = int((found != truth).sum())
    sizes = [place["pixels"] for place in worst]
    assert sizes == sorted(wrong.values(), reverse=True)[:2]
    for place in worst:
        assert wrong[place["image"]] == place["pixels"], "an image is one square"
        assert place["what"].startswith(f"{place['pixels']:,} px, ")
        assert place["plane"] == [] and place["rows"][1] <= 64


@pytest.mark.usefixtures("tiny")
def test_mistakes_of_objects_are_named(folder: Path, capsys: pytest.CaptureFixture):
    assert evaluate(folder, "ids", "--instances", "--worst=3") == 0
    lines = capsys.readouterr().out.partition("worst places:\n")[2].splitlines()
    assert 0 < len(lines) <= 3
    assert all(line.startswith("  cell_") and " rows " in line for line in lines)
    assert any("object" in line or "outline" in line for line in lines)


@pytest.mark.usefixtures("tiny")
def test_without_the_option_there_is_no_list(
    folder: Path, capsys: pytest.CaptureFixture
):
    assert evaluate(folder, "masks") == 0
    assert "worst" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as refused:
        main(["evaluate", *data(folder, "masks"), "--model=tiny", "--worst=-1"])
    assert refused.value.code == 2
    assert "--worst" in capsys.readouterr().err

"""No run of the plugin imports triton, which crashes beside the LLVM of Mesa.

Each runs in a process of its own with a real window, and with a package ``triton``
first on the path whose import ends the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from unet_engine.models.architectures import ARCHITECTURES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Mesa and triton meet on Linux"),
]

TESTS = Path(__file__).parent
ENDED_BY_TRITON = 99


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return variables under which importing triton ends a process."""
    package = tmp_path / "path/triton/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text(f"import os\nos._exit({ENDED_BY_TRITON})\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def ends(environment: dict[str, str], *arguments: str) -> int:
    """Run Python with arguments and return its exit code."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, ENDED_BY_TRITON), done.stdout[-3000:] + done.stderr
    return done.returncode


def test_the_stand_in_ends_a_process(environment: dict[str, str]) -> None:
    assert ends(environment, "-c", "import triton") == ENDED_BY_TRITON


@pytest.mark.parametrize(
    "test",
    [
        "test_loop.py::test_the_loop",
        "steps/test_pretrain.py::test_pretrain_then_train_a_unet_that_starts_from_it",
    ],
    ids=["fine-tune", "pretrain"],
)
def test_trainings_in_the_window(environment: dict[str, str], test: str) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-m", "slow or not slow"]
    assert ends(environment, "-m", "pytest", *options, str(TESTS / test)) == 0


ALL_ARCHITECTURES = """
    import napari, numpy as np
    from qtpy.QtWidgets import QApplication
    from napari_unet.jobs.job import load_torch

    viewer = napari.Viewer(show=True)
    image = np.random.default_rng(0).integers(0, 255, (96, 96)).astype(np.uint8)
    viewer.add_image(image)
    for _ in range(20):
        QApplication.processEvents()
    load_torch()
    from unet_engine.models.architectures import ARCHITECTURES
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.images import Image
    from unet_engine.prediction.segmentation import predict
    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.fine_tuning import iter_fine_tune
    from unet_engine.models.starting import start_checkpoint

    for name, row in ARCHITECTURES.items():
        for ndim in row.ndims:
            small = {"dense_width": 8} if name.startswith("fcn") else {"depth": 2}
            spec = ModelSpec.for_architecture(name, ndim=ndim, width=4, **small)
            checkpoint = start_checkpoint(spec)
            pixels = image if ndim == 2 else np.stack([image[:64, :64]] * 24)
            axes = "YX" if ndim == 2 else "ZYX"
            config = PredictConfig(device="cpu", tile=32)
            assert predict(Image.from_array(pixels, axes), checkpoint, config).complete
            pair = TrainingPair(
                (pixels[None] / 255).astype(np.float32), (pixels > 127).astype(np.uint8)
            )
            recipe = {**row.recipe, "minutes": 0, "steps": 1, "crop": 32, "batch": 1}
            config = FineTuneConfig(device="cpu", **recipe)
            list(iter_fine_tune(checkpoint, [pair], config))
            print(name, ndim, flush=True)
    viewer.close()
"""


def test_every_architecture_beside_a_window(environment: dict[str, str]) -> None:
    assert len(ARCHITECTURES) > 5
    assert ends(environment, "-c", dedent(ALL_ARCHITECTURES)) == 0

"""The Python examples of the documents run, one after the other, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tifffile

from unet_engine.synthetic.nuclei import nuclei

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if _BLOCK.search(path.read_text("utf-8"))
]


def test_there_are_examples() -> None:
    assert {"README.md", "python.md"} <= {path.name for path in DOCUMENTS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_examples_run(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_UNET_MODELS", str(tmp_path / "models"))
    _write_images(tmp_path)
    namespace: dict[str, object] = {}
    for number, block in enumerate(_BLOCK.findall(document.read_text("utf-8")), 1):
        code = compile(block, f"{document.name}, example {number}", "exec")
        exec(code, namespace)


def _write_images(folder: Path) -> None:
    """Write what the examples open: an image, and folders of images and labels."""
    for name, seed in (("image.tif", 0), ("images/a.tif", 1), ("images/b.tif", 2)):
        pixels, truth = nuclei((96, 96), seed=seed)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, pixels)
        if path.parent != folder:
            labels = folder / "labels" / path.name
            labels.parent.mkdir(exist_ok=True)
            tifffile.imwrite(labels, (truth > 0).astype("uint8"))

"""Model files: whether they are what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.doctor.finding import Finding
from unet_engine.errors import CheckpointError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.versions import installed_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INSTALL_AGAIN = "pip uninstall napari-unet-finetune, then install it again"


def model_findings() -> Iterator[Finding]:
    """Yield the bundled models, read in full, and the headers of the user's own."""
    store = ModelStore()
    infos = store.list()
    broken = store.broken()
    bundled = [info for info in infos if info.bundled]
    for info in bundled:
        yield _read_whole(info.name, info.path)
    imported = [info.name for info in infos if info.spec.imported is not None]
    if imported and not installed_version("onnxruntime"):
        yield Finding(
            area="models",
            state="broken",
            text=f"{', '.join(imported[:3])}: of another program, and onnxruntime, "
            "which runs such models, is not installed",
            advice="pip install 'napari-unet-finetune[bioimageio]'",
        )
    own = len(infos) - len(bundled)
    for path, reason in broken:
        # Those of the user lie in the user's folder, all others came with the package.
        mine = path.parent == store.root
        yield Finding(
            area="models",
            state="broken",
            text=reason,
            advice=f"copy {path.name} again, or move it out of {store.root}"
            if mine
            else _INSTALL_AGAIN,
        )
    if not bundled:
        yield Finding(
            area="models",
            state="broken",
            text="there is no bundled model that can be read",
            advice=_INSTALL_AGAIN,
        )
    text = f"{own} of your own can be read" if own else "none of your own yet"
    yield Finding(area="models", state="ok", text=text)


def _read_whole(name: str, path: Path) -> Finding:
    """Read a bundled model with all its weights, which its digest is compared with."""
    try:
        Checkpoint.load(path)
    except CheckpointError as error:
        return Finding(
            area="models", state="broken", text=str(error), advice=_INSTALL_AGAIN
        )
    return Finding(area="models", state="ok", text=f"{name}: complete and unchanged")

"""The weights that VGG-16 and AlexNet learned on ImageNet, fetched at first use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import torch

from unet_engine.errors import Cancelled, CheckpointError, DataError, SpecError
from unet_engine.files.atomic import whole_file
from unet_engine.models.fcn_trunks import TRUNKS
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.stopping import Stop

Progress = Callable[[int, int], None]
"""Called with the bytes that arrived and the bytes in all (0: unknown)."""


def imagenet_weights(
    name: str,
    *,
    url: str | None = None,
    progress: Progress | None = None,
    stop: Stop = never,
) -> dict[str, npt.NDArray[np.float32]]:
    """Get the weights of a classifier that was trained on ImageNet.

    They are fetched when they are not in torch's own cache folder, which torchvision
    uses too, and checked against the hash in their name each time.

    Parameters
    ----------
    name
        ``"vgg16"`` or ``"alexnet"``.
    url
        Where to get the same file if not from torchvision's server: a mirror.
    progress, stop
        For the download.

    Returns
    -------
    dict
        Float32 arrays by torchvision's names: ``features.*`` and ``classifier.*``, in
        PyTorch's shapes, ``(out, in, *kernel)`` and ``(out, in)``.

    Raises
    ------
    SpecError
        When there is no such classifier.
    CheckpointError
        When the file cannot be fetched, is damaged, or is not what it should be.
    DataError
        When the cache folder cannot be written.
    Cancelled
        When ``stop`` ended the download.
    """
    if name not in TRUNKS:
        raise SpecError(
            f"there are no ImageNet weights for {name!r}; "
            f"choose one of {', '.join(TRUNKS)}"
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = fetch(url or _published_url(name), folder, progress=progress, stop=stop)
    try:
        # Weights only: nothing in the file is executed.
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return {
            key: np.asarray(tensor.detach(), dtype=np.float32)
            for key, tensor in tensors.items()
        }
    except (AttributeError, EOFError, RuntimeError, UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is not a file of weights ({error}); delete it and try again"
        ) from error


def fetch(
    url: str, folder: Path, *, progress: Progress | None = None, stop: Stop = never
) -> Path:
    """Get a file whose name ends in the start of its SHA-256, once.

    Parameters
    ----------
    url
        As torch names its weights: ``.../name-0123abcd.pth``.
    folder
        Where the file is kept; made if needed.
    progress, stop
        Called about once a megabyte.

    Returns
    -------
    Path
        The file, its hash checked.

    Raises
    ------
    CheckpointError
        When it cannot be fetched or has another hash; nothing is left behind.
    DataError
        When the folder cannot be written.
    Cancelled
        When ``stop`` ended it.
    """
    name = url.rpartition("/")[2]
    match = re.search(r"-([0-9a-f]{8,64})\.", name)
    if match is None:
        raise CheckpointError(
            f"{url} has no hash in its name, so what it gives cannot be checked; "
            "use an address such as .../vgg16-397923af.pth"
        )
    path = folder / name
    if not path.exists():
        _make_folder(folder)
        _download(url, path, match[1], progress, stop)
    elif not _sha256(path).startswith(match[1]):
        raise CheckpointError(
            f"{path} is damaged: its SHA-256 does not start with {match[1]}; "
            "delete it and try again"
        )
    return path


_CHUNK = 1 << 20
"""Bytes that are read at once: progress is shown, and a stop works, after each."""

_TIMEOUT_S = 30
"""Seconds without any data after which a server counts as down."""


def _download(
    url: str, path: Path, sha256: str, progress: Progress | None, stop: Stop
) -> None:
    with whole_file(path) as temporary:
        done = 0
        with temporary.open("wb") as file:
            for chunk, total in _chunks(url, path):
                if stop():
                    raise Cancelled("the download was stopped; nothing was kept of it")
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
        if not (found := _sha256(temporary)).startswith(sha256):
            raise CheckpointError(
                f"what {url} gave is damaged or another file: its SHA-256 starts with "
                f"{found[: len(sha256)]}, not {sha256}; nothing was kept, try again"
            )


def _chunks(url: str, path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the parts of a file, each with the size of the whole (0: unknown)."""
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or 0)
            while chunk := response.read(_CHUNK):
                yield chunk, total
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            # It is the open response as well.
            error.close()
        raise CheckpointError(
            f"{path.name} could not be fetched from {url} ({error}); check the "
            f"connection, or put the file into {path.parent}, or train from random "
            "weights, which needs no download"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made ({error.strerror}); set TORCH_HOME to a folder "
            "that can be written"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _published_url(name: str) -> str:
    try:
        try:
            models = import_module("torchvision.models")
        except RuntimeError as error:
            if "torchvision::nms" not in str(error):
                raise
            _declare_operators()
            models = import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:
        raise CheckpointError(
            f"torchvision cannot be imported ({error}); install the build that belongs "
            "to this torch, or give the url of the weights, or train from random "
            "weights"
        ) from error
    url: str = models.get_model_weights(name).IMAGENET1K_V1.url
    return url


@cache
def _declare_operators() -> Any:
    """Let torchvision be imported beside a torch it was not compiled for.

    The package index has torchvision with CUDA. Beside a torch for CPUs its compiled
    operators do not load, and the import fails where it describes two of them to the
    tracer. Its table of weights needs no operator, so it is enough that the two have
    a name; there is no code behind them. The library is kept, as it takes the names
    back when it is collected.
    """
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
    return library

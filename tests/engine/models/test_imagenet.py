"""Fetching weights: from a server that works, lies, breaks off, or is not there."""

from __future__ import annotations

import hashlib
import pickle
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.errors import Cancelled, CheckpointError, DataError, SpecError
from unet_engine.models.imagenet import _published_url, fetch, imagenet_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Quiet(SimpleHTTPRequestHandler):
    """Serve a folder without a word; break off files named so."""

    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: object, outputfile: object) -> None:
        if "broken" in self.path:
            outputfile.write(source.read(100))
        else:
            super().copyfile(source, outputfile)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a folder and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def publish(served: tuple[Path, str]) -> Callable[..., str]:
    """Return what puts bytes on the server and gives their address."""
    folder, address = served

    def put(content: bytes, stem: str = "weights", sha256: str | None = None) -> str:
        start = sha256 or hashlib.sha256(content).hexdigest()[:8]
        (folder / f"{stem}-{start}.pth").write_bytes(content)
        return f"{address}/{stem}-{start}.pth"

    return put


def saved(tmp_path: Path, content: object) -> bytes:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return path.read_bytes()


def test_weights_are_fetched_once_and_checked(
    publish: Callable[..., str], served: tuple[Path, str], cache: Path, tmp_path: Path
):
    weights = {"features.0.weight": torch.arange(6.0).reshape(2, 3)}
    url = publish(saved(tmp_path, weights))
    progress: list[tuple[int, int]] = []
    found = imagenet_weights(
        "vgg16", url=url, progress=lambda done, total: progress.append((done, total))
    )
    np.testing.assert_array_equal(
        found["features.0.weight"], [[0, 1, 2], [3, 4, 5]], strict=False
    )
    size = next(served[0].iterdir()).stat().st_size
    assert progress[-1] == (size, size)
    next(served[0].iterdir()).unlink()
    again = imagenet_weights("vgg16", url=url)
    np.testing.assert_array_equal(again["features.0.weight"], weights.popitem()[1])
    assert [path.name for path in cache.iterdir()] == [url.rpartition("/")[2]]


def test_progress_is_reported_in_parts_and_stop_leaves_nothing(
    publish: Callable[..., str], tmp_path: Path
):
    url = publish(bytes(3 << 20))
    progress: list[int] = []
    with pytest.raises(Cancelled):
        fetch(
            url,
            tmp_path / "cache",
            progress=lambda done, total: progress.append(done),
            stop=lambda: len(progress) >= 2,
        )
    assert progress == [1 << 20, 2 << 20]
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("stem", ["weights", "broken"])
def test_a_wrong_or_broken_download_is_refused_and_not_kept(
    publish: Callable[..., str], tmp_path: Path, stem: str
):
    sha256 = "0123abcd" if stem == "weights" else None
    url = publish(bytes(1000), stem, sha256)
    with pytest.raises(CheckpointError, match="damaged or another file"):
        fetch(url, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_damaged_file_in_the_cache_is_named(
    publish: Callable[..., str], tmp_path: Path
):
    url = publish(b"right")
    path = fetch(url, tmp_path)
    path.write_bytes(b"wrong")
    with pytest.raises(CheckpointError, match=f"{path} is damaged.*delete it"):
        fetch(url, tmp_path)


def test_offline_the_error_names_what_to_do(cache: Path):
    # Port 9 is reserved for discarding; no server runs on it.
    with pytest.raises(CheckpointError) as error:
        imagenet_weights("alexnet", url="http://127.0.0.1:9/alexnet-7be5be79.pth")
    assert "check the connection" in str(error.value)
    assert str(cache) in str(error.value)
    assert "train from random weights" in str(error.value)
    assert not list(cache.iterdir())


def test_a_file_that_is_not_there_and_an_address_without_hash_are_refused(
    served: tuple[Path, str], tmp_path: Path
):
    with pytest.raises(CheckpointError, match="404"):
        fetch(f"{served[1]}/gone-0123abcd.pth", tmp_path)
    with pytest.raises(CheckpointError, match="no hash in its name"):
        fetch(f"{served[1]}/weights.pth", tmp_path)


class Bomb:
    """Ends the program when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_nothing_in_the_file_is_executed(
    publish: Callable[..., str], cache: Path, tmp_path: Path
):
    for content in (
        saved(tmp_path, {"weight": Bomb()}),
        pickle.dumps(Bomb(), protocol=2),
        b"not weights at all",
        saved(tmp_path, [1, 2]),
    ):
        with pytest.raises(CheckpointError, match="not a file of weights"):
            imagenet_weights("vgg16", url=publish(content))


def test_an_unknown_classifier_names_those_there_are():
    with pytest.raises(SpecError, match="choose one of vgg16, alexnet"):
        imagenet_weights("resnet50")


@pytest.mark.slow
def test_addresses_come_from_torchvision():
    assert _published_url("vgg16").endswith("/vgg16-397923af.pth")
    assert _published_url("alexnet").endswith("/alexnet-owt-7be5be79.pth")


def test_a_folder_that_cannot_be_made_is_named(
    publish: Callable[..., str], tmp_path: Path
):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="TORCH_HOME"):
        fetch(publish(b"right"), tmp_path / "file" / "cache")

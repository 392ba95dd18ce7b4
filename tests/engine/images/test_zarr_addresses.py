"""Zarrs at an address, from a server on this computer."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.errors import DataError
from unet_engine.images import open_image
from unet_engine.images.zarr import addresses, retrying, storage
from unet_engine.images.zarr.addresses import METADATA, Address, address_of
from unet_engine.images.zarr.writing import Multiscale

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("aiohttp", reason="an extra")
VERSIONS = ("0.4", "0.5")


class _Quiet(SimpleHTTPRequestHandler):
    """Answers otherwise where chunks are asked for below ``/404/`` and others."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer with a file, an error, or nothing for as long as it is awaited."""
        kind = self.path.split("/")[1]
        if self.path.endswith(METADATA) or not (kind.isdigit() or kind == "silent"):
            super().do_GET()
        elif kind == "silent":
            self.server.ended.wait()
        else:
            self.send_error(int(kind))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ended = threading.Event()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Serve ``tmp_path``; the address of it."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def write_image(path: Path, version: str = "0.4") -> np.ndarray:
    coarse = np.random.default_rng(2).integers(1, 255, (3, 10, 13))
    pixels = coarse.repeat(10, axis=1).repeat(10, axis=2).astype(np.uint8)
    image = Multiscale(
        path=path,
        axes="ZYX",
        shape=pixels.shape,
        chunks=(1, 64, 64),
        dtype=pixels.dtype,
        version=version,
    )
    image.open(anew=True)[...] = pixels
    assert image.finish(lambda: False, {})
    return pixels


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_at_an_address_is_that_of_the_folder(
    tmp_path: Path, served: str, version: str
) -> None:
    pixels = write_image(tmp_path / "a.ome.zarr", version)
    image = open_image(f"{served}/a.ome.zarr/")
    assert (image.axes, image.name) == ("ZYX", "a.ome.zarr")
    np.testing.assert_array_equal(image.read((1,), (slice(30, 90), slice(0, 130)))[0],
                                  pixels[1, 30:90])  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chunk_that_is_not_there_is_refused_or_filled(
    tmp_path: Path, served: str, version: str
) -> None:
    pixels = write_image(tmp_path / "a.ome.zarr", version)
    array = tmp_path / "a.ome.zarr/0"
    (array / ("1/0/1" if version == "0.4" else "c/1/0/1")).unlink()
    everything = (slice(0, 100), slice(0, 130))
    image = open_image(f"{served}/a.ome.zarr")
    np.testing.assert_array_equal(image.read((0,), everything)[0], pixels[0])
    with pytest.raises(DataError, match=r"missing.*--missing-chunks fill"):
        image.read((1,), everything)
    filled = open_image(f"{served}/a.ome.zarr", missing_chunks="fill")
    assert not filled.read((1,), everything)[0, :64, 64:128].any()


@pytest.mark.parametrize(
    ("kind", "message"),
    [("403", "cannot be read .*Forbidden.*check that the storage may be read"),
     ("503", "cannot be read .*503.*2 times in a row.*can be reached"),
     ("silent", "cannot be read .*imeout.*2 times in a row.*can be reached"),
     ("404", "missing: copy or export it again, or pass --missing-chunks fill")],
)  # fmt: skip
def test_a_server_that_fails_is_no_damaged_chunk(
    tmp_path: Path,
    served: str,
    kind: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrying, "WAITS_S", (0.01,))
    monkeypatch.setattr(addresses, "_SILENT_S", 0.3)
    write_image(tmp_path / kind / "a.ome.zarr")
    image = open_image(f"{served}/{kind}/a.ome.zarr")
    with pytest.raises(DataError, match=message) as caught:
        image.read((1,), (slice(0, 100), slice(0, 130)))
    assert f"{served}/{kind}/a.ome.zarr/0" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_the_command_predicts_from_an_address(tmp_path: Path, served: str) -> None:
    write_image(tmp_path / "a.ome.zarr")
    words = ["--model=nuclei", "--device=cpu", "--object-size=off", "-q"]
    here, there = tmp_path / "here.tif", tmp_path / "there.tif"
    assert main(["predict", str(tmp_path / "a.ome.zarr"), str(here), *words]) == 0
    assert main(["predict", f"{served}/a.ome.zarr", str(there), *words]) == 0
    assert tifffile.imread(here).any()
    np.testing.assert_array_equal(tifffile.imread(here), tifffile.imread(there))


def test_what_is_not_there_is_stated_with_what_to_do(
    tmp_path: Path, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"no zarr at .*gone\.zarr; check the address"):
        open_image(f"{served}/gone.zarr")
    with pytest.raises(DataError, match="check the address and the connection"):
        open_image("http://127.0.0.1:9/a.zarr")
    with pytest.raises(DataError, match="use https:// or s3://"):
        open_image("nosuch://host/a.zarr")
    out = str(tmp_path / "o.tif")
    with pytest.raises(SystemExit):
        main(["predict", f"{served}/a.tif", out])
    assert "no zarr; copy the file to this computer" in capsys.readouterr().err
    write_image(tmp_path / "a.ome.zarr")
    assert main(["predict", str(tmp_path / "a.ome.zarr"), f"{served}/b.zarr"]) == 1
    assert "on a web server, which takes no results" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from zarr.storage import FsspecStore

    def refuse(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(FsspecStore, "from_url", refuse)
    with pytest.raises(DataError, match=r"Install s3fs.*finetune\[remote\]"):
        storage.open_store(Address("s3://bucket/a.zarr"), "fill")


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("https://host/a.zarr", "https://host/a.zarr"),
        (Path("https://host/a.zarr"), "https://host/a.zarr"),
        ("S3://bucket/a.zarr/", "s3://bucket/a.zarr"),
        ("C:/data/a.zarr", None),
        ("/data/a.zarr", None),
        ("data/http:/a.zarr", None),
        ("https:///", None),
    ],
)
def test_an_address_is_told_from_a_path(path: str | Path, url: str | None) -> None:
    found = address_of(path)
    assert (found and str(found)) == url


def test_a_folder_of_this_computer_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "day:/a.zarr").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert address_of("day:/a.zarr") is None
    assert address_of("night:/a.zarr") is not None

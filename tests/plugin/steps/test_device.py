"""The device of the dock: chosen, typed or pasted; the token is nowhere to be seen."""

from __future__ import annotations

import json
import logging
import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.state import last_device
from unet_engine.errors import EngineError
from unet_engine.remote import connection, credentials, local_workers
from unet_engine.remote.credentials import new_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Docked

    from napari_unet.steps.predict.device_row import DeviceRow

TOKEN = "A" * 43


class _Workers:
    """What `connect` returns: two workers, or an error."""

    def __init__(self) -> None:
        self.error: EngineError | None = None
        self.asked: list[str] = []

    def connect(self, device: str, stop: Any) -> _Workers:
        self.asked.append(device)
        if self.error is not None:
            raise self.error
        return self

    def describe(self) -> str:
        return "2 workers with a GPU"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep tokens and devices of a test to itself."""
    folder = tmp_path / "config"
    monkeypatch.setattr("unet_engine.devices._tokens", {})
    monkeypatch.setattr(credentials, "_tokens_file", lambda: folder / "tokens.json")
    monkeypatch.setattr(last_device, "_file", lambda: folder / "device.txt")
    return folder


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> _Workers:
    """Workers that answer without a network."""
    found = _Workers()
    monkeypatch.setattr(connection, "connect", found.connect)
    return found


def _row(dock: Docked) -> DeviceRow:
    return dock.widget.predict.form.device


def _paste(row: DeviceRow, text: str) -> None:
    row.lineEdit().selectAll()
    # What the paste of the clipboard does, without a display's clipboard.
    row.lineEdit().insert(text)


def _wait(dock: Docked, text: str) -> None:
    dock.bot.waitUntil(lambda: text in _row(dock).found.text(), timeout=20000)


def test_a_pasted_line_is_used_without_its_token(dock: Docked, workers: Any) -> None:
    row = _row(dock)
    _paste(row, f"  tcp://{TOKEN}@gpu:8786\n")

    assert row.currentText() == "tcp://gpu:8786"
    assert dock.widget.workspace.device == "tcp://gpu:8786"
    assert row.found.text() == "Connecting to gpu:8786…"
    _wait(dock, "Connected: 2 workers with a GPU.")
    assert workers.asked == ["tcp://gpu:8786"]


def test_what_the_worker_printed_may_be_pasted_whole(
    dock: Docked, workers: Any
) -> None:
    _paste(
        _row(dock),
        f"1 process computes. Choose this device:   tcp://{TOKEN}@[::1]:8786 and on",
    )

    assert dock.widget.workspace.device == "tcp://[::1]:8786"


def test_no_key_shows_the_token_again(dock: Docked, workers: Any) -> None:
    row = _row(dock)
    _paste(row, f"tcp://{TOKEN}@gpu:8786")
    for _ in range(3):
        row.lineEdit().undo()

    assert TOKEN not in row.currentText()


def test_a_token_that_is_typed_goes_with_the_address(
    dock: Docked, workers: Any
) -> None:
    row = _row(dock)
    row.lineEdit().selectAll()
    QTest.keyClicks(row.lineEdit(), f"tcp://{TOKEN}@")
    assert row.currentText() == "tcp://"
    QTest.keyClicks(row.lineEdit(), "gpu:87")
    assert dock.widget.workspace.device == "auto"
    QTest.keyClick(row.lineEdit(), Qt.Key.Key_Return)

    assert dock.widget.workspace.device == "tcp://gpu:87"
    assert credentials.token_for("tcp://gpu:87") == TOKEN


def test_workers_that_answered_are_offered_in_the_next_window(
    dock: Docked, workers: Any, own_folder: Path
) -> None:
    _paste(_row(dock), f"tcp://{TOKEN}@gpu:8786")
    _wait(dock, "Connected")

    assert json.loads((own_folder / "tokens.json").read_text()) == {"gpu:8786": TOKEN}
    assert last_device.last_device() == "tcp://gpu:8786"
    next_row = type(_row(dock))(dock.widget.workspace)
    dock.bot.addWidget(next_row)
    assert next_row.findText("tcp://gpu:8786") > 0


def test_workers_that_do_not_answer_are_not_offered(
    dock: Docked, workers: Any, own_folder: Path
) -> None:
    workers.error = EngineError("nothing listens at gpu:8786; start it there")
    _paste(_row(dock), f"tcp://{TOKEN}@gpu:8786")
    _wait(dock, "Nothing listens at gpu:8786; start it there.")

    assert not (own_folder / "tokens.json").exists()
    assert dock.widget.workspace.device == "tcp://gpu:8786"


def test_workers_are_tried_again_by_the_return_key_and_after_a_run(
    dock: Docked, workers: Any
) -> None:
    workers.error = EngineError("nothing listens")
    row = _row(dock)
    _paste(row, f"tcp://{TOKEN}@gpu:8786")
    _wait(dock, "Nothing listens")
    QTest.keyClick(row.lineEdit(), Qt.Key.Key_Return)
    _wait(dock, "Nothing listens")
    workers.error = None
    dock.widget.workspace.begin("predict")
    dock.widget.workspace.end("predict")
    _wait(dock, "Connected")


@pytest.mark.parametrize(
    "text", ["gpu", "cuda:x", "local:0", f"tcp:/{TOKEN}@gpu", "tcp://gpu", TOKEN]
)
def test_a_text_that_is_no_device_changes_nothing(dock: Docked, text: str) -> None:
    row = _row(dock)
    row.value = "cpu"
    row.lineEdit().selectAll()
    QTest.keyClicks(row.lineEdit(), text)
    QTest.keyClick(row.lineEdit(), Qt.Key.Key_Return)

    assert dock.widget.workspace.device == row.currentText() == "cpu"
    assert "tcp://host:port" in row.found.text()
    assert row.found.text().endswith("cpu is used until then.")
    assert TOKEN not in row.found.text()


def test_one_of_several_gpus_goes_to_all_steps(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_engine.compute.devices._works", lambda device: True)
    row = _row(dock)
    row.lineEdit().selectAll()
    QTest.keyClicks(row.lineEdit(), "cuda:1")
    QTest.keyClick(row.lineEdit(), Qt.Key.Key_Return)

    assert dock.widget.predict.form.config.device == "cuda:1"
    assert dock.widget.fine_tune.config.device == "cuda:1"
    dock.bot.waitUntil(lambda: row._job is None, timeout=20000)
    assert row.found.text() == ""


def test_a_gpu_that_is_not_there_is_said_before_a_run(dock: Docked) -> None:
    _row(dock).choose("cuda:99")
    _wait(dock, "use auto or cpu")


def test_processes_of_this_machine_are_offered_where_they_have_processors(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = find_spec("distributed") is not None
    for processors, offered in ((2, False), (8, there)):
        monkeypatch.setattr("os.cpu_count", lambda n=processors: n)
        row = type(_row(dock))(dock.widget.workspace)
        dock.bot.addWidget(row)
        assert (row.findText("local:2") > 0) == offered
    _row(dock).choose("local:2")
    _wait(dock, "2 processes of this machine" if there else "pip install")


def test_a_missing_library_is_said_before_a_run(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed.security", None)
    _row(dock).choose("local:2")
    _wait(dock, "pip install")


def test_the_token_is_in_nothing_that_is_kept_or_copied(
    dock: Docked,
    workers: Any,
    plane: Any,
    tmp_path: Path,
    own_folder: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    tifffile.imwrite(tmp_path / "cells.tif", plane)
    with layer_source(path=str(tmp_path / "cells.tif")):
        dock.viewer.add_image(plane, name="cells")
    _paste(_row(dock), f"tcp://{TOKEN}@gpu:8786")
    _wait(dock, "Connected")
    section = dock.widget.predict
    texts = section._texts()

    assert "--device=tcp://gpu:8786" in texts.words
    assert "device='tcp://gpu:8786'" in texts.python
    written = "".join(
        path.read_text(errors="replace")
        for path in (own_folder, tmp_path)
        for path in path.rglob("*")
        if path.is_file() and path.name != "tokens.json"
    )
    state = [
        vars(dock.widget.workspace),
        {name: field.value for name, field in section.form.fields.items()},
        section.form.config,
        dock.widget.fine_tune.config,
        _row(dock).found.text(),
        [_row(dock).itemText(n) for n in range(_row(dock).count())],
        texts,
        written,
        caplog.text,
    ]
    assert TOKEN not in repr(state)
    assert not any(TOKEN in repr(vars(one)) for one in (_row(dock), section.form))


def test_a_run_can_be_stopped_while_nobody_answers(dock: Docked, plane: Any) -> None:
    pytest.importorskip("cryptography")
    dock.viewer.add_image(plane)
    text = dock.widget.predict.text
    # It takes the line and says nothing, as a firewall in between does.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        _paste(_row(dock), f"tcp://{TOKEN}@127.0.0.1:{port}")
        dock.widget.predict.predict.click()
        dock.bot.waitUntil(lambda: "Connecting to tcp" in text.text(), timeout=20000)
        dock.widget.predict.cancel.click()
        dock.wait()
        # A connection is given up after ten seconds; the run did not wait for that.
        assert [t.name for t in threading.enumerate()].count("unet-connect")

    assert text.text() == "Stopped."


@pytest.fixture
def served() -> Iterator[str]:
    """Address and token of a scheduler with a process, as of `napari-unet worker`."""
    pytest.importorskip("cryptography")
    workers = local_workers._start(1)
    token = credentials.token_for(workers.device)
    yield workers.device.replace("//", f"//{token}@")
    workers.close()
    workers.process.wait(timeout=20)


@pytest.mark.slow
def test_workers_predict_for_the_dock(dock: Docked, plane: Any, served: str) -> None:
    dock.viewer.add_image(plane, name="cells")
    _paste(_row(dock), served)
    _wait(dock, "Connected: 1 worker on the CPU.")
    dock.predict()

    assert "1 tile" in dock.widget.predict.text.text()
    np.testing.assert_array_equal(dock.mask.data, _mask_of(dock, plane))


def _mask_of(dock: Docked, plane: Any) -> Any:
    from unet_engine import Image, predict

    checkpoint = dock.widget.workspace.store.load("tiny")
    return predict(Image.from_array(plane, "YX"), checkpoint).labels


@pytest.mark.slow
def test_another_token_is_said(dock: Docked, served: str) -> None:
    _paste(_row(dock), f"tcp://{new_token()}@{served.rpartition('@')[2]}")
    _wait(dock, "has another token; use the whole line")


def test_the_preference_last_used_begins_with_the_device_chosen_last(
    dock: Docked, workers: Any, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    _paste(_row(dock), f"tcp://{TOKEN}@gpu:8786")
    monkeypatch.setattr("napari_unet.dock.preference", _last_used)
    widget = type(dock.widget)(type(dock.viewer)(), dock.widget.workspace.store)
    dock.bot.addWidget(widget)

    assert widget.workspace.device == "tcp://gpu:8786"
    (own_folder / "device.txt").write_text("nonsense")
    assert last_device.last_device() == "auto"


def _last_used(name: str, default: Any) -> Any:
    return last_device.LAST_USED if name == "device" else default

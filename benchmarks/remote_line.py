"""Press Predict in a dock whose device is at the other end of a slow line. Linux, root.

::

    python benchmarks/remote_line.py --json remote_line.json

Two network namespaces are two hosts; `emulated_line` carries their packets with 20 ms
there and back, 20 Mbit/s and 1 % loss. In one runs ``napari-unet worker``, in the other
a dock without a window, on which the line is pasted and whose buttons are pressed, at
their defaults. Times are those at which the text of the dock changed. Both hosts share
the processors of this machine; ``tile_here_s`` is how long a tile of the run takes in
one process without a line, to be subtracted for a worker with a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from emulated_line import FAR, emulated_line

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT_S = 300.0
"""Seconds after which waiting counts as a failure."""
_PORT = 8786
"""The usual one of a worker."""
_WORKER = "import sys; from unet_engine.cli import main; sys.exit(main())"
"""What the command napari-unet does, of the checkout that is measured."""
_EDGE = 1024
"""Pixels of an edge of the image, of one byte each: about a screen."""
_REPEATS = 3
"""Predictions of which the median counts."""
_LOOK_S = 2.0
"""Seconds between an image that is opened and a click, unless it is clicked at once."""
_SHORT_CUT_S = 5.0
"""Seconds without a line after which it is there again."""


def main() -> None:
    """Run the measurements and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--model", default="nuclei", help="that predicts")
    parser.add_argument(
        "--small",
        action="store_true",
        help="have a small network predict, which is as fast as others on a GPU",
    )
    parser.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        address, shaper = options.client
        _Client(address, shaper, options.model).measure()
        return
    with tempfile.TemporaryDirectory() as folder, emulated_line() as line:
        token = Path(folder, "token")
        command = [sys.executable, "-c", _WORKER, "worker"]
        command += ["--host", FAR, "--token-file", str(token), "--device", "cpu"]
        own = {**os.environ, "XDG_CONFIG_HOME": folder, "NAPARI_UNET_STROKES": folder}
        if options.small:
            own["NAPARI_UNET_MODELS"] = folder
            options.model = _make_small(Path(folder))
        worker = subprocess.Popen(
            line.far(*command), stdout=subprocess.PIPE, text=True, env=own
        )
        try:
            assert worker.stdout is not None
            worker.stdout.readline()
            address = worker.stdout.readline().strip()
            address = f"tcp://{token.read_text().strip()}@{FAR}:{_PORT}"
            client = [sys.executable, __file__, "--model", options.model]
            client += ["--client", address, str(line.shaper.pid)]
            done = subprocess.run(
                line.near(*client),
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env={**own, "QT_QPA_PLATFORM": "offscreen"},
            )
        finally:
            worker.send_signal(signal.SIGINT)
            worker.wait(timeout=30)
    found = json.loads(done.stdout.splitlines()[-1])
    found["load"] = os.getloadavg()[0]
    text = json.dumps(found, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text)


def _make_small(folder: Path) -> str:
    """Save a network of a thousandth of the usual work, and return its name."""
    from unet_engine import ModelSpec, ModelStore
    from unet_engine.models.starting import start_checkpoint

    spec = ModelSpec(depth=2, width=2, classes=("background", "nucleus"))
    return ModelStore(folder).save("small", start_checkpoint(spec)).name


class _Client:
    """A dock, and what is measured of it."""

    def __init__(self, address: str, shaper: str, model: str) -> None:
        from napari.components import ViewerModel
        from qtpy.QtWidgets import QApplication

        from napari_unet.dock import UNetWidget

        self._application = QApplication([])
        self._address, self._shaper = address, int(shaper)
        self._viewer = ViewerModel()
        self._dock = UNetWidget(self._viewer)
        self._dock.select_model(model)
        self._found: dict[str, Any] = {"model": model}

    def measure(self) -> None:
        """Print the figures as a line of JSON."""
        self._add_image(0)
        # A model that was not used before is made ready here, as after a coffee break.
        self._press()
        self._until_idle()
        row = self._dock.predict.form.device
        self._found["tile_here_s"] = self._tile_here()
        begun = time.monotonic()
        row.lineEdit().selectAll()
        row.lineEdit().insert(self._address)
        self._wait(lambda: "Connecting" not in row.found.text())
        if "Connected" not in row.found.text():
            raise RuntimeError(row.found.text())
        self._found["connected_s"] = time.monotonic() - begun
        self._send_and_predict()
        self._predict_again()
        self._cancel()
        self._cut_for_a_moment()
        self._cancel_without_line()
        self._cut_for_good()
        print(json.dumps(self._found))
        sys.stdout.flush()
        os._exit(0)

    def _send_and_predict(self) -> None:
        """The first prediction: the model goes there."""
        self._add_image(1)
        begun = self._press()
        self._wait(lambda: "Sending" in self._text or self._has_tile())
        self._wait(lambda: "7 of 8" in self._text or self._has_tile())
        self._found["model_sent_s"] = time.monotonic() - begun
        self._wait(self._has_tile)
        self._found["first_tile_with_model_s"] = time.monotonic() - begun
        self._until_idle()
        self._found["whole_with_model_s"] = time.monotonic() - begun

    def _predict_again(self) -> None:
        for name, looks in ("", True), ("_at_once", False):
            firsts, wholes = [], []
            for seed in range(_REPEATS):
                self._add_image(2 + 2 * seed + looks, looks=looks)
                begun = self._press()
                self._wait(self._has_tile)
                firsts.append(time.monotonic() - begun)
                self._until_idle()
                wholes.append(time.monotonic() - begun)
            self._found[f"first_tile{name}_s"] = firsts
            self._found[f"first_tile{name}_median_s"] = statistics.median(firsts)
            self._found[f"whole{name}_median_s"] = statistics.median(wholes)

    def _cancel(self) -> None:
        self._add_image(10)
        self._press()
        self._wait(self._has_tile)
        self._found["cancel_s"] = self._cancelled()

    def _cut_for_a_moment(self) -> None:
        self._add_image(11)
        self._press()
        self._wait(self._has_tile)
        self._signal(signal.SIGUSR1)
        self._pause(_SHORT_CUT_S)
        before = self._text
        begun = self._signal(signal.SIGUSR2)
        self._wait(lambda: self._text != before)
        self._found["tile_after_cut_s"] = time.monotonic() - begun
        self._until_idle()
        self._found["after_short_cut"] = self._text

    def _cancel_without_line(self) -> None:
        self._add_image(12)
        self._press()
        self._wait(self._has_tile)
        self._signal(signal.SIGUSR1)
        self._pause(1.0)
        self._found["cancel_without_line_s"] = self._cancelled()
        self._signal(signal.SIGUSR2)
        self._pause(3.0)

    def _cut_for_good(self) -> None:
        self._add_image(13)
        self._press()
        self._wait(self._has_tile)
        begun = self._signal(signal.SIGUSR1)
        self._wait(lambda: "this machine finished" in self._text)
        self._found["here_after_s"] = time.monotonic() - begun
        self._until_idle()
        self._found["after_long_cut"] = self._text

    @property
    def _text(self) -> str:
        return str(self._dock.predict.text.text())

    def _has_tile(self) -> bool:
        return self._text.startswith("Tile ")

    def _add_image(self, seed: int, *, looks: bool = True) -> None:
        """Show an image; with ``looks`` the user looks at it for a moment."""
        from unet_engine.synthetic.nuclei import nuclei

        pixels, _ = nuclei((_EDGE, _EDGE), seed=seed)
        self._viewer.layers.clear()
        self._viewer.add_image(pixels, name=f"nuclei {seed}")
        self._wait(lambda: not self._dock.workspace.busy)
        if not looks:
            return
        # Models are tried on a new image; that is not what is measured.
        self._pause(_LOOK_S)
        self._wait(lambda: "Trying" not in self._dock.proposals.text.text())

    def _press(self) -> float:
        begun = time.monotonic()
        self._dock.predict.predict.click()
        return begun

    def _cancelled(self) -> float:
        begun = time.monotonic()
        self._dock.predict.cancel.click()
        self._until_idle()
        return time.monotonic() - begun

    def _signal(self, number: signal.Signals) -> float:
        os.kill(self._shaper, number)
        return time.monotonic()

    def _tile_here(self) -> float:
        """Return the seconds of the last prediction, divided by its tiles."""
        count, _, rest = self._text.partition(" tiles in ")
        return float(rest.partition(" s on ")[0]) / int(count)

    def _until_idle(self) -> None:
        self._wait(lambda: not self._dock.workspace.busy)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() > end)

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _LIMIT_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(self._text)
            self._application.processEvents()
            time.sleep(0.005)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

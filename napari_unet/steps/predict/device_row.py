"""``DeviceRow``: where models run, chosen, typed or pasted, and what is there."""

from __future__ import annotations

import os
import re
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLineEdit

from napari_unet.jobs.device_check import device_check_run
from napari_unet.jobs.job import describe_error, run
from napari_unet.state.last_device import keep_device
from napari_unet.widgets.forms import TextLine
from unet_engine.devices import (
    USUAL_DEVICES,
    Device,
    checked_device,
    is_remote,
    split_token,
)
from unet_engine.errors import SpecError
from unet_engine.remote.credentials import remembered_devices

if TYPE_CHECKING:
    from napari_unet.jobs.job import Job
    from napari_unet.state.workspace import Workspace

TOOLTIP = (
    "Where models run. auto takes a GPU of this machine if there is one. For a GPU of "
    "another machine, start napari-unet worker there and paste the line that it prints."
)
_ADDRESS = re.compile(r"(?:tcp|tls)://\S*")
_ALWAYS = ("auto", "cpu")
"""Devices that every machine has."""
_PROCESSORS = 4
"""Of this machine, from which on two processes have two each."""


class DeviceRow(QComboBox):
    """A list of devices in which one can also be typed, or the line of a worker pasted.

    A token is taken out of the text at once, so that none is shown.

    Parameters
    ----------
    workspace
        Where the device is kept.

    Attributes
    ----------
    found
        A line on what is there, or why the device cannot be used, to be placed below.
    changed
        Another device was chosen.
    connected
        What is there was found out: workers answer.
    """

    changed = Signal(str)
    connected = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._token = ""
        self._job: Job | None = None
        self._failed = False
        self._refused = False
        self.found = TextLine()
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        # It would complete what is typed to an address of long ago.
        self.setCompleter(None)
        self._field: QLineEdit = self.lineEdit()
        self._offer()
        self._show(workspace.device)
        self._field.textChanged.connect(self._hide_token)
        self._field.textEdited.connect(self._on_typed)
        self._field.editingFinished.connect(self._on_edited)
        self._field.returnPressed.connect(self._on_picked)
        self.activated.connect(self._on_picked)
        workspace.activity_changed.connect(self._on_activity_changed)

    @property
    def value(self) -> Device:
        """The device; one that is set may have a token in it."""
        return self._workspace.device

    @value.setter
    def value(self, text: str) -> None:
        try:
            device = checked_device(text)
        except SpecError as error:
            self._end_check()
            self._refused = True
            self._fail(f"{error}; {self.value} is used until then")
            self._show(self.value)
            return
        self._show(device)
        if device == self.value and not self._failed and not self._token:
            return
        self._token = ""
        self._workspace.device = device
        self.changed.emit(device)
        self._check()

    def choose(self, text: str) -> None:
        """Choose a device as the user does, to be found again in the next window."""
        before = self.value
        self.value = text
        if self.value != before:
            keep_device(self.value)

    def _offer(self) -> None:
        """List the usual devices, and those whose tokens are known."""
        self.clear()
        self.addItems(USUAL_DEVICES)
        if (os.cpu_count() or 1) >= _PROCESSORS and find_spec("distributed"):
            self.addItem("local:2")
        for device in remembered_devices():
            if self.findText(device) < 0:
                self.addItem(device)

    def _show(self, device: Device) -> None:
        self.setCurrentIndex(self.findText(device))
        self._field.setText(device)
        self._field.setCursorPosition(0)

    def _hide_token(self, text: str) -> None:
        """Keep a token that was pasted or typed apart, and show the rest."""
        address = _ADDRESS.search(text)
        shown, token = split_token(address[0] if address else text)
        if not token:
            return
        self._token = token
        # Without signals, and without a history from which it could be undone.
        self._field.setText(shown)
        try:
            checked_device(shown)
        except SpecError:
            return
        # All of it at once: a line that was pasted.
        self._on_edited()

    def showPopup(self) -> None:
        """Show the list; what is picked is taken, whatever was refused before."""
        self._refused = False
        super().showPopup()

    def _on_typed(self, *_: object) -> None:
        self._refused = False

    def _on_picked(self, *_: object) -> None:
        """Take what was picked or entered; the same device is tried again."""
        if self._field.text().strip() == self.value and not self._token:
            # Qt reports one press of the return key more than once.
            if not self._refused:
                self._check()
        else:
            self._on_edited()

    def _on_edited(self) -> None:
        text = self._field.text().strip()
        if self._token and (found := re.fullmatch(r"(\w+)://(.*)", text)):
            text = f"{found[1]}://{self._token}@{found[2]}"
        if text != self.value:
            self.choose(text)
        self._token = ""

    def _check(self) -> None:
        """Find out, in a thread, whether the device is there."""
        self._end_check()
        device, self._failed = self.value, False
        there = device.partition("://")[2]
        self.found.setText(f"Connecting to {there}…" if there else "")
        if device in _ALWAYS:
            return
        self._job = run(
            partial(device_check_run, device),
            parent=self,
            on_result=self._on_found,
            on_error=self._on_error,
        )

    def _end_check(self) -> None:
        if self._job is not None:
            self._job.discard()
        self._job = None

    def _on_found(self, text: str) -> None:
        self._job = None
        self.found.setText(text)
        self.connected.emit()
        if self.findText(self.value) < 0:
            self._offer()
            self._show(self.value)

    def _on_error(self, error: Exception) -> None:
        self._job = None
        self._fail(describe_error(error))

    def _fail(self, why: str) -> None:
        self._failed = True
        self.found.setText(f"{why[:1].upper()}{why[1:]}.")

    def _on_activity_changed(self) -> None:
        # What was missing may be there by now: the run connected.
        if self._failed and not self._workspace.activity and is_remote(self.value):
            self._check()

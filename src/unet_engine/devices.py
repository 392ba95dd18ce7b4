"""Names of the devices a network runs on, and of its precisions. No torch."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["full", "half"]

"""The words for where a network runs and how exactly it multiplies. No torch."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["full", "half"]

"""What was done in the window as a command and as a Python script. No torch.

`texts` makes words of a command and calls of Python from settings; `runs` has the texts
of a batch, a prediction, objects and a training. Command and script of a run write the
same files; of a training they have the same settings.
"""

from unet_engine.scripting.runs import (
    batch_texts,
    fine_tuning_texts,
    objects_texts,
    prediction_texts,
)
from unet_engine.scripting.texts import RunTexts

__all__ = [
    "RunTexts",
    "batch_texts",
    "fine_tuning_texts",
    "objects_texts",
    "prediction_texts",
]

# The public API: lazy_loader imports each name from here when it is first used, type
# checkers and editors read it as it is.

from .annotations.annotations import Annotations
from .annotations.store import ImageIdentity, StrokeStore
from .errors import (
    Cancelled,
    CheckpointError,
    DataError,
    EngineError,
    OutOfMemoryError,
    SpecError,
)
from .images import (
    Image,
    list_images,
    open_image,
    pair_folders,
    read_labels,
    write_labels,
    write_probabilities,
)
from .labels import IGNORE
from .models.checkpoint import Checkpoint, ModelInfo
from .models.spec import ModelSpec
from .models.starting import start_checkpoint, start_from
from .models.store import ModelStore
from .objects import (
    ObjectConfig,
    Objects,
    SemanticMask,
    label_objects,
    measure_objects,
    write_table,
)
from .prediction.config import PredictConfig
from .prediction.denoising import denoise, iter_denoise
from .prediction.disk_output import DiskOutput
from .prediction.events import Denoised, Prediction, TileDone
from .prediction.segmentation import iter_predict, predict
from .training.config import FineTuneConfig, PretrainConfig
from .training.events import FineTuned, Step, Validation

__all__ = [
    "IGNORE",
    "Annotations",
    "Cancelled",
    "Checkpoint",
    "CheckpointError",
    "DataError",
    "Denoised",
    "DiskOutput",
    "EngineError",
    "FineTuneConfig",
    "FineTuned",
    "Image",
    "ImageIdentity",
    "ModelInfo",
    "ModelSpec",
    "ModelStore",
    "ObjectConfig",
    "Objects",
    "OutOfMemoryError",
    "PredictConfig",
    "Prediction",
    "PretrainConfig",
    "SemanticMask",
    "SpecError",
    "Step",
    "StrokeStore",
    "TileDone",
    "Validation",
    "denoise",
    "iter_denoise",
    "iter_predict",
    "label_objects",
    "list_images",
    "measure_objects",
    "open_image",
    "pair_folders",
    "predict",
    "read_labels",
    "start_checkpoint",
    "start_from",
    "write_labels",
    "write_probabilities",
    "write_table",
]

__version__: str

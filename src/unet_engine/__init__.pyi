# The public API: lazy_loader imports each name from here when it is first used, type
# checkers and editors read it as it is.

from .annotations.annotations import Annotations
from .annotations.store import ImageIdentity, StrokeStore
from .batch import BatchConfig, BatchResult, iter_run_batch, plan_batch, run_batch
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
from .models.starting import start_checkpoint, start_from, with_classes
from .models.store import ModelStore
from .objects import (
    ObjectConfig,
    Objects,
    SemanticMask,
    label_objects,
    measure_objects,
    write_table,
)
from .outlines import OutlineFile, read_outlines, write_outlines
from .prediction.config import PredictConfig
from .prediction.denoising import denoise, iter_denoise
from .prediction.disk_output import DiskOutput
from .prediction.empty_tiles import EmptyRule
from .prediction.events import Denoised, Prediction, TileDone
from .prediction.segmentation import iter_predict, predict
from .remote.seeking import Reconnecting
from .tracking import Tracks, link_frames, write_ctc, write_geff
from .training.config import FineTuneConfig, PretrainConfig
from .training.data.labelled_files import open_labelled
from .training.data.labelled_images import LabelledImage, PaintedImage
from .training.evaluation import Evaluation, evaluate
from .training.events import FineTuned, Note, Step, Validation
from .training.pretraining import pretrain
from .training.rounds import fine_tune

__all__ = [
    "IGNORE",
    "Annotations",
    "BatchConfig",
    "BatchResult",
    "Cancelled",
    "Checkpoint",
    "CheckpointError",
    "DataError",
    "Denoised",
    "DiskOutput",
    "EmptyRule",
    "EngineError",
    "Evaluation",
    "FineTuneConfig",
    "FineTuned",
    "Image",
    "ImageIdentity",
    "LabelledImage",
    "ModelInfo",
    "ModelSpec",
    "ModelStore",
    "Note",
    "ObjectConfig",
    "Objects",
    "OutOfMemoryError",
    "OutlineFile",
    "PaintedImage",
    "PredictConfig",
    "Prediction",
    "PretrainConfig",
    "Reconnecting",
    "SemanticMask",
    "SpecError",
    "Step",
    "StrokeStore",
    "TileDone",
    "Tracks",
    "Validation",
    "denoise",
    "evaluate",
    "fine_tune",
    "iter_denoise",
    "iter_predict",
    "iter_run_batch",
    "label_objects",
    "link_frames",
    "list_images",
    "measure_objects",
    "open_image",
    "open_labelled",
    "pair_folders",
    "plan_batch",
    "predict",
    "pretrain",
    "read_labels",
    "read_outlines",
    "run_batch",
    "start_checkpoint",
    "start_from",
    "with_classes",
    "write_ctc",
    "write_geff",
    "write_labels",
    "write_outlines",
    "write_probabilities",
    "write_table",
]

__version__: str

"""Options of ``napari-unet models`` and of its commands.

Annotations here are read at run time.
"""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unet_engine.cli.options.data import ImageOptions
from unet_engine.cli.options.parameters import Flag, QuietOption, UserPath


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelsOptions(ImageOptions):
    """Which models are listed, and how.

    Parameters
    ----------
    image
        Try the bundled models on a part of this image, and list them with the one first
        that suits it best.
    json
        Print one JSON array on stdout.
    """

    image: Annotated[UserPath | None, Parameter(name="--for", metavar="IMAGE")] = None
    json: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ShowOptions(ImageOptions):
    """What is shown of a model.

    Parameters
    ----------
    image
        State also whether the model can be used on this image, or why not.
    json
        Print one JSON object on stdout.
    """

    image: Annotated[UserPath | None, Parameter(name="--for", metavar="IMAGE")] = None
    json: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NoteOptions(QuietOption):
    """What is written about a model.

    Parameters
    ----------
    notes
        Free text, in place of what is there; "" removes it.
    licence
        Of the weights, such as "CC BY 4.0"; "" removes it.
    """

    notes: str | None = None
    licence: str | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RestoreOptions(QuietOption):
    """Under which name a model comes back.

    Parameters
    ----------
    new
        Another name than it had.
    """

    new: Annotated[str, Parameter(name="--as", metavar="NAME", show_default=False)] = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportOptions(QuietOption):
    """What is written.

    Parameters
    ----------
    without_crops
        Leave out the parts of labelled images that are kept beside the model.
    overwrite
        Replace a model that is there.
    """

    without_crops: Flag = False
    overwrite: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImportOptions(QuietOption):
    """How the model is called.

    Parameters
    ----------
    name
        Of the model, where one file is added; else that of the file, or the next free
        one.
    trust
        Run the TorchScript of packages that have no ONNX, once, to make ONNX of it. It
        is a program that could read and change your files: only for files of people
        whom you trust.
    """

    name: Annotated[str, Parameter(show_default=False)] = ""
    trust: Flag = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CompareOptions(ImageOptions):
    """On what models are compared.

    Parameters
    ----------
    image
        Predict this image with both, and state how far the masks agree.
    """

    image: Annotated[UserPath | None, Parameter(name="--on", metavar="IMAGE")] = None

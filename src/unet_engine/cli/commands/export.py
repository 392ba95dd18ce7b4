"""``napari-unet export``: a model as a package for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from unet_engine.cli.options.parameters import Flag, QuietOption, UserPath
from unet_engine.cli.progress import report
from unet_engine.models.store import ModelStore


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PackageOptions(QuietOption):
    """What is written.

    Parameters
    ----------
    author
        Who made the model; give it once for each person.
    overwrite
        Replace a package that is there.
    """

    author: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    overwrite: Flag = False


def run(
    model: Annotated[str, Parameter(metavar="MODEL")],
    package: UserPath,
    /,
    *,
    options: PackageOptions = PackageOptions(),
) -> int:
    """Write a model as a package of bioimage.io, for other programs.

    It holds the weights, TorchScript and, if onnx is installed, ONNX, with an example
    that every program can compare itself with. napari-unet models import reads it.
    Needs pip install 'napari-unet-finetune[bioimageio]'.

    Parameters
    ----------
    model
        Its name.
    package
        A path that ends with .zip.
    options
        What is written.

    Examples
    --------
    napari-unet export mine mine.zip --author "Ada Lovelace"
    """
    # Loaded when a package is written: the help needs no torch.
    from unet_engine.model_packages.export import export_package

    done = export_package(
        ModelStore(),
        model,
        package,
        authors=options.author,
        overwrite=options.overwrite,
    )
    print(done.path)
    report(done.notes, quiet=options.quiet)
    return 0

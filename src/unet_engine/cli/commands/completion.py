"""``napari-unet completion``: let a shell complete commands and options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cyclopts import Parameter

from unet_engine.cli.app import PROGRAM, SUBCOMMANDS, build_app, with_subcommands
from unet_engine.cli.options.parameters import DebugOption, Flag

Shell = Literal["bash", "zsh", "fish", "powershell"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CompletionOptions(DebugOption):
    """What is done with the script.

    Parameters
    ----------
    install
        Write the script to where the shell looks for it, and let the start of the shell
        read it.
    """

    install: Flag = False


def run(shell: Shell, /, *, options: CompletionOptions = CompletionOptions()) -> int:
    """Print a script with which a shell completes commands and options, or install it.

    Parameters
    ----------
    shell
        Which shell.
    options
        What is done with the script.

    Examples
    --------
    napari-unet completion bash --install
    napari-unet completion zsh > ~/.zfunc/_napari-unet
    """
    app = build_app()
    for name in SUBCOMMANDS:
        with_subcommands(app, name)
    if options.install:
        place = app.install_completion(shell=shell)
        print(f"{place} is written; {PROGRAM} is completed in the next {shell}")
    else:
        print(app.generate_completion(shell=shell))
    return 0

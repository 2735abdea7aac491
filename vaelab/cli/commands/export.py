"""`vaelab export`."""

from pathlib import Path
from typing import Annotated

import tyro

from vaelab.cli.commands.flags import RunPath, Trust, optional


def export(
    run: RunPath,
    out: Annotated[Path, tyro.conf.arg(metavar="DIR", help="the folder to write")],
    formats: Annotated[
        tuple[str, ...],
        optional("what to write: weights (always written), onnx, pt2", "all three", metavar="NAME"),
    ] = ("weights", "onnx", "pt2"),
    overwrite: Annotated[bool, optional("replace a folder that this command wrote", "off")] = False,
    trust: Trust = (),
) -> None:
    """Write the model as a folder for other programs and people.

    It has the weights (safetensors), config.json, a model card, and ONNX files and torch.export programs of the encoder
    and the decoder. Their outputs are compared with torch. The data of the run are not needed. `vaelab push DIR` shows
    how to upload the folder.
    """
    from vaelab.cli import terminal
    from vaelab.runs import export as exports
    from vaelab.runs.directory import Run

    with terminal.watching(terminal.console()) as callback:
        written = exports.export(Run(run, trust), out, formats, overwrite, callback)
    for path in written.files:
        print(f"{path}  {path.stat().st_size:,} bytes")

"""`vaelab push`."""

from pathlib import Path
from typing import Annotated

import tyro


def push(
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help="a folder of `vaelab export`")],
) -> None:
    """Print the command that uploads an exported folder.

    It uploads nothing. Replace USER by your name on the Hugging Face Hub. The command `hf` comes with
    `pip install huggingface_hub`; `hf auth login` is needed once.
    """
    from vaelab.runs.export import upload_command

    print(upload_command(folder))

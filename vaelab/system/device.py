"""Devices that tensors are computed on."""

from typing import Literal

import torch

from vaelab.system.errors import RunError
from vaelab.system.world import world

Device = Literal["auto", "cpu", "cuda"]


def find_device(device: Device) -> torch.device:
    """The torch device for `device`; "auto" takes CUDA if there is one. RunError if CUDA is asked for and missing."""
    found = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if found.type == "cuda" and world().size > 1:
        found = torch.device("cuda", world().local_rank)  # each worker has a device of its own
    if device == "cuda" and found.type == "cpu":
        raise RunError(found="no CUDA device", expected="one, as --device cuda asks", do="use --device auto or cpu")
    return found

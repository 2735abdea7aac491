"""What parts of a model see before the first step: a prior that starts from training images, say."""

from typing import Any

import torch
from torch import nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.errors import SpecError
from vaelab.seeds import derive, seed_generator


def begin(model: nn.Module, train: Dataset, seed: int) -> None:
    """Give every module that asks for training images its own: called once, as a training begins and not as it goes on.

    A module asks with `begins_with`, how many, and gets them in `begin(pixels)`, [n, C, H, W] in [0, 1] as the protocol
    reads them, on the model's device. They are drawn without replacement, a function of the seed and of the module's
    place among those that ask. The generators are left as they were.

    Raises:
        SpecError: a module asks for more images than there are.
    """
    check_begin(model, len(train))
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        for place, module in enumerate(_asking(model), start=1):
            seed_generator(torch.device("cpu"), derive(seed, "weights", place))
            chosen = torch.randperm(len(train))[: module.begins_with].numpy()
            module.begin(protocol(train.protocol).pixels(torch.from_numpy(train.images[chosen])).to(device))


def check_begin(model: nn.Module, count: int) -> None:
    """SpecError where a module asks for more than the `count` training images."""
    for module in _asking(model):
        if module.begins_with > count:
            raise SpecError(
                found=f"{type(module).__name__}, which begins with {module.begins_with:,} training images",
                expected=f"at most the {count:,} that there are",
                do=f"ask for {count:,} or fewer",
            )


def _asking(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if hasattr(module, "begin")]

"""What parts of a model see before the first step: where the decoder starts, and a prior that starts from images."""

from typing import Any

import torch
from torch import Tensor, nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.errors import SpecError
from vaelab.seeds import derive, seed_generator

AVERAGED = 1000  # training images at most, of which the mean is taken


def begin(model: nn.Module, train: Dataset, seed: int, start: str = "zero") -> None:
    """Show a model training images: called once, as a training begins and not as it goes on.

    Where `start` is "mean", a likelihood that knows how starts at the mean image, as Burda, Grosse & Salakhutdinov
    (2016) had it. Elsewhere the first steps have z carry that image; and a learned prior follows z there, to where the
    encoder no longer tells one image from another.

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
            module.begin(_some(train, module.begins_with, derive(seed, "weights", place)).to(device))
        if start == "mean":
            pixels = _some(train, AVERAGED, derive(seed, "start"))
            mean = (pixels.sum(0) + 0.5) / (len(pixels) + 1)  # half of one more image keeps its logits finite
            likelihood: Any = model.likelihood
            likelihood.start_at(mean.to(device))


def check_begin(model: nn.Module, count: int) -> None:
    """SpecError where a module asks for more than the `count` training images."""
    for module in _asking(model):
        if module.begins_with > count:
            raise SpecError(
                found=f"{type(module).__name__}, which begins with {module.begins_with:,} training images",
                expected=f"at most the {count:,} that there are",
                do=f"ask for {count:,} or fewer",
            )


def _some(train: Dataset, count: int, seed: int) -> Tensor:
    seed_generator(torch.device("cpu"), seed)
    chosen = torch.randperm(len(train))[:count].numpy()
    return protocol(train.protocol).pixels(torch.from_numpy(train.images[chosen]))


def _asking(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if hasattr(module, "begin")]

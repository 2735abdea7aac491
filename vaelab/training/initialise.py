"""Data-dependent initialisation: what a model takes from the training images before the first step.

The encoder subtracts the mean of each channel. The decoder starts at the mean image. A prior may start from some of the
images.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.models import Conditional
from vaelab.parts.capabilities import InitialisedFromData, modules_with
from vaelab.randomness.seeds import derive, seed_generator
from vaelab.system.errors import SpecError

AVERAGED = 10_000  # maximum number of training images in the mean, whose standard error is then at most 0.005
AT_A_TIME = 100


def initialise(model: nn.Module, train: Dataset, seed: int, start: str = "zero") -> None:
    """Initialise a model from training images: called once, before the first step, and not when a run is resumed.

    Every encoder is centred at the mean of each channel: see `vaelab.models.Conditional`. The mean of each pixel is
    worse: on MNIST, with one hidden layer of 500 tanh units, z = 10 and 30 epochs, the final -ELBO is 105.5 with it,
    104.6 without centring, and 104.3 with the mean of each channel.

    If `start` is "mean", the decoder starts at the mean training image, if its likelihood head is a `StartsAtMean`.
    Otherwise z carries the mean image in the first steps, and a learned prior follows z to a point where the encoder no
    longer distinguishes images.

    Each module that is `InitialisedFromData` gets as many images as it requests, [n, C, H, W] in [0, 1] as the protocol
    reads them, on the model's device. They are drawn without replacement, as a function of the seed and of the module's
    index among those that request images. The states of the generators are restored.

    Raises:
        SpecError: a module requests more images than there are.
    """
    check_enough_images(model, len(train))
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        for place, module in enumerate(modules_with(model, InitialisedFromData), start=1):
            some = _some(train, module.initial_images, derive(seed, "weights", place))
            module.initialise(torch.cat(list(some)).to(device))
        count = min(len(train), AVERAGED)
        some = _some(train, count, derive(seed, "start"))
        total = sum((pixels.double().sum(0) for pixels in some), torch.zeros(train.shape, dtype=torch.float64))
        mean = (total / count).mean((1, 2), keepdim=True)
        inside = (total + 0.5) / (count + 1)  # one more image of value 1/2 keeps the logits finite
        for module in model.modules():
            if isinstance(module, Conditional):
                module.centre_at(mean.float().to(device))
                if start == "mean":
                    module.start_at(inside.float().to(device))


def check_enough_images(model: nn.Module, count: int) -> None:
    """Raise SpecError if a module requests more than the `count` training images."""
    for module in modules_with(model, InitialisedFromData):
        if module.initial_images > count:
            raise SpecError(
                found=f"{type(module).__name__}, which requests {module.initial_images:,} training images",
                expected=f"at most {count:,}, the number of training images",
                do=f"request {count:,} or fewer",
            )


def _some(train: Dataset, count: int, seed: int) -> Iterator[Tensor]:
    """Yield the pixels of `count` images drawn without replacement, a hundred at a time."""
    seed_generator(torch.device("cpu"), seed)
    chosen = torch.randperm(len(train))[:count].numpy()
    pixels = protocol(train.protocol).pixels
    for place in range(0, count, AT_A_TIME):
        yield pixels(torch.from_numpy(train.images[chosen[place : place + AT_A_TIME]]))

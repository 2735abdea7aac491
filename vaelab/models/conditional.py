from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.distributions import Distribution


def rounding(on: bool, device: torch.device) -> AbstractContextManager[object]:
    """Products of tensors on `device` in bfloat16 while this lasts, if `on`."""
    return torch.autocast(device.type, torch.bfloat16) if on else nullcontext()


class Conditional(nn.Module):
    """network + head: context -> Distribution. An encoder is q(z|x), a decoder is p(x|z).

    The network runs in bfloat16 while `use_bfloat16` is set; the head, and with it every density, always in float32.

    Arguments:
        network: maps [N, *context_shape] to [N, *head.parameter_shape(event)].
        head: maps those parameters to a Distribution over the event.
        context_shape: (C, H, W) for an encoder, (D,) for a decoder.
    """

    use_bfloat16: bool = False

    def __init__(self, network: nn.Module, head: nn.Module, context_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        self.head = head
        self.context_shape = context_shape

    def forward(self, context: Tensor) -> Distribution:
        """The distribution given `context` [..., *context_shape], its batch shape the leading axes."""
        batch = context.shape[: context.dim() - len(self.context_shape)]
        with rounding(self.use_bfloat16, context.device):
            parameters = self.network(context.reshape(-1, *self.context_shape))
        return self.head(parameters.float().reshape(*batch, *parameters.shape[1:]))


def round_networks(model: nn.Module, on: bool) -> None:
    """Have all networks of `model` run in bfloat16, or none."""
    for module in model.modules():
        if hasattr(module, "use_bfloat16"):
            setattr(module, "use_bfloat16", on)  # noqa: B010

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.errors import SpecError
from vaelab.models.contract import check_conditional


def rounding(on: bool, device: torch.device) -> AbstractContextManager[object]:
    """Products of tensors on `device` in bfloat16 while this lasts, if `on`."""
    return torch.autocast(device.type, torch.bfloat16) if on else nullcontext()


class Conditional(nn.Module):
    """network + head: context -> Distribution. An encoder is q(z|x), a decoder is p(x|z).

    One that is told labels besides is q(z|x, y) or p(x|z, y): it joins to its context what `join` makes of their code,
    and answers as `given(code)`.

    The network runs in bfloat16 while `use_bfloat16` is set; the head, and with it every density, always in float32.

    Arguments:
        network: maps [N, *context_shape], and what is joined to it, to [N, *head.parameter_shape(event)].
        head: maps those parameters to a Distribution over the event.
        context_shape: (C, H, W) for an encoder, (D,) for a decoder.
        join: maps one-hot codes [N, K] to what is joined to the first axis of the context; None for no labels.
        code: of the labels, [..., K], with axes that broadcast against those of a batch.
    """

    use_bfloat16: bool = False

    def __init__(
        self,
        network: nn.Module,
        head: nn.Module,
        context_shape: tuple[int, ...],
        join: nn.Module | None = None,
        code: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_conditional(network, head)
        self.network = network
        self.head = head
        self.context_shape = context_shape
        self.join = join
        self.code = code

    def given(self, code: Tensor) -> "Conditional":
        """The same network and head, told the labels of this code."""
        told = type(self)(self.network, self.head, self.context_shape, self.join, code)
        told.use_bfloat16 = self.use_bfloat16
        return told

    def forward(self, context: Tensor) -> Distribution:
        """The distribution given `context` [..., *context_shape], its batch shape the leading axes.

        Raises:
            SpecError: it is told labels, and was given none.
        """
        batch = context.shape[: context.dim() - len(self.context_shape)]
        with rounding(self.use_bfloat16, context.device):
            parameters = self.network(self._joined(context, batch))
        return self.head(parameters.float().reshape(*batch, *parameters.shape[1:]))

    def start_at(self, mean: Tensor) -> None:
        """Start the biases of the network's last layer where the head's mean is `mean` [C, H, W], if it names them.

        A convolution has one bias for each channel: theirs over its places, averaged.

        Raises:
            SpecError: the last layer has no such biases.
        """
        head: Any = self.head
        if not hasattr(head, "biases"):
            return
        wanted = head.biases(mean)
        found = [m.bias for m in self.network.modules() if isinstance(getattr(m, "bias", None), nn.Parameter)]
        last: Any = found[-1] if found else torch.empty(0)
        if len(last) not in (wanted.numel(), len(wanted)):
            raise SpecError(
                found=f"a decoder with {len(last)} biases in its last layer",
                expected=f"{wanted.numel():,}, one for each output, or {len(wanted)}, one for each channel",
                do="use --start zero",
            )
        with torch.no_grad():
            last.copy_(wanted.flatten() if len(last) == wanted.numel() else wanted.flatten(1).mean(1))

    def _joined(self, context: Tensor, batch: torch.Size) -> Tensor:
        context = context.reshape(-1, *self.context_shape)
        if self.join is None:
            return context
        if self.code is None:
            raise SpecError(
                found="a conditional model without labels",
                expected="one that is told them",
                do="use model.given(labels)",
            )
        code = self.code.to(context.dtype).expand(*batch, -1).reshape(len(context), -1)
        return torch.cat([context, self.join(code).to(context.dtype)], 1)


def round_networks(model: nn.Module, on: bool) -> None:
    """Have all networks of `model` run in bfloat16, or none."""
    for module in model.modules():
        if hasattr(module, "use_bfloat16"):
            setattr(module, "use_bfloat16", on)  # noqa: B010

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaelab.models.contract import check_conditional
from vaelab.parts.capabilities import RunsInBfloat16, StartsAtMean, has, modules_with
from vaelab.system.errors import SpecError


def rounding(on: bool, device: torch.device) -> AbstractContextManager[object]:
    """Compute products of tensors on `device` in bfloat16 in this context, if `on`."""
    return torch.autocast(device.type, torch.bfloat16) if on else nullcontext()


class Conditional(nn.Module):
    """network + head: context -> Distribution. An encoder is q(z|x), a decoder is p(x|z).

    Networks see centred pixels. The network of an encoder gets x minus `centre`; `offset` is added to the output of a
    decoder's network. Both are 0 until training starts. Then they are set from the training images
    (`vaelab.training.initialise`) to the mean of each channel and to the mean image. Pixels are all positive. Without
    centring, their mean shifts every hidden unit the same way, units saturate, and the posterior means of all images
    move away from the prior together (LeCun, Bottou, Orr & Mueller 1998, section 4.3). Without the offset, z would
    have to carry the mean image.

    A Conditional with `join` is q(z|x, y) or p(x|z, y), conditioned on labels y. `given(condition)` sets the labels,
    and `join` maps them to what is concatenated with the context.

    With `use_bfloat16` the network runs in bfloat16. The head, and so every density, always runs in float32.

    Arguments:
        network: maps [N, *context_shape], concatenated with the output of `join`, to [N, *head.parameter_shape(event)].
        head: maps these parameters to a Distribution over the event.
        context_shape: (C, H, W) for an encoder, (D,) for a decoder.
        join: maps one-hot labels [N, K] to what is concatenated with the first axis of the context; None: no labels.
        condition: one-hot labels [..., K], with axes that broadcast against those of a batch.
    """

    use_bfloat16: bool = False
    centre: Tensor | None  # [C, 1, 1] for an encoder, None for a decoder
    offset: Tensor | None  # of the shape of a decoder's parameters, if its head is a `StartsAtMean`

    def __init__(
        self,
        network: nn.Module,
        head: nn.Module,
        context_shape: tuple[int, ...],
        join: nn.Module | None = None,
        condition: Tensor | None = None,
    ) -> None:
        super().__init__()
        check_conditional(network, head)
        self.network = network
        self.head = head
        self.context_shape = context_shape
        self.join = join
        self.condition = condition
        self.register_buffer("centre", torch.zeros(context_shape[0], 1, 1) if len(context_shape) == 3 else None)
        self.register_buffer("offset", None)

    def given(self, condition: Tensor) -> "Conditional":
        """Return the same network and head, conditioned on these one-hot labels."""
        conditioned = type(self)(self.network, self.head, self.context_shape, self.join, condition)
        conditioned.use_bfloat16, conditioned.centre, conditioned.offset = self.use_bfloat16, self.centre, self.offset
        return conditioned

    def forward(self, context: Tensor) -> Distribution:
        """Return the distribution given `context` [..., *context_shape]; its batch shape is the leading axes.

        Raises:
            SpecError: it is conditioned on labels, and none were given.
        """
        return self.read(self.network_output(context), self._batch(context))

    def network_output(self, context: Tensor) -> Tensor:
        """Return the network's output for `context` [..., *context_shape]: [N, ...], with flattened leading axes."""
        with rounding(self.use_bfloat16, context.device):
            return self.network(self._joined(context, self._batch(context)))

    def read(self, parameters: Tensor, batch: torch.Size) -> Distribution:
        """Return the distribution for the network's output [N, ...], with N unflattened to `batch`."""
        parameters = parameters.float()
        if self.offset is not None:
            parameters = parameters + self.offset
        return self.head(parameters.reshape(*batch, *parameters.shape[1:]))

    def make_room(self, image_shape: tuple[int, ...]) -> None:
        """Give the decoder of such images an offset, initially 0, if its head has `biases`."""
        if self.offset is None and has(self.head, StartsAtMean):
            head: Any = self.head
            self.offset = torch.zeros(head.parameter_shape(image_shape))

    @torch.no_grad()
    def centre_at(self, mean: Tensor) -> None:
        """Set the centre: the encoder's network then gets x minus `mean` [C, 1, 1], that of each channel."""
        if self.centre is not None:
            self.centre.copy_(mean)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Set the offset: the decoder's outputs then start at those that give every image the mean `mean` [C, H, W]."""
        if self.offset is not None:
            head: Any = self.head
            self.offset.copy_(head.parameters_for_mean(mean))

    def _batch(self, context: Tensor) -> torch.Size:
        return context.shape[: context.dim() - len(self.context_shape)]

    def _joined(self, context: Tensor, batch: torch.Size) -> Tensor:
        context = context.reshape(-1, *self.context_shape)
        if self.centre is not None:
            context = context - self.centre
        if self.join is None:
            return context
        if self.condition is None:
            raise SpecError(
                found="a conditional model without labels",
                expected="labels, because the model is conditioned on them",
                do="use model.given(labels)",
            )
        condition = self.condition.to(context.dtype).expand(*batch, -1).reshape(context.shape[0], -1)
        return torch.cat([context, self.join(condition).to(context.dtype)], 1)


def round_networks(model: nn.Module, on: bool) -> None:
    """Switch bfloat16 on or off for all networks of `model`."""
    for module in modules_with(model, RunsInBfloat16):
        module.use_bfloat16 = on

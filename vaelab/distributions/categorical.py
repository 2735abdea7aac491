"""The categorical distribution over the 256 levels of a pixel."""

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, constraints
from torch.distributions.constraints import Constraint

from vaelab.distributions.levels import TOP, level_of
from vaelab.distributions.shape import SampleShape


def categorical_levels(logits: Tensor, event_dims: int = 3) -> Independent:
    """Return the categorical distribution of pixels u / 255; the last `event_dims` axes form one event.

    Arguments:
        logits: [..., 256, *event], log P(u) up to a constant.
    """
    return Independent(CategoricalLevels(logits, -event_dims - 1), event_dims, validate_args=False)


class CategoricalLevels(Distribution):
    """A pixel x = u / 255 with a level u in 0, ..., 255 and P(u) = softmax(logits)_u.

    A value is rounded to the nearest level. torch's own distribution expects the levels along the last axis, and level
    numbers as values.

    Arguments:
        logits: of size 256 along `axis`.
        axis: the axis of u, negative.
    """

    def __init__(self, logits: Tensor, axis: int) -> None:
        self.logits, self.axis = logits, axis
        shape = list(logits.shape)
        del shape[axis]
        super().__init__(torch.Size(shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"logits": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        u = level_of(value).long().expand(torch.broadcast_shapes(value.shape, self.batch_shape)).unsqueeze(self.axis)
        every = list(u.shape)
        every[self.axis] = TOP + 1
        chosen = self.logits.expand(every).gather(self.axis, u).squeeze(self.axis)
        return chosen - torch.logsumexp(self.logits, self.axis)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            u = Categorical(logits=self.logits.movedim(self.axis, -1), validate_args=False).sample(sample_shape)
            return u.to(self.logits.dtype) / TOP

    @property
    def mean(self) -> Tensor:
        p = self.logits.softmax(self.axis).movedim(self.axis, -1)
        return p @ torch.arange(TOP + 1, dtype=p.dtype, device=p.device) / TOP

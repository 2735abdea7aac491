import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape


class Mixture(Distribution):
    """p(x) = sum_k pi_k p_k(x), with the components along any one axis of the batch.

    torch's own mixture expects the components along the last axis. This would be slow: the innermost loops would run
    over ten components instead of hundreds of pixels.

    Arguments:
        logits: log pi_k up to a constant, of the components' batch shape.
        components: p_k, over any event.
        axis: the axis of k in the batch shape, negative.
    """

    def __init__(self, logits: Tensor, components: Distribution, axis: int) -> None:
        self.logits, self.components, self.axis = logits, components, axis
        shape = list(components.batch_shape)
        del shape[axis]
        super().__init__(torch.Size(shape), components.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"logits": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        joint = self.logits + self.components.log_prob(value.unsqueeze(self._value_axis))
        return torch.logsumexp(joint, self.axis) - torch.logsumexp(self.logits, self.axis)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            k = Categorical(logits=self.logits.movedim(self.axis, -1), validate_args=False).sample(sample_shape)
            draws = self.components.sample(sample_shape)
            k = self._over_the_event(k.unsqueeze(self.axis))
            k = k.expand(*k.shape[: k.dim() - len(self.event_shape)], *self.event_shape)
            return draws.gather(self._value_axis, k).squeeze(self._value_axis)

    @property
    def mean(self) -> Tensor:
        weights = self._over_the_event(self.logits.softmax(self.axis))
        return (weights * self.components.mean).sum(self._value_axis)

    @property
    def _value_axis(self) -> int:
        """The axis of k in a value of the components."""
        return self.axis - len(self.event_shape)

    def _over_the_event(self, batch: Tensor) -> Tensor:
        """Append axes of size 1, so that a tensor of the batch shape broadcasts over the event."""
        return batch.reshape(*batch.shape, *[1] * len(self.event_shape))

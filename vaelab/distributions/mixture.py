import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.constraints import Constraint
from torch.types import _size


class Mixture(Distribution):
    """p(x) = sum_k pi_k p_k(x), the components along any axis of a batch.

    torch's own wants them along the last one. There they would break up the innermost loops, which are to run over
    hundreds of pixels and not over ten components.

    Arguments:
        logits: log pi_k but for a constant, of the components' batch shape.
        components: p_k, without an event shape.
        axis: that of k, negative.
    """

    def __init__(self, logits: Tensor, components: Distribution, axis: int) -> None:
        self.logits, self.components, self.axis = logits, components, axis
        shape = list(components.batch_shape)
        del shape[axis]
        super().__init__(torch.Size(shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"logits": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        joint = self.logits + self.components.log_prob(value.unsqueeze(self.axis))
        return torch.logsumexp(joint, self.axis) - torch.logsumexp(self.logits, self.axis)

    def sample(self, sample_shape: _size = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            k = Categorical(logits=self.logits.movedim(self.axis, -1), validate_args=False).sample(sample_shape)
            draws = self.components.sample(sample_shape)
            return draws.gather(self.axis, k.unsqueeze(self.axis)).squeeze(self.axis)

    @property
    def mean(self) -> Tensor:
        return (self.logits.softmax(self.axis) * self.components.mean).sum(self.axis)

"""Student's t-distribution in a form that the compiler can trace."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints
from torch.distributions import StudentT as TorchStudentT
from torch.distributions.constraints import Constraint

from vaelab.distributions.shape import SampleShape


def student_t(df: float, mean: Tensor, log_scale: Tensor, event_dims: int = 3) -> Independent:
    """Return Student's t-distribution of each number; the last `event_dims` axes form one event.

    Arguments:
        df: degrees of freedom, above 1.
        mean: mu, [..., *event].
        log_scale: log s, of a shape that broadcasts to the mean's.
    """
    return Independent(StudentT(df, mean, log_scale), event_dims, validate_args=False)


class StudentT(Distribution):
    """p(x) = Gamma((df + 1) / 2) / (Gamma(df / 2) sqrt(pi df) s) (1 + y^2 / df)^(-(df + 1) / 2), y = (x - mu) / s.

    torch's own builds a chi-squared distribution that validates its argument, which cannot be traced.
    """

    def __init__(self, df: float, mean: Tensor, log_scale: Tensor) -> None:
        self.df, self.mu, self.log_scale = df, mean, log_scale
        super().__init__(torch.broadcast_shapes(mean.shape, log_scale.shape), validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        return {"mu": constraints.real, "log_scale": constraints.real}

    def log_prob(self, value: Tensor) -> Tensor:
        half = (self.df + 1) / 2
        constant = math.lgamma(half) - math.lgamma(self.df / 2) - math.log(math.pi * self.df) / 2
        y = (value - self.mu) * torch.exp(-self.log_scale)
        return constant - self.log_scale - half * torch.log1p(y.square() / self.df)

    def sample(self, sample_shape: SampleShape = torch.Size()) -> Tensor:  # noqa: B008
        with torch.no_grad():
            return TorchStudentT(self.df, self.mu, self.log_scale.exp(), validate_args=False).sample(sample_shape)

    @property
    def mean(self) -> Tensor:
        return self.mu.expand(self.batch_shape)

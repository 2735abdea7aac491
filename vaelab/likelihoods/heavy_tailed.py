"""Densities of pixels with tails other than a normal's."""

import math
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as LaplaceDistribution

from vaelab.distributions import beta, student_t
from vaelab.likelihoods.limits import SoftLimits
from vaelab.likelihoods.scale import OF_DENSITIES, START, Scale
from vaelab.system.errors import SpecError

# The logit of a beta's mean: means of 5e-5 and of 1 less that, a hundredth of a level from the ends.
OF_LOGITS = SoftLimits(-10.0, 10.0)
# log nu of a beta. With the smallest nu and the most extreme mean a shape parameter is 8e-7, which keeps to the range
# of floats with its logarithm and gradient; the largest is as narrow as a sigma of e^-6 at the mean 1/2.
OF_CONCENTRATIONS = SoftLimits(-4.0, 11.0)
FIRST_CONCENTRATION = 1 / (4 * START**2) - 1  # the standard deviation is START at the mean 1/2


class Laplace(nn.Module):
    """p(x|z) = prod_i e^{-|x_i - mu_i| / s} / 2s.

    Absolute errors in the place of squared ones. The median mu = sigmoid(m), m an output of the decoder. A learned log
    s lies between soft limits, floor -6 and ceiling 2; the standard deviation is s sqrt 2.

    Arguments:
        scale: s, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: a fixed scale that is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("8bit", "grey")
    admitted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, scale: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        self.scale = Scale("scale", scale, OF_DENSITIES, START / math.sqrt(2))
        self.s = self.scale.parameter()

    def extra_repr(self) -> str:
        return f"scale={self.scale.given}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.scale.parameter_shape(event_shape)

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return self.scale.parameters_for_mean(mean.logit())

    def forward(self, parameters: Tensor) -> Distribution:
        m, log_s = self.scale.split(parameters, self.s)
        return Independent(LaplaceDistribution(m.sigmoid(), log_s.exp(), validate_args=False), 3, validate_args=False)


class StudentT(nn.Module):
    """p(x|z) = prod_i t_df((x_i - mu_i) / s) / s.

    Student's t: heavy tails, in which an outlier pulls the less the further out it is. The mean mu = sigmoid(m), m an
    output of the decoder. A learned log s lies between soft limits, floor -6 and ceiling 2; the standard deviation is s
    sqrt(df / (df - 2)), infinite for df of 2 or less.

    Arguments:
        df: degrees of freedom, above 1.
        scale: s, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: degrees of freedom without a mean, or a fixed scale that is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("8bit", "grey")
    admitted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, df: float = 3.0, scale: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        if not (df > 1 and math.isfinite(df)):
            raise SpecError(
                found=f"df = {df:g}", expected="a number above 1: with 1 or less there is no mean", do="use df=3"
            )
        self.df, self.scale = df, Scale("scale", scale, OF_DENSITIES, START)
        self.s = self.scale.parameter()

    def extra_repr(self) -> str:
        return f"df={self.df}, scale={self.scale.given}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.scale.parameter_shape(event_shape)

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return self.scale.parameters_for_mean(mean.logit())

    def forward(self, parameters: Tensor) -> Distribution:
        m, log_s = self.scale.split(parameters, self.s)
        return student_t(self.df, m.sigmoid(), log_s)


class Beta(nn.Module):
    """p(x|z) = prod_i Beta(x_i; mu_i nu, (1 - mu_i) nu).

    By mean and concentration, on (0, 1). mu = sigmoid(l), l an output of the decoder between soft limits of -10 and 10,
    so that no shape parameter leaves the range of floats. A learned log nu lies between soft limits, floor -4 and
    ceiling 11. The variance is mu (1 - mu) / (nu + 1). The density has no bound at 0 and 1, so that it is one of
    dequantised pixels alone.

    Arguments:
        concentration: nu, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned,
            given z).

    Raises:
        SpecError: a fixed concentration that is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("8bit",)
    admitted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, concentration: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        self.concentration = Scale("concentration", concentration, OF_CONCENTRATIONS, FIRST_CONCENTRATION)
        self.s = self.concentration.parameter()

    def extra_repr(self) -> str:
        return f"concentration={self.concentration.given}"

    def parameter_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.concentration.parameter_shape(event_shape)

    def parameters_for_mean(self, mean: Tensor) -> Tensor:
        return self.concentration.parameters_for_mean(mean.logit())

    def forward(self, parameters: Tensor) -> Distribution:
        m, log_nu = self.concentration.split(parameters, self.s)
        return beta(OF_LOGITS(m), log_nu)

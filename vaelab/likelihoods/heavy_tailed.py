"""Likelihoods with tails unlike those of a normal distribution."""

import math
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as LaplaceDistribution

from vaelab.distributions import beta, student_t
from vaelab.likelihoods.limits import SoftLimits
from vaelab.likelihoods.scale import OF_DENSITIES, START, Scale
from vaelab.system.errors import SpecError

# Limits of the logit of a beta's mean: the mean is at least 5e-5, a hundredth of a level, from 0 and 1.
OF_LOGITS = SoftLimits(-10.0, 10.0)
# Limits of log nu of a beta. With the smallest nu and the most extreme mean, a shape parameter is 8e-7; its logarithm
# and gradient are then still in the range of floats. The largest nu is as narrow as a sigma of e^-6 at the mean 1/2.
OF_CONCENTRATIONS = SoftLimits(-4.0, 11.0)
FIRST_CONCENTRATION = 1 / (4 * START**2) - 1  # the standard deviation is START at the mean 1/2


class Laplace(nn.Module):
    """p(x|z) = prod_i e^{-|x_i - mu_i| / s} / 2s.

    It uses absolute errors in place of squared errors. The median is mu = sigmoid(m), with m an output of the decoder.
    A learned log s is between soft limits, floor -6 and ceiling 2. The standard deviation is s sqrt 2.

    Arguments:
        scale: s, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: a fixed scale is not positive and finite.
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

    Student's t has heavy tails: the further out an outlier is, the less it pulls. The mean is mu = sigmoid(m), with m
    an output of the decoder. A learned log s is between soft limits, floor -6 and ceiling 2. The standard deviation is
    s sqrt(df / (df - 2)), infinite if df is at most 2.

    Arguments:
        df: degrees of freedom, above 1.
        scale: s, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned, given z).

    Raises:
        SpecError: df is so small that there is no mean, or a fixed scale is not positive and finite.
    """

    protocols: ClassVar[tuple[str, ...]] = ("8bit", "grey")
    admitted: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, df: float = 3.0, scale: float | Literal["shared", "pixel"] = "shared") -> None:
        super().__init__()
        if not (df > 1 and math.isfinite(df)):
            raise SpecError(
                found=f"df = {df:g}", expected="a number above 1, because otherwise there is no mean", do="use df=3"
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

    The parameters are mean and concentration. The mean in (0, 1) is mu = sigmoid(l), with l an output of the decoder
    between soft limits of -10 and 10, so that no shape parameter leaves the range of floats. A learned log nu is
    between soft limits, floor -4 and ceiling 11. The variance is mu (1 - mu) / (nu + 1). The density is unbounded at 0
    and 1, so it describes dequantised pixels only.

    Arguments:
        concentration: nu, a positive number (fixed), `shared` (one, learned) or `pixel` (one for each pixel, learned,
            given z).

    Raises:
        SpecError: a fixed concentration is not positive and finite.
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

"""The objective of the VQ-VAE."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vaelab.models import VAE, Draw
from vaelab.objectives.bounds import distortion, rate
from vaelab.objectives.criterion import Criterion, in_words
from vaelab.objectives.losses import not_negative
from vaelab.system.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """Distortion + rate + weight sum_l |e - sg(c_1 + ... + c_l)|^2, with e the encoder's output and c_l its codes.

    sg stops the gradient. With one level it is the objective of van den Oord, Vinyals & Kavukcuoglu (2017, equation 3);
    with several, that of Lee et al. (2022, equation 7). The squares are summed over all numbers of an image's codes, as
    the log-likelihood is summed over pixels. The codes themselves are learned by moving averages.

    Arguments:
        weight: beta, the weight of the term that keeps the encoder's output near its codes.

    Raises:
        SpecError: the weight is negative.
    """

    admits_point: ClassVar = True
    weight: float = 0.25

    def __post_init__(self) -> None:
        not_negative("weight", self.weight)

    @property
    def judged_by(self) -> Criterion:
        return Criterion(name=in_words((1, "distortion"), (1, "rate"), (self.weight, "commitment")))

    def check(self, model: VAE, batch: int) -> None:
        """Raise SpecError if the posterior has no codes."""
        if model.support != "codes":
            found = "objective commitment with a posterior that has no codes"
            raise SpecError(
                found=found, expected="a posterior that has codes", do="use --posterior codes and --prior codes"
            )

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        draw = model(x, 1)
        left = draw.posterior.residuals  # type: ignore[attr-defined]
        return distortion(draw) + rate(draw) + self.weight * left.square().sum((-3, -2, -1)), draw

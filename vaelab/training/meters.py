"""Running moments of the loss terms, kept on the device and read once per report."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TERMS = ("loss", "rate", "distortion")


def moments_of(*terms: Tensor) -> Tensor:
    """Return count, sum and sum of squares of each of `terms` [B], in float64: [3, terms]; of [R, B], [R, 3, terms]."""
    values = torch.stack(terms, -2).detach().double()
    return torch.stack([torch.ones_like(values), values, values**2], -3).sum(-1)


@dataclass
class Meters:
    """Moments over the images since the last reset, and the first step at which each term was not finite."""

    moments: Tensor  # [3, terms]: count, sum, sum of squares, in float64; [R, 3, terms] for R vmapped runs
    bad_step: Tensor  # [terms], infinity if all were finite; [R, terms]

    @classmethod
    def zero(cls, device: torch.device) -> "Meters":
        n = len(TERMS)
        return cls(
            torch.zeros(3, n, dtype=torch.float64, device=device),
            torch.full((n,), math.inf, dtype=torch.float64, device=device),
        )

    def add(self, step: Tensor, *terms: Tensor) -> None:
        """Add a batch: `terms` are [B] or [R, B], in the order of TERMS. It can be traced and does not synchronise."""
        self.include(step, moments_of(*terms))

    def include(self, step: Tensor, batch: Tensor) -> None:
        """Add the moments of a batch (`moments_of`)."""
        self.moments.add_(batch)
        bad = torch.where(batch[..., 1, :].isfinite(), math.inf, step.double())
        self.bad_step.copy_(torch.minimum(self.bad_step, bad))

    def reset(self) -> None:
        """Clear the moments, but not the record of non-finite steps."""
        self.moments.zero_()

    def read(self) -> dict[str, float]:
        """Return the means of the terms, the ELBO, and the standard errors of the terms as `<term>_se`."""
        count, sums, squares = self.moments
        means = sums / count
        errors = ((squares / count - means**2).clamp(min=0) / count).sqrt()
        read = dict(zip(TERMS, means.tolist(), strict=True))
        read |= {f"{term}_se": error for term, error in zip(TERMS, errors.tolist(), strict=True)}
        return read | {"elbo": -read["rate"] - read["distortion"]}

    def first_bad(self) -> tuple[int, str] | None:
        """Return the first step with a term that was not finite, and those terms; None if all were finite."""
        steps = self.bad_step.tolist()
        if (first := min(steps)) == math.inf:
            return None
        return int(first), " and ".join(t for t, step in zip(TERMS, steps, strict=True) if step == first)

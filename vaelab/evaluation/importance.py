"""Importance weights as a stream: whatever their number, a few numbers are kept for each image and statistic."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TEN = 10  # the bounds are those of 10, 100, 1,000, ... draws


class Stream:
    """Statistics of the K log importance weights of each of B images, from blocks of any size.

    Arguments:
        images: B.
        device: of the weights.
    """

    def __init__(self, images: int, device: torch.device) -> None:
        self.count = 0  # K so far
        nothing = torch.full((images,), -torch.inf, dtype=torch.float64, device=device)
        self.log_sum, self.log_sum_of_squares = nothing, nothing  # log sum_k w_k and log sum_k w_k^2
        self._levels: list[_Level] = []

    def add(self, log_w: Tensor) -> None:
        """Take a block of log weights [n, B]."""
        log_w = log_w.double()
        self.count += len(log_w)
        self.log_sum = torch.logaddexp(self.log_sum, torch.logsumexp(log_w, 0))
        self.log_sum_of_squares = torch.logaddexp(self.log_sum_of_squares, torch.logsumexp(2 * log_w, 0))
        self._add(0, log_w)

    @property
    def nll(self) -> Tensor:
        """-log 1/K sum_k w_k, [B] (Burda, Grosse & Salakhutdinov 2016, equation 8)."""
        return math.log(self.count) - self.log_sum

    @property
    def effective(self) -> Tensor:
        """Effective sample size (sum w)^2 / sum w^2, [B], from 1 to K (Kong 1992)."""
        return (2 * self.log_sum - self.log_sum_of_squares).exp()

    @property
    def nll_variance(self) -> Tensor:
        """Variance of `nll` over the draws, [B], by the delta method: (K / ESS - 1) / (K - 1); nan for K = 1."""
        if self.count == 1:
            return torch.full_like(self.log_sum, torch.nan)
        return (self.count / self.effective - 1).clamp(min=0) / (self.count - 1)  # below 0 only by rounding

    @property
    def bounds(self) -> dict[int, Tensor]:
        """k -> L_k = E[log 1/k sum w], [B], the mean over disjoint groups of k draws; k = 1, 10, 100, ... below K."""
        levels = ((TEN**i, level) for i, level in enumerate(self._levels))
        return {k: level.total / level.groups for k, level in levels if k < self.count}

    def _add(self, index: int, log_sums: Tensor) -> None:
        """Groups of 10^index draws are whole, their log sums [n, B]: ten of them are one of the next level."""
        if index == len(self._levels):
            self._levels.append(_Level(torch.zeros_like(self.log_sum), log_sums[:0]))
        level = self._levels[index]
        level.groups += len(log_sums)
        level.total = level.total + (log_sums - index * math.log(TEN)).sum(0)
        waiting = torch.cat([level.waiting, log_sums])
        tens = len(waiting) // TEN
        level.waiting = waiting[tens * TEN :]
        if tens:
            self._add(index + 1, waiting[: tens * TEN].unflatten(0, (tens, TEN)).logsumexp(1))


@dataclass
class _Level:
    """Groups of draws of one size."""

    total: Tensor  # [B] sum of their bounds
    waiting: Tensor  # [n, B] log sums of fewer than ten of them
    groups: int = 0

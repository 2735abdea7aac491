"""Weights of linear layers as whole numbers times steps: as coarse as what the page shows allows.

A weight W [R, C] of the inputs x becomes Q, with Q[r, c] a multiple of the step of r and c. Columns are rounded one by
one. The error of each is made up for in the columns that are left, so that the mean of |(Q - W) x|^2 is small (GPTQ;
Frantar et al. 2023). Steps are short for those outputs of a layer on which the pixels or the nats depend, and for those
inputs that the inputs after them do not tell.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vaelab.models import VAE

SMALLEST = 8192  # numbers in a weight from which on it is rounded
WITHIN = {"mean": 1e-3, "rate": 0.1, "distortion": 0.1}  # largest error of a pixel's mean; of nats
OCTAVE = 4  # steps are powers of 2^(1/4)
DAMPING = 0.03  # of the mean square of an input, added to that of each: inputs elsewhere differ
POWER = 16  # of the norm of a derivative over images: near its maximum, without being that of one image
SPREAD = 200.0  # of the steps of the rows of a weight, at most
BLOCK = 128  # columns whose errors reach the columns after them in one product
LARGEST = 127 * 256  # number that two bytes hold
BEFORE = 2 / 3  # of what is allowed of a later pass
TRIES = 6  # of how coarse the weights of a pass are
AT_A_TIME = 250  # images or places in one pass


@dataclass(frozen=True, eq=False)
class Rounded:
    """A weight [R, C]: numbers[r, c] 2^((rows[r] + columns[c]) / 4).

    Arguments:
        numbers: int32 [R, C].
        rows, columns: int8 [R] and [C], the logarithms of the steps in quarters.
    """

    numbers: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """float32 [R, C]."""
        return (self.numbers * steps_of(self.rows, self.columns)).astype(np.float32)


def steps_of(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The step of each number, float64 [R, C]."""
    return np.exp2((rows.astype(int)[:, None] + columns.astype(int)) / OCTAVE)


def in_steps(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Rounded:
    """Round each number to the nearest multiple of its step."""
    return Rounded(np.round(values / steps_of(rows, columns)).astype(np.int32), rows, columns)


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer, and what is known of it.

    Arguments:
        weight: float64 [R, C].
        back: float64 [C, C], upper triangular U with (X'X / N)^-1 = U' U: how the error of a column is made up for.
        rows: float64 [R], the steps of the rows for an error of about 1 tolerance.
    """

    module: nn.Linear
    weight: np.ndarray
    back: np.ndarray
    rows: np.ndarray

    def rounded(self, coarseness: float) -> Rounded:
        """Round the weight, with all steps in proportion to `coarseness`."""
        scale = np.diag(self.back)  # the spread of each input, once those after it are known, is its inverse
        rows, columns = (
            np.clip(np.round(OCTAVE * np.log2(of)), -128, 127).astype(np.int8) for of in (coarseness * self.rows, scale)
        )
        steps, left = steps_of(rows, columns), self.weight.copy()
        numbers = np.empty(left.shape, np.int32)
        for start in range(0, left.shape[1], BLOCK):
            stop = min(start + BLOCK, left.shape[1])
            errors = np.empty((len(left), stop - start))
            for i in range(start, stop):
                numbers[:, i] = np.round(left[:, i] / steps[:, i]).clip(-LARGEST, LARGEST)
                errors[:, i - start] = (left[:, i] - numbers[:, i] * steps[:, i]) / self.back[i, i]
                left[:, i + 1 : stop] -= np.outer(errors[:, i - start], self.back[i, i + 1 : stop])
            left[:, stop:] -= errors @ self.back[start:stop, stop:]
        return Rounded(numbers, rows, columns)


@dataclass(frozen=True)
class Pass:
    """A function of the model that the page shows.

    Arguments:
        outputs: takes a model and B rows of each input; returns tensors [B, ...] by name, keys of `WITHIN`.
        inputs: [N, ...] each.
    """

    outputs: Callable[..., dict[str, Tensor]]
    inputs: Sequence[Tensor]

    def run(self, model: VAE) -> Iterator[dict[str, Tensor]]:
        """Yield the outputs, part by part. The noise is that of a seed."""
        parts = zip(*(each.split(AT_A_TIME) for each in self.inputs), strict=True)
        for seed, part in enumerate(parts):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                yield self.outputs(model, *part)


def rounded(model: VAE, passes: Sequence[Pass]) -> tuple[VAE, list[Rounded]]:
    """Return a copy of a model with rounded weights, and these weights.

    The outputs of each pass differ from those of the model by at most `WITHIN`. Where that cannot be reached, the
    layers of a pass stay as they are. A layer is rounded for the first pass that goes through it.
    """
    made, found, before = deepcopy(model).eval(), list[Rounded](), set[nn.Module]()
    for i, each in enumerate(passes):
        layers = _layers(made, each, before)
        before.update(layer.module for layer in layers)

        def error(own: Pass = each, later: Sequence[Pass] = passes[i + 1 :]) -> float:
            # The layers of later passes will add errors to what these passes give
            return max([_error(own, made, model), *(_error(other, made, model) / BEFORE for other in later)])

        if layers:
            with torch.no_grad():
                found += _coarsest(layers, error)
    return made, found


def _coarsest(layers: Sequence[Layer], error: Callable[[], float]) -> list[Rounded]:
    """Put weights into the layers that are as coarse as possible for an error of at most 1; return them."""
    coarseness, best, found = 1.0, 0.0, list[Rounded]()
    for _ in range(TRIES):
        tried = [layer.rounded(coarseness) for layer in layers]
        for layer, weight in zip(layers, tried, strict=True):
            layer.module.weight.copy_(torch.from_numpy(weight.values))
        now = error()
        if now <= 1 and coarseness > best:
            best, found = coarseness, tried
        if 0.8 <= now <= 1:
            break
        coarseness *= 0.9 / max(now, 0.01)
    for i, layer in enumerate(layers):
        layer.module.weight.copy_(torch.from_numpy(found[i].values if found else layer.weight))
    return found


def _error(outputs: Pass, made: VAE, model: VAE) -> float:
    """The largest error of `made`, as a multiple of what is allowed."""
    return max(
        (found[name] - of).abs().max().item() / WITHIN[name]
        for found, wanted in zip(outputs.run(made), outputs.run(model), strict=True)
        for name, of in wanted.items()
    )


class _Seen:
    """What passes through a linear layer show: sums over its N inputs x [N, C], and slopes of what it gives [N, R]."""

    def __init__(self, module: nn.Linear) -> None:
        self.squares = torch.zeros(module.in_features, module.in_features, dtype=torch.float64)
        self.powers = torch.zeros(module.out_features, dtype=torch.float64)
        self.count = 0

    def add(self, x: Tensor, slopes: Tensor) -> None:
        x, slopes = x.flatten(0, -2).double(), slopes.flatten(0, -2).double()
        self.squares += x.T @ x
        self.powers += slopes.abs().pow(POWER).sum(0)
        self.count += len(x)

    @property
    def known(self) -> bool:
        """Whether any output depends on the layer, in finite numbers."""
        return bool(self.powers.any() and self.powers.isfinite().all() and self.squares.isfinite().all())

    def layer(self, module: nn.Linear) -> Layer:
        squares = self.squares / self.count
        squares += DAMPING * squares.diagonal().mean() * torch.eye(len(squares))
        back = torch.linalg.cholesky(torch.linalg.inv(squares), upper=True)
        slopes = (self.powers / self.count).pow(1 / POWER)
        rows = 1 / slopes.clamp(min=slopes.max().item() / SPREAD)
        return Layer(module, module.weight.detach().double().numpy(), back.numpy(), rows.numpy())


def _layers(model: VAE, through: Pass, before: set[nn.Module]) -> list[Layer]:
    """The large linear layers that a pass goes through and none before did."""
    own = [m for m in model.modules() if isinstance(m, nn.Linear) and m.weight.numel() >= SMALLEST and m not in before]
    seen = {module: _Seen(module) for module in own}

    def meet(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda slopes: seen[module].add(inputs[0].detach(), slopes))

    hooks = [module.register_forward_hook(meet) for module in own]
    model.requires_grad_()
    with torch.enable_grad():
        for found in through.run(model):
            losses = [_signed(of / WITHIN[name]) for name, of in found.items() if of.requires_grad]
            if losses:
                torch.stack(losses).sum().backward()
    model.requires_grad_(False)
    for hook in hooks:
        hook.remove()
    return [each.layer(module) for module, each in seen.items() if each.known]


def _signed(x: Tensor) -> Tensor:
    """The sum of all numbers, each with a random sign: its derivative is about the root of their summed squares."""
    return (x * (2 * torch.randint_like(x, 2) - 1)).sum()

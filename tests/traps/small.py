"""Models and data so small that every number of theirs can be worked out by hand, and the hand's working."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tests.built import build_model, build_objective, completed
from vaelab.data import Dataset, Splits
from vaelab.data.protocol import protocol
from vaelab.models import VAE, Conditional, Draw
from vaelab.objectives.criterion import criterion_of
from vaelab.randomness.noise import key_of
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.training.callback import Callback
from vaelab.training.config import TrainingConfig
from vaelab.training.loop import fit
from vaelab.training.step.step import BETA_1, Objective, TrainState, make_step

SILENT = Callback(say=lambda line: None, show=lambda status: None)
STILL = 1e-12  # a learning rate that moves no weight that float32 can tell


def noise(count: int, shape: tuple[int, ...] = (1, 4, 4), seed: int = 0) -> np.ndarray:
    """uint8 images [N, C, H, W] of any level, the later ones brighter: no part of them stands for the whole."""
    levels = np.random.default_rng(seed).integers(0, 128, (count, *shape))
    return (levels + np.linspace(0, 127, count).astype(int).reshape(-1, 1, 1, 1)).astype(np.uint8)


def dataset(images: np.ndarray, protocol: str, split: str = "test") -> Dataset:
    return Dataset("made", split, images, np.arange(len(images)) % 3, protocol)


def splits(protocol: str, train: int = 30, validation: int = 13, shape: tuple[int, ...] = (1, 4, 4)) -> Splits:
    def part(split: str, count: int, seed: int) -> Dataset:
        return dataset(noise(count, shape, seed), protocol, split)

    return Splits(part("train", train, 0), part("validation", validation, 1), part("test", 9, 2))


def build(likelihood: str = "bernoulli", shape=(1, 4, 4), latent: int = 2, network: str = "mlp:hidden=8") -> VAE:
    return build_model(Spec(likelihood=likelihood, latent=latent, network=network), shape)


def build_for(objective: str, likelihood: str = "bernoulli", latent: int = 2) -> VAE:
    """A model that the objective takes."""
    if objective != "commitment":
        return build(likelihood, latent=latent)
    codes = Spec(posterior="codes:size=4:halvings=1", prior="codes", network="conv:channels=4")
    return build_model(codes.model_copy(update={"likelihood": likelihood, "latent": latent}), (1, 4, 4))


def x_of(data: Dataset) -> Tensor:
    """The pixel values of all images, under a protocol without noise."""
    return protocol(data.protocol).pixels(torch.from_numpy(data.images))


def answers(conditional: Conditional, values: Tensor | float) -> None:
    """Make the last layer of the network give `values` (its bias) whatever is put in."""
    last = [m for m in conditional.network.modules() if isinstance(getattr(m, "bias", None), nn.Parameter)][-1]
    with torch.no_grad():
        last.weight.zero_()  # type: ignore[union-attr]
        last.bias.copy_(torch.as_tensor(values).expand_as(last.bias))  # type: ignore[union-attr, arg-type]


def posterior_is_prior(model: VAE) -> VAE:
    """q(z|x) = N(0, I), so that the weights are p(x|z)."""
    answers(model.posterior, 0.0)
    return model


def posterior_is_sure(model: VAE, log_var: float = -60.0) -> VAE:
    """q(z|x) as narrow as a point, so that nothing but x decides on z."""
    last = [m for m in model.posterior.network.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        last.weight[model.latent :] = 0
        last.bias[model.latent :] = log_var
    return model


@dataclass
class ByHand:
    """The terms of a Draw from a Bernoulli model's raw parameters and the formulas, nothing of vaelab between."""

    log_lik: Tensor  # [S, B]
    log_prior: Tensor  # [S, B]
    log_post: Tensor  # [S, B]
    kl: Tensor  # [B]

    @property
    def log_w(self) -> Tensor:
        return self.log_lik + self.log_prior - self.log_post


def encoded(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """mu and log sigma^2 of q(z|x), [B, D] each."""
    mu, log_var = model.posterior.network(x - model.posterior.centre).chunk(2, dim=-1)
    return mu, log_var


def by_hand(model: VAE, x: Tensor, z: Tensor) -> ByHand:
    """At the noise that gave `z` [S, B, D]; gradients flow through z = mu + sigma eps."""
    mu, log_var = encoded(model, x)
    sigma = (log_var / 2).exp()
    eps = ((z - mu) / sigma).detach()
    z = mu + sigma * eps
    logits = model.likelihood.network(z.flatten(0, 1)).unflatten(0, z.shape[:2]) + model.likelihood.offset
    half_log_2pi = 0.5 * np.log(2 * np.pi)
    return ByHand(
        log_lik=(x * logsigmoid(logits) + (1 - x) * logsigmoid(-logits)).sum((-3, -2, -1)),
        log_prior=(-half_log_2pi - z**2 / 2).sum(-1),
        log_post=(-half_log_2pi - log_var / 2 - eps**2 / 2).sum(-1),
        kl=0.5 * (log_var.exp() + mu**2 - 1 - log_var).sum(-1),
    )


class Recorder:
    """An objective that keeps the images and draws that pass through it, and is judged as the one within."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.judged_by = criterion_of(objective)
        self.seen: list[tuple[Tensor, Draw]] = []

    def __call__(self, model: VAE, x: Tensor, step: Tensor) -> tuple[Tensor, Draw]:
        loss, draw = self.objective(model, x, step)
        self.seen.append((x, draw))
        return loss, draw


def step_once(
    model: VAE, objective: Objective, data: Dataset, config: TrainingConfig | None = None, learning_rate: float = 0.0
) -> list[Tensor]:
    """The gradients of one training step on all images of `data`, as Adam got them."""
    config = config or TrainingConfig()
    state = TrainState.start(model, config)
    images, reading = torch.from_numpy(data.images), protocol(data.protocol)
    step = make_step(model, objective, reading.pixels, state, config, key_of(0), reading.nats_offset(data.shape))
    step(images, torch.tensor(learning_rate), torch.tensor(0))
    return [mean / (1 - BETA_1) for mean in state.mean]  # its first mean is (1 - beta_1) g


def fitted(
    spec: Spec, data: Splits, folder: Path, objective: Objective | None = None, model: VAE | None = None
) -> tuple[VAE, list[dict]]:
    """The model (by default that of `spec`) trained on `data` as `spec` says, and the lines of its log."""
    folder.mkdir(parents=True, exist_ok=True)
    model = model or build_model(spec, data.train.shape, data.train.labels)
    fit(model, objective or build_objective(spec), data, spec, folder, SILENT, "never")
    return model, Run(folder, must_exist=False).log


def npz(path: Path, train: np.ndarray, test: np.ndarray) -> str:
    """The two written to a file, with labels 0 to 2; how a Spec names it."""
    labels = {f"{split}_labels": np.arange(len(of)) % 3 for split, of in (("train", train), ("test", test))}
    np.savez(path, train_images=train, test_images=test, **labels)
    return f"npz:{path}"


def spec_of(data: str = "digits") -> Spec:
    """A run of a moment."""
    return completed(
        Spec(
            data=data, protocol="grey", latent=2, network="mlp:hidden=8", epochs=2, batch=10, learning_rate=1e-2,
            nll_samples=3,
        )
    )  # fmt: skip

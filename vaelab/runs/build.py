"""Build the data, the model, the objective and the refit prior of a Blueprint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from vaelab.data.dataset import Splits
from vaelab.data.sources import load
from vaelab.models import VAE, Labels
from vaelab.objectives.losses import Objective
from vaelab.parts.names import Part
from vaelab.randomness.seeds import derive
from vaelab.runs.blueprint import Blueprint
from vaelab.runs.compatibility import check_labels, required_labels
from vaelab.system.errors import VaelabError


def load_data(blueprint: Blueprint, root: str | None = None, source: str | None = None) -> Splits:
    """The data, split and read as the Spec says.

    Arguments:
        root: the data directory (see `vaelab.data.load`).
        source: where the images are now, such as "folder:elsewhere/faces", if they were moved.

    Raises:
        SpecError: images without the labels that the model needs.
        DataError: as `vaelab.data.load`.
    """
    spec = blueprint.spec
    data = load(source or blueprint.source, root, spec.validation, spec.split_seed, blueprint.protocol.name)
    if blueprint.conditional:
        check_labels(data)
    return data


def build_model(
    blueprint: Blueprint,
    image_shape: tuple[int, int, int],
    labels: np.ndarray | None = None,
    trained: bool = False,
    class_names: Mapping[int, str] | None = None,
) -> VAE:
    """The model for images of `image_shape`, its weights drawn from the Spec's seed.

    Arguments:
        labels: whole numbers [N], of the training images; needed only if the model is conditioned on them.
        trained: whether with the prior that is fitted when training is over, if there is one.
        class_names: of the labels, by which the model can be given them too.

    Raises:
        SpecError: the model is conditioned on labels, and there are none; or a part refuses these shapes.
    """
    spec = blueprint.spec
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "weights"))
        known: dict[str, Any] = {"latent": spec.latent, "image_shape": image_shape}
        known["network"] = blueprint.network.make()
        known["posterior"] = blueprint.posterior.make(known)
        known["likelihood"] = blueprint.likelihood.make()
        known["labels"] = Labels(required_labels(labels), class_names) if blueprint.conditional else None
        maker = blueprint.refit if trained and blueprint.refit else blueprint.prior
        known["prior"] = lambda posterior, latent: _prior(maker, latent, image_shape, posterior)
        model = blueprint.model.make(known)
        # What convolutions are fastest with, on any device
        return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def build_refit(blueprint: Blueprint, model: VAE) -> nn.Module:
    """The prior that is fitted when training is over, in its state before the fit."""
    assert blueprint.refit is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(blueprint.spec.seed, "refit"))
        return _prior(blueprint.refit, model.latent, model.image_shape, model.posterior)


def _prior(maker: Part[nn.Module], latent: int, image_shape: tuple[int, ...], posterior: nn.Module) -> nn.Module:
    return maker.make({"latent": latent, "image_shape": image_shape, "posterior": posterior})


def build_objective(blueprint: Blueprint, images: int | None = None) -> Objective:
    """The objective; what it learns itself is drawn from the Spec's seed.

    Arguments:
        images: N, in the training set, for objectives that ask for it.
    """
    known = {"latent": blueprint.spec.latent} | ({} if images is None else {"images": images})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(blueprint.spec.seed, "objective"))
        return blueprint.objective.make(known)


def training_bytes(blueprint: Blueprint, image_shape: tuple[int, int, int]) -> int:
    """Bytes that a training holds of the parameters: they, their gradients, two moments of Adam, and two copies."""
    return 6 * model_bytes(blueprint, image_shape)


def model_bytes(blueprint: Blueprint, image_shape: tuple[int, int, int]) -> int:
    """Bytes of the model's parameters; 0 if only making them would tell, as with a part that asks for values."""
    try:
        with torch.device("meta"):  # tensors without values
            model = build_model(blueprint, image_shape, np.arange(2) if blueprint.conditional else None)
    except VaelabError:
        raise
    except Exception:  # of whatever kind: a part may be the user's
        return 0
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())

"""Build the data, the model, the objective and the refit prior of a Blueprint."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, TypeAdapter
from torch import Tensor, nn

from vaelab.data.dataset import Splits
from vaelab.data.sources import ParsedSource, load_data
from vaelab.models import VAE, Labels
from vaelab.objectives.losses import Objective
from vaelab.parts.names import Part
from vaelab.randomness.seeds import derive
from vaelab.runs.blueprint import Blueprint
from vaelab.runs.compatibility import check_labels, required_labels
from vaelab.system.errors import RunError, VaelabError, in_one_line
from vaelab.system.memory import check_free

OF_PIXELS = {"posterior.centre", "likelihood.offset"}  # older runs do not have them: both were 0 in training
Axis = Annotated[int, Field(ge=1)]
SHAPE = TypeAdapter(tuple[Axis, Axis, Axis])  # of the images, where a file has it


def load_splits(blueprint: Blueprint, root: str | None = None, source: str | ParsedSource | None = None) -> Splits:
    """Load the data, split and read as the Spec says.

    Arguments:
        root: the data directory (see `vaelab.data.load_data`).
        source: where the images are now, such as "folder:elsewhere/faces", if they were moved.

    Raises:
        SpecError: the model needs labels, and the images have none.
        DataError: as `vaelab.data.load_data`.
    """
    spec, protocol = blueprint.spec, blueprint.protocol.name
    place = source or blueprint.source
    data = load_data(place, root, spec.validation, spec.split_seed, protocol, blueprint.reading)
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
    """Build the model for images of `image_shape`; its initial weights are drawn with the Spec's seed.

    Arguments:
        labels: integers [N], one for each training image; needed only if the model is conditioned on them.
        trained: whether to use the prior that is fitted after training, if there is one.
        class_names: names of the labels; the model also accepts these names.

    Raises:
        SpecError: the model is conditioned on labels and there are none, or a part refuses these shapes.
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
        # Convolutions are fastest with this format, on any device
        return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def build_trained(
    blueprint: Blueprint,
    image_shape: tuple[int, int, int],
    tensors: Mapping[str, Tensor],
    class_names: Mapping[int, str] | None = None,
) -> VAE:
    """Build the trained model from its weights, in evaluation mode, on the CPU; call it within `weights_fit`.

    Raises:
        RuntimeError, ValueError: the weights are not those of this model, or they are not finite.
        RunError: the memory does not suffice.
    """
    classes = tensors.get("labels.classes")
    labels = None if classes is None else classes.numpy()
    check_free("such a model", model_bytes(blueprint, image_shape), "close other programs", RunError)
    model = build_model(blueprint, image_shape, labels, trained=True, class_names=class_names)
    own = model.state_dict()
    model.load_state_dict({name: own[name] for name in OF_PIXELS & own.keys()} | dict(tensors))
    if odd := [name for name, tensor in own.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{odd[0]} is not finite")
    model.protocol = blueprint.spec.protocol
    return model.eval()


@contextmanager
def weights_fit(weights: Path, spec: str, do: str) -> Iterator[None]:
    """Raise RunError if a model cannot be built with what the file `weights`, and its header or config, say."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        found = f"{weights} does not fit {spec} ({in_one_line(error)})"
        raise RunError(found=found, expected="the weights of this Spec", do=do) from error


def build_refit(blueprint: Blueprint, model: VAE) -> nn.Module:
    """Build the prior that is fitted after training, in its state before the fit."""
    assert blueprint.refit is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(blueprint.spec.seed, "refit"))
        return _prior(blueprint.refit, model.latent, model.image_shape, model.posterior)


def _prior(maker: Part[nn.Module], latent: int, image_shape: tuple[int, ...], posterior: nn.Module) -> nn.Module:
    return maker.make({"latent": latent, "image_shape": image_shape, "posterior": posterior})


def build_objective(blueprint: Blueprint, images: int | None = None) -> Objective:
    """Build the objective; its own parameters are drawn with the Spec's seed.

    Arguments:
        images: N, the number of training images, for objectives that ask for it.
    """
    known = {"latent": blueprint.spec.latent} | ({} if images is None else {"images": images})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(blueprint.spec.seed, "objective"))
        return blueprint.objective.make(known)


def training_bytes(blueprint: Blueprint, image_shape: tuple[int, int, int]) -> int:
    """Bytes that training needs for parameters, their gradients, the two moments of Adam, and two copies."""
    return 6 * model_bytes(blueprint, image_shape)


def model_bytes(blueprint: Blueprint, image_shape: tuple[int, int, int]) -> int:
    """Bytes of the model's parameters; 0 if they cannot be counted without values, as for a part that reads values."""
    try:
        with torch.device("meta"):  # tensors without values
            model = build_model(blueprint, image_shape, np.arange(2) if blueprint.conditional else None)
    except VaelabError:
        raise
    except Exception:  # of any kind: a part may be the user's own code
        return 0
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())

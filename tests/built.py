"""What `vaelab.runs.build` makes, straight from a Spec: tests write Specs, and need one part of what they mean."""

from collections.abc import Mapping

import numpy as np
from torch import nn

from vaelab.data.dataset import Splits
from vaelab.models import VAE
from vaelab.objectives.losses import Objective
from vaelab.runs import build
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.compatibility import check, check_condition
from vaelab.runs.spec import Spec


def checked(spec: Spec) -> Blueprint:
    """The Blueprint of a Spec whose parts belong together; SpecError if they do not."""
    blueprint = blueprint_of(spec)
    check(blueprint)
    return blueprint


def completed(spec: Spec) -> Spec:
    """`spec` with every option spelt out, its parts checked."""
    return checked(spec).spec


def load_splits(spec: Spec, root: str | None = None) -> Splits:
    return build.load_splits(blueprint_of(spec), root)


def build_model(
    spec: Spec,
    image_shape: tuple[int, int, int],
    labels: np.ndarray | None = None,
    trained: bool = False,
    class_names: Mapping[int, str] | None = None,
) -> VAE:
    """The model for images of any kind, so that the likelihood is not held to the protocol of the data."""
    blueprint = blueprint_of(spec)
    check_condition(blueprint)
    return build.build_model(blueprint, image_shape, labels, trained, class_names)


def build_objective(spec: Spec, images: int | None = None) -> Objective:
    return build.build_objective(blueprint_of(spec), images)


def build_refit(spec: Spec, model: VAE) -> nn.Module:
    return build.build_refit(blueprint_of(spec), model)

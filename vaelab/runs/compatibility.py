"""Check which parts of a Blueprint can be combined."""

from typing import Any

import numpy as np
import torch
from torch import nn

from vaelab.data.dataset import Splits
from vaelab.data.protocol import protocol as find_protocol
from vaelab.models import Conditional
from vaelab.objectives import OBJECTIVES
from vaelab.parts.capabilities import InitialisedFromData, declared, has
from vaelab.parts.names import Part
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.runs.blueprint import LIKELIHOOD_OF, NOT_A_LIKELIHOOD, Blueprint
from vaelab.system.errors import SpecError

DESCRIBING = LIKELIHOOD_OF | {"grey": "continuous-bernoulli"}  # a Bernoulli of grey levels is not a likelihood
WHERE = {
    "real": "over real vectors", "sphere": "on the sphere", "codes": "over codes", "posterior": "over densities q(z|x)",
}  # fmt: skip
ROOMY = (1, 128, 128)  # large enough for any grid of codes; for priors that are made before the data are read


def check(blueprint: Blueprint) -> None:
    """Check all that can be checked before the data are read.

    Raises:
        SpecError: parts cannot be combined.
    """
    check_support(blueprint, blueprint.prior)
    check_objective(blueprint)
    check_condition(blueprint)
    if blueprint.refit:
        check_refit(blueprint, blueprint.refit)
    check_protocol(blueprint)


def check_support(blueprint: Blueprint, prior: Part[nn.Module]) -> None:
    """Raise SpecError unless `prior` and the posterior describe z in the same space.

    A part that does not declare its `support` describes z in R^D.
    """
    posterior = blueprint.posterior
    ours, theirs = _support(prior), _support(posterior)
    if _meet(ours, theirs):
        return
    priors = [name for name, p in PRIORS.items() if _meet(declared(p, "support"), theirs)]
    posteriors = [name for name, q in POSTERIORS.items() if _meet(ours, declared(q, "support"))]
    raise SpecError(
        found=f"prior {_short(prior)} {WHERE[ours]} with posterior {_short(posterior)} {WHERE[theirs]}",
        expected=f"a prior of {', '.join(priors)}, or a posterior of {', '.join(posteriors)}",
        do="name one of these",
    )


def check_objective(blueprint: Blueprint) -> None:
    """Raise SpecError if q(z|x) is a point and the objective needs a density.

    An objective that does not declare `admits_point` is accepted.
    """
    objective, posterior = blueprint.objective, blueprint.posterior
    if _support(posterior) != "codes" or objective.declared("admits_point"):
        return
    admitting = [name for name, entry in OBJECTIVES.items() if declared(entry, "admits_point")]
    raise SpecError(
        found=f"objective {_short(objective)} with posterior {_short(posterior)} {WHERE[_support(posterior)]}",
        expected=f"{' or '.join(admitting)}: z is a point given x, so it has no density",
        do=f"use --objective {admitting[-1]}",
    )


def check_condition(blueprint: Blueprint) -> None:
    """Raise SpecError if the model must be conditioned on labels and one of its parts cannot be."""
    if not blueprint.conditional:
        return
    if not blueprint.model.asks_for("labels"):
        raise SpecError(
            found=f"model {blueprint.given.model} with --condition labels",
            expected="a model that is made from 'labels'",
            do="use --model vae, or --condition none",
        )
    if _support(blueprint.posterior) == "codes":
        raise SpecError(
            found="posterior codes with --condition labels",
            expected="a z that is one vector, to which the label is appended",
            do="use --posterior diagonal, or --condition none",
        )
    if blueprint.prior.asks_for("posterior"):
        raise SpecError(
            found=f"prior {_short(blueprint.prior)} with --condition labels",
            expected="a prior that does not use q(z|x), because q(z|x) needs a label for each image",
            do="use --prior mixture, or --condition none",
        )


def check_refit(blueprint: Blueprint, refit: Part[nn.Module]) -> None:
    """Raise SpecError unless `refit` can be fitted to the latent codes of this model after training."""
    if blueprint.hierarchical:
        raise SpecError(
            found=f"--refit {blueprint.given.refit} with model {_short(blueprint.model)}",
            expected="a model with one group of latent variables",
            do="leave it out: the prior is trained with the model",
        )
    check_support(blueprint, refit)
    known = {"latent": blueprint.spec.latent, "image_shape": ROOMY}
    with torch.random.fork_rng(devices=[]):
        head: Any = blueprint.posterior.make(known)  # a module, if it must be part of one
        prior = refit.make({**known, "posterior": Conditional(nn.Identity(), head, ROOMY)})
    if not list(prior.parameters()) or has(prior, InitialisedFromData):
        raise SpecError(
            found=f"--refit {blueprint.given.refit}",
            expected="a prior that has parameters to fit and does not start from images",
            do="use, for example, --refit mixture",
        )


def check_protocol(blueprint: Blueprint) -> None:
    """Raise SpecError unless the likelihood describes the pixels, or the Spec names a protocol that it admits."""
    head, protocol, named = blueprint.likelihood, blueprint.protocol, blueprint.given.protocol
    described, admitted = head.declared("protocols"), head.declared("admitted")
    if protocol.name in described or (named and protocol.name in admitted):
        return
    own = find_protocol(blueprint.source.entry.protocol)
    asked = f"protocol {protocol.name}" + ("" if named else f", the default of {blueprint.spec.data}")
    binary = [one.levels == "binary" for one in (find_protocol(described[0]), own)]
    # Grey pixels are not made binary only to fit a likelihood
    protocols = [] if binary == [True, False] else [f"--protocol {described[0]}"]
    noted = [f"--protocol {name} (its value is {NOT_A_LIKELIHOOD})" for name in admitted]
    fitting = f"--likelihood {DESCRIBING[protocol.levels]}, which describes these pixels"
    raise SpecError(
        found=f"likelihood {_short(head)} on {asked}",
        expected=f"pixels that it describes ({', '.join(described)}), or another likelihood",
        do=f"use {', or '.join([fitting, *protocols, *noted])}",
    )


def check_labels(data: Splits) -> None:
    """Raise SpecError unless every image has a label that training images also have."""
    known = required_labels(data.train.labels)
    for split in (data.validation, data.test):
        if split is not None and len(unseen := np.setdiff1d(required_labels(split.labels, split.split), known)):
            label = split.class_name(unseen[0])
            raise SpecError(
                found=f"--condition labels with {split.split} images of label {label}, which no training image has",
                expected="labels that training images also have",
                do="leave those images out, or use --condition none",
            )


def required_labels(labels: np.ndarray | None, split: str = "training") -> np.ndarray:
    """Return `labels`; SpecError if there are none."""
    if labels is None:
        raise SpecError(
            found=f"--condition labels with {split} images that have none",
            expected="a label for each image",
            do="use data with labels, or --condition none",
        )
    return labels


def _meet(prior: str, posterior: str) -> bool:
    """Whether a prior and a posterior with these supports describe the same z; a point has no density to mix."""
    return prior == posterior or (prior == "posterior" and posterior != "codes")


def _support(part: Part) -> str:
    return part.declared("support")


def _short(part: Part) -> str:
    return part.name.split(":")[0]

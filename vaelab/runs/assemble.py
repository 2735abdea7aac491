"""From a Spec to its parts."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from vaelab.data.dataset import Splits
from vaelab.data.protocol import protocol as find_protocol
from vaelab.data.sources import load, parse
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import MODELS, VAE, Conditional, Labels, ladder
from vaelab.networks import NETWORKS
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.losses import Objective
from vaelab.parts import names as parts
from vaelab.parts.capabilities import InitialisedFromData, declared, has
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.randomness.seeds import derive
from vaelab.runs.spec import Spec
from vaelab.system.errors import SpecError, VaelabError
from vaelab.training.schedules import SCHEDULES

TABLES: dict[str, dict[str, Any]] = {
    "model": MODELS,
    "prior": PRIORS,
    "posterior": POSTERIORS,
    "likelihood": LIKELIHOODS,
    "network": NETWORKS,
    "objective": OBJECTIVES,
    "schedule": SCHEDULES,
}

NOT_A_LIKELIHOOD = "not a likelihood"
LIKELIHOOD_OF = {  # for pixels of these levels, where the Spec names none
    "binary": "bernoulli",
    "grey": "bernoulli",
    "8bit": "gaussian:sigma=shared",
    "256": "discretised-gaussian:sigma=shared",
}
DESCRIBING = LIKELIHOOD_OF | {"grey": "continuous-bernoulli"}  # a Bernoulli of grey levels is no likelihood
WHERE = {
    "real": "over real vectors", "sphere": "on the sphere", "codes": "over codes", "posterior": "over densities q(z|x)",
}  # fmt: skip
OF_A_POINT = ("elbo", "commitment")  # objectives that ask no more of q(z|x) than z
ROOMY = (1, 128, 128)  # an image with room for any grid of codes, for priors that are made before the data are read


def completed(spec: Spec) -> Spec:
    """`spec` with every option of every part spelt out; SpecError where a name or value is not known.

    So a run's directory says all that was chosen, and two ways to write one run have one name.
    """
    spec = spec.model_copy(update={"likelihood": likelihood_of(spec)})
    spelt = {kind: parts.canonical(kind, table, getattr(spec, kind)) for kind, table in TABLES.items()}
    for kind, text in spelt.items():
        if kind in ("network", "schedule", "likelihood"):  # what can be made without a shape
            parts.make(kind, TABLES[kind], text)
    build_objective(spec, images=1)
    check_support(spec)
    check_condition(spec)
    if spec.refit:
        if is_hierarchical(spec):
            found = f"--refit {spec.refit} with model {spec.model.split(':')[0]}"
            expected = "a model with one group of latent variables"
            raise SpecError(found=found, expected=expected, do="leave it out: the prior learns beside the model")
        spelt["refit"] = parts.canonical("prior", PRIORS, spec.refit)
        check_support(spec.model_copy(update={"prior": spec.refit}))
        known = {"latent": spec.latent, "image_shape": ROOMY}
        head = parts.make("posterior", POSTERIORS, spec.posterior, known)
        prior = _prior(spec.refit, spec.latent, ROOMY, Conditional(nn.Identity(), head, ROOMY))
        if not list(prior.parameters()) or has(prior, InitialisedFromData):
            found = f"--refit {spec.refit}"
            expected = "a prior with parameters to fit, that does not start from images"
            raise SpecError(found=found, expected=expected, do="use, say, --refit mixture")
    check_protocol(spec, protocol_of(spec))
    return spec.model_copy(update={**spelt, "protocol": protocol_of(spec)})


def protocol_of(spec: Spec) -> str:
    """The name of the protocol by which `spec` reads pixels: the data's own where it names none."""
    return spec.protocol or parse(spec.data)[1].protocol


def likelihood_of(spec: Spec) -> str:
    """The likelihood that `spec` names; where it names none, one that describes the pixels as they are read."""
    return spec.likelihood or LIKELIHOOD_OF[find_protocol(protocol_of(spec)).levels]


def is_hierarchical(spec: Spec) -> bool:
    """Whether the latent variables come in groups, each given those above it."""
    return parts.resolve("model", MODELS, spec.model)[0] is ladder


def load_data(spec: Spec, root: str | None = None) -> Splits:
    """The data that `spec` names, split and read as it says; SpecError where they lack labels that it needs."""
    data = load(spec.data, root, spec.validation, spec.split_seed, spec.protocol)
    if spec.condition == "labels":
        check_labels(data)
    return data


def build_model(
    spec: Spec,
    image_shape: tuple[int, int, int],
    labels: np.ndarray | None = None,
    trained: bool = False,
    class_names: Mapping[int, str] | None = None,
) -> VAE:
    """The model that `spec` describes for images of `image_shape`, its weights drawn from the Spec's seed.

    Arguments:
        labels: whole numbers [N], of the training images; only asked for where the model is told them.
        trained: whether with the prior that is fitted when training is over, where there is one.
        class_names: of the labels, by which the model can be told them too.

    Raises:
        SpecError: the model is to be told labels, and there are none, or it cannot be.
    """
    check_condition(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "weights"))
        known: dict[str, Any] = {"latent": spec.latent, "image_shape": image_shape}
        known["network"] = parts.make("network", NETWORKS, spec.network)
        known["posterior"] = parts.make("posterior", POSTERIORS, spec.posterior, known)
        known["likelihood"] = parts.make("likelihood", LIKELIHOODS, likelihood_of(spec))
        known["labels"] = Labels(_there(labels), class_names) if spec.condition == "labels" else None
        text = spec.refit if trained and spec.refit else spec.prior
        known["prior"] = lambda posterior, latent: _prior(text, latent, image_shape, posterior)
        model = parts.make("model", MODELS, spec.model, known)
        # What convolutions are fastest with, on any device
        return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def training_bytes(spec: Spec, image_shape: tuple[int, int, int]) -> int:
    """Bytes that a training holds of the parameters: they, their gradients, two moments of Adam, and two copies."""
    return 6 * model_bytes(spec, image_shape)


def model_bytes(spec: Spec, image_shape: tuple[int, int, int]) -> int:
    """Bytes of the model's parameters.

    0 where that cannot be told before they are made, as with a part that asks for values.
    """
    try:
        with torch.device("meta"):  # tensors without values
            model = build_model(spec, image_shape, np.arange(2) if spec.condition == "labels" else None)
    except VaelabError:
        raise
    except Exception:  # of whatever kind: a part may be the user's
        return 0
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def build_refit(spec: Spec, model: VAE) -> nn.Module:
    """The prior that is fitted when training is over, before that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "refit"))
        return _prior(spec.refit, model.latent, model.image_shape, model.posterior)


def _prior(text: str, latent: int, image_shape: tuple[int, ...], posterior: nn.Module) -> nn.Module:
    known = {"latent": latent, "image_shape": image_shape, "posterior": posterior}
    return parts.make("prior", PRIORS, text, known)


def build_objective(spec: Spec, images: int | None = None) -> Objective:
    """The objective that `spec` names, what it learns itself drawn from the Spec's seed.

    Arguments:
        images: N, in the training set, for objectives that ask for it.
    """
    known = {"latent": spec.latent} | ({} if images is None else {"images": images})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(spec.seed, "objective"))
        return parts.make("objective", OBJECTIVES, spec.objective, known)


def check_protocol(spec: Spec, protocol: str) -> None:
    """SpecError unless the likelihood describes pixels read by `protocol`, or the Spec names one that it admits."""
    head: Any = parts.resolve("likelihood", LIKELIHOODS, likelihood_of(spec))[0]  # a head, or a maker of one
    find_protocol(protocol)  # an unknown name is an error of its own
    if protocol in head.protocols or (spec.protocol and protocol in head.admitted):
        return
    own = parse(spec.data)[1].protocol
    asked = f"protocol {protocol}" + ("" if spec.protocol else f", the way {spec.data} is read unless you say")
    binary = [find_protocol(name).levels == "binary" for name in (head.protocols[0], own)]
    described = [] if binary == [True, False] else [f"--protocol {head.protocols[0]}"]  # nobody's photographs
    admitted = [f"--protocol {name} (its value is {NOT_A_LIKELIHOOD})" for name in head.admitted]
    fitting = f"--likelihood {DESCRIBING[find_protocol(protocol).levels]}, which describes these pixels"
    raise SpecError(
        found=f"likelihood {likelihood_of(spec).split(':')[0]} on {asked}",
        expected=f"pixels that it describes ({', '.join(head.protocols)}), or another likelihood",
        do=f"use {', or '.join([fitting, *described, *admitted])}",
    )


def check_condition(spec: Spec) -> None:
    """SpecError where the model is to be told labels, and a part of it cannot be."""
    if spec.condition == "none":
        return
    model, prior = (inspect.signature(parts.resolve(k, TABLES[k], getattr(spec, k))[0]) for k in ("model", "prior"))
    if "labels" not in model.parameters:
        raise SpecError(
            found=f"model {spec.model} with --condition labels",
            expected="a model that is made from 'labels'",
            do="use --model vae, or --condition none",
        )
    if _support(parts.resolve("posterior", POSTERIORS, spec.posterior)[0]) == "codes":
        raise SpecError(
            found="posterior codes with --condition labels",
            expected="a z that is one vector, to put the label beside",
            do="use --posterior diagonal, or --condition none",
        )
    if "posterior" in prior.parameters:
        raise SpecError(
            found=f"prior {spec.prior.split(':')[0]} with --condition labels",
            expected="one that does not ask q(z|x), which wants a label for each of its images",
            do="use --prior mixture, or --condition none",
        )


def check_labels(data: Splits) -> None:
    """SpecError unless every image has a label, one that training images have too."""
    known = _there(data.train.labels)
    for split in (data.validation, data.test):
        if split is not None and len(unseen := np.setdiff1d(_there(split.labels, split.split), known)):
            label = split.class_name(unseen[0])
            raise SpecError(
                found=f"--condition labels with {split.split} images of label {label}, of which none is trained on",
                expected="labels that training images have too",
                do="leave those images out, or use --condition none",
            )


def _there(labels: np.ndarray | None, split: str = "training") -> np.ndarray:
    if labels is None:
        raise SpecError(
            found=f"--condition labels with {split} images that have none",
            expected="a label for each image",
            do="use data with labels, or --condition none",
        )
    return labels


def check_support(spec: Spec) -> None:
    """SpecError unless prior and posterior describe z in the same place, and the objective has a meaning there.

    What does not say where does it in all of R^D.
    """
    prior, posterior = (_support(parts.resolve(k, TABLES[k], getattr(spec, k))[0]) for k in ("prior", "posterior"))
    if not _meet(prior, posterior):
        priors = [name for name, p in PRIORS.items() if _meet(_support(p), posterior)]
        posteriors = [name for name, q in POSTERIORS.items() if _meet(prior, _support(q))]
        raise SpecError(
            found=f"prior {spec.prior.split(':')[0]} {WHERE[prior]} with posterior {spec.posterior.split(':')[0]} "
            f"{WHERE[posterior]}",
            expected=f"a prior of {', '.join(priors)}, or a posterior of {', '.join(posteriors)}",
            do="name one of these",
        )
    objective = spec.objective.split(":")[0]
    if posterior == "codes" and objective in OBJECTIVES and objective not in OF_A_POINT:
        raise SpecError(
            found=f"objective {objective} with posterior {spec.posterior.split(':')[0]} {WHERE[posterior]}",
            expected=f"{' or '.join(OF_A_POINT)}: z is certain given x, with nothing to weigh or to spread",
            do=f"use --objective {OF_A_POINT[-1]}",
        )


def _meet(prior: str, posterior: str) -> bool:
    """Whether a prior and a posterior of these supports describe the same z; a point has no density to mix."""
    return prior == posterior or (prior == "posterior" and posterior != "codes")


def _support(constructor: Any) -> str:
    return declared(constructor, "support")


def likelihood_note(spec: Spec, protocol: str) -> str:
    """What must stand beside the likelihoods of this run; empty where they are likelihoods of the data."""
    head: Any = parts.resolve("likelihood", LIKELIHOODS, likelihood_of(spec))[0]  # a head, or a maker of one
    return NOT_A_LIKELIHOOD if protocol in head.admitted else ""

"""A Blueprint: what the strings of a Spec mean, read once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vaelab.data.protocol import Protocol
from vaelab.data.protocol import protocol as find_protocol
from vaelab.data.sources import ParsedSource, parse
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import MODELS, VAE
from vaelab.networks import NETWORKS
from vaelab.objectives import OBJECTIVES
from vaelab.objectives.losses import Objective
from vaelab.parts.contracts import Head, LikelihoodHead, Network
from vaelab.parts.names import Part, resolve
from vaelab.posteriors import POSTERIORS
from vaelab.priors import PRIORS
from vaelab.runs.spec import Spec
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
LIKELIHOOD_OF = {  # for pixels of these levels, if the Spec names no likelihood
    "binary": "bernoulli",
    "grey": "bernoulli",
    "8bit": "gaussian:sigma=shared",
    "256": "discretised-gaussian:sigma=shared",
}


@dataclass(frozen=True, eq=False)
class Blueprint:
    """What the strings of a Spec mean. `vaelab.runs.build` makes the data, the model and the objective from it.

    A part is kept as its maker. A model and an objective hold weights, so each build makes new ones, at shapes that
    only the data tell. A schedule is a pure function, and is made here.

    Arguments:
        given: the Spec as it was written. It may leave the protocol, the likelihood and options open.
        spec: `given` with every option of every part spelt out. Its hash names the run.
        source: the data source.
        protocol: how pixels are read.
        model: puts the parts together.
        network: the recipe of encoder and decoder.
        posterior: the head of q(z|x).
        likelihood: the head of p(x|z).
        prior: p(z).
        refit: the prior that is fitted when training is over; None for none.
        objective: what is optimised.
        schedule: share of the training that is done, 0 to 1 -> factor of the learning rate.
        conditional: whether encoder and decoder are conditioned on labels.
    """

    given: Spec
    spec: Spec
    source: ParsedSource
    protocol: Protocol
    model: Part[VAE]
    network: Part[Network]
    posterior: Part[Head]
    likelihood: Part[LikelihoodHead]
    prior: Part[nn.Module]
    refit: Part[nn.Module] | None
    objective: Part[Objective]
    schedule: Callable[[float], float]
    conditional: bool

    @property
    def hierarchical(self) -> bool:
        """Whether the latent variables come in groups, each conditioned on those above it."""
        return self.model.declared("hierarchical")

    @property
    def inverts(self) -> bool:
        """Whether the posterior must be inverted for the density of a z that it did not draw."""
        return self.posterior.declared("inverts")

    def likelihood_note(self, protocol: str) -> str:
        """A note for densities of pixels read by `protocol`; empty if they are likelihoods of the data."""
        return NOT_A_LIKELIHOOD if protocol in self.likelihood.declared("admitted") else ""


def blueprint_of(spec: Spec) -> Blueprint:
    """Read the strings of a Spec.

    Whether the parts belong together is another question: `vaelab.runs.compatibility.check`.

    Raises:
        SpecError: a name or an option that is not known, or a value that a part refuses.
    """
    source = parse(spec.data)
    protocol = find_protocol(spec.protocol or source.entry.protocol)
    texts = {kind: getattr(spec, kind) for kind in TABLES}
    texts["likelihood"] = spec.likelihood or LIKELIHOOD_OF[protocol.levels]
    parts = {kind: resolve(kind, TABLES[kind], text) for kind, text in texts.items()}
    refit = resolve("prior", PRIORS, spec.refit) if spec.refit else None
    with torch.random.fork_rng(devices=[]):
        for kind in ("likelihood", "network"):  # a part refuses a wrong value when it is made
            parts[kind].make()
        schedule: Callable[[float], float] = parts["schedule"].make()
        parts["objective"].make({"latent": spec.latent, "images": 1})
    spelt = {kind: part.text for kind, part in parts.items()}
    spelt["refit"] = refit.text if refit else ""
    return Blueprint(
        given=spec,
        spec=spec.model_copy(update={**spelt, "protocol": protocol.name}),
        source=source,
        protocol=protocol,
        model=parts["model"],
        network=parts["network"],
        posterior=parts["posterior"],
        likelihood=parts["likelihood"],
        prior=parts["prior"],
        refit=refit,
        objective=parts["objective"],
        schedule=schedule,
        conditional=spec.condition == "labels",
    )

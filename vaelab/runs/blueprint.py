"""A Blueprint: the parts that the strings of a Spec name. The strings are read once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vaelab.data.protocol import Protocol
from vaelab.data.protocol import protocol as find_protocol
from vaelab.data.reading import Reading, parse_reading
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

    A part is kept as a `Part`, which makes it later. A model and an objective hold weights, and their shapes depend on
    the data. So each build makes new ones. A schedule is a pure function, so it is made here.

    Arguments:
        given: the Spec as the user wrote it. It may leave out the protocol, the likelihood and options.
        spec: `given` with every option of every part written out. Its hash names the run.
        source: the data source.
        reading: how image files are converted and labelled, and how images are held out.
        protocol: how pixels are read.
        model: composes the parts.
        network: the recipe for the encoder and the decoder.
        posterior: the head of q(z|x).
        likelihood: the head of p(x|z).
        prior: p(z).
        refit: the prior that is fitted after training; None if there is none.
        objective: what is optimised.
        schedule: maps the share of the training that is done, 0 to 1, to a factor of the learning rate.
        conditional: whether the encoder and the decoder are conditioned on labels.
    """

    given: Spec
    spec: Spec
    source: ParsedSource
    reading: Reading
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
        """Whether the density of a z that the posterior did not draw requires the inverse of the posterior."""
        return self.posterior.declared("inverts")

    def likelihood_note(self, protocol: str) -> str:
        """Return a note on densities of pixels read by `protocol`; empty if they are likelihoods of the data."""
        return NOT_A_LIKELIHOOD if protocol in self.likelihood.declared("admitted") else ""


def blueprint_of(spec: Spec) -> Blueprint:
    """Read the strings of a Spec.

    `vaelab.runs.compatibility.check` checks whether the parts can be combined.

    Raises:
        SpecError: a name or an option is not known, or a part refuses a value.
    """
    source = parse(spec.data)
    reading = parse_reading(spec.resize, spec.grey, spec.convert, spec.labels, spec.test, spec.stratify)
    protocol = find_protocol(spec.protocol or source.entry.protocol)
    texts = {kind: getattr(spec, kind) for kind in TABLES}
    texts["likelihood"] = spec.likelihood or LIKELIHOOD_OF[protocol.levels]
    parts = {kind: resolve(kind, TABLES[kind], text) for kind, text in texts.items()}
    refit = resolve("prior", PRIORS, spec.refit) if spec.refit else None
    with torch.random.fork_rng(devices=[]):
        for kind in ("likelihood", "network"):  # a part refuses a wrong value only when it is made
            parts[kind].make()
        schedule: Callable[[float], float] = parts["schedule"].make()
        parts["objective"].make({"latent": spec.latent, "images": 1})
    spelt = {kind: part.text for kind, part in parts.items()}
    spelt["refit"] = refit.text if refit else ""
    return Blueprint(
        given=spec,
        spec=spec.model_copy(update={**spelt, "data": source.text, "protocol": protocol.name}),
        source=source,
        reading=reading,
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

"""Problems of a model during training, found at each validation; see `vaelab.training.diagnosis.health`."""

import math
from collections.abc import Callable
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import is_diagonal_normal, kl_per_dimension
from vaelab.evaluation.latents.aggregate import in_float64, log_aggregate
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE, rows
from vaelab.objectives.losses import Objective
from vaelab.parts.capabilities import declared, head_of
from vaelab.randomness.seeds import derive
from vaelab.training.diagnosis.health import Finding, Seen, findings, mean_log_sigma
from vaelab.training.diagnosis.units import stuck_units

IMAGES = 200  # images examined; enough to estimate a mean KL near 0.01 nats
PAIRED = 24  # images for the mutual information, if the density of another image's z costs a network pass
EARLY = 0.1  # of a training run, at least an epoch, without findings on z: every VAE starts with an unused z
SETTLING = 500  # steps without findings on z, up to half of a training run
OF_TIME = ("posterior-collapse", "constant-encoder", "off-prior")  # the kinds that are not reported early


def find_findings(
    model: VAE, data: Dataset, rate: float, seed: int, objective: Objective | None = None
) -> list[Finding]:
    """Return the problems of `model`, found from its rate in nats and some evenly spaced images of `data`.

    A sigma that the user fixed is not examined.

    Arguments:
        objective: the objective of the training run, so that the advice fits it.
    """
    device = next(model.parameters()).device
    chosen = np.arange(len(data))[:: max(1, len(data) // IMAGES)][:IMAGES]
    images, conditioned = torch.from_numpy(data.images[chosen]).to(device), model.given(rows(data.labels, chosen))
    with evaluating(model), torch.enable_grad():
        torch.manual_seed(derive(seed, "validation"))
        x = protocol(data.protocol).pixels(images)
        with stuck_units(model) as stuck:
            q = conditioned.posterior(x)
            p = conditioned.likelihood(q.sample(torch.Size([1])))
        kl = kl_per_dimension(q, model.prior())
        scale = getattr(getattr(p, "base_dist", None), "scale", None)
        adapts = declared(head_of(model.likelihood), "calibrates_scale") or (scale is not None and scale.requires_grad)
        few = slice(None) if is_diagonal_normal(q) else slice(PAIRED)
        some = q if is_diagonal_normal(q) else model.given(rows(data.labels, chosen[few])).posterior(x[few])
        with torch.no_grad():
            information = None if model.support == "codes" else mutual_information(some)
        fixed = scale is not None and not adapts
        seen = Seen(
            rate=rate,
            kl_per_dimension=None if kl is None else kl.detach().double().mean(0).cpu(),
            information=information,
            most=math.log(len(x[few])),
            log_sigma=mean_log_sigma(p) if adapts else None,
            stuck=stuck,
            help=what_to_try(objective, fixed),
        )
    return findings(seen)


def mutual_information(q: Distribution) -> float:
    """Return I_q(x; z) of a batch of N images in nats, from one draw of z each; see `vaelab.evaluation.latents`."""
    q = in_float64(q)
    z = q.sample()
    return (q.log_prob(z).double() - log_aggregate([q], z)).mean().item()


def what_to_try(objective: Objective | None, fixed_sigma: bool) -> str:
    """Return what to try if z is ignored; it omits what the run already uses."""
    tries = ["train for longer"]
    beta = declared(objective, "beta")
    if beta is not None and beta > 1:
        tries.append(f"use a beta below {beta:g}")
    if not (declared(objective, "warmup") or declared(objective, "importance_weighted")):
        tries.append("increase the weight of the KL term slowly, as --objective beta:beta=1:warmup=1000 does")
    if declared(objective, "samples") == 1:
        tries.append("use --objective iwae:samples=5")
    if fixed_sigma:
        tries.append(
            "use a smaller sigma, or --likelihood gaussian:sigma=shared: a wide sigma explains images as noise"
        )
    return ", or ".join(tries)


def timely(found: list[Finding], step: int, steps: int, epoch: float) -> list[Finding]:
    """Return those of `found` that are meaningful after step `step` of `steps`; `epoch` is the steps in an epoch.

    Findings on z are not meaningful in the first epoch, in the first tenth of the training run, or in the first 500
    steps of a run that is at least twice as long. At the end they always are.
    """
    early = step < max(epoch, EARLY * steps, min(SETTLING, steps / 2)) and step < steps
    return [finding for finding in found if not (early and finding.kind in OF_TIME)]


def as_row(found: list[Finding]) -> dict[str, Any]:
    """Return the entry of a line of log.jsonl for findings; it is empty if there are none."""
    return {"findings": [asdict(finding) for finding in found]} if found else {}


def tell_new(row: dict[str, Any], before: dict[str, Any] | None, say: Callable[[str], None], whose: str = "") -> None:
    """Say those findings of a line of the log whose kind is not in the line before; `whose` is the run's name."""
    known = {finding["kind"] for finding in (before or {}).get("findings", [])}
    for finding in row.get("findings", []):
        if finding["kind"] not in known:
            for line in wrap(
                f"{whose}{finding['kind']}: {finding['says']}; {finding['do']}", 100, subsequent_indent="  "
            ):
                say(line)

"""What is amiss with a model while it is trained, at each validation; see `vaelab.training.diagnosis.health`."""

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

IMAGES = 200  # looked at; a mean KL near 0.01 nats is known well enough from so many
PAIRED = 24  # of them, for the mutual information of a posterior whose density of another image's z takes a network
EARLY = 0.1  # share of a training, at least an epoch, in which nothing is said of z: every VAE starts without any
SETTLING = 500  # steps, up to half of a training, for the same
OF_TIME = ("posterior-collapse", "constant-encoder", "off-prior")  # the kinds that say nothing early


def find_findings(
    model: VAE, data: Dataset, rate: float, seed: int, objective: Objective | None = None
) -> list[Finding]:
    """What is amiss with `model`, from its rate in nats and from some images of `data`, evenly spread.

    A sigma that the user fixed is not looked at: it is where it was put.

    Arguments:
        objective: by which it is trained, for advice that fits it.
    """
    device = next(model.parameters()).device
    chosen = np.arange(len(data))[:: max(1, len(data) // IMAGES)][:IMAGES]
    images, told = torch.from_numpy(data.images[chosen]).to(device), model.given(rows(data.labels, chosen))
    with evaluating(model), torch.enable_grad():
        torch.manual_seed(derive(seed, "validation"))
        x = protocol(data.protocol).pixels(images)
        with stuck_units(model) as stuck:
            q = told.posterior(x)
            p = told.likelihood(q.sample(torch.Size([1])))
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
    """I_q(x; z) of a batch of N images in nats, from one draw of z for each; see `vaelab.evaluation.latents`."""
    q = in_float64(q)
    z = q.sample()
    return (q.log_prob(z).double() - log_aggregate([q], z)).mean().item()


def what_to_try(objective: Objective | None, fixed_sigma: bool) -> str:
    """What helps against a z that is ignored, as it fits a run: nothing that the run has already."""
    tries = ["train for longer"]
    beta = declared(objective, "beta")
    if beta is not None and beta > 1:
        tries.append(f"use a beta below {beta:g}")
    if not (declared(objective, "warmup") or declared(objective, "importance_weighted")):
        tries.append("let the KL term in slowly, as --objective beta:beta=1:warmup=1000 does")
    if declared(objective, "samples") == 1:
        tries.append("use --objective iwae:samples=5")
    if fixed_sigma:
        tries.append("use a smaller sigma, or --likelihood gaussian:sigma=shared: a wide one explains images as noise")
    return ", or ".join(tries)


def timely(found: list[Finding], step: int, steps: int, epoch: float) -> list[Finding]:
    """Those of `found` that mean something behind `step` of `steps`, `epoch` of them an epoch.

    What is found of z means nothing in the first epoch, the first tenth of the training, or the first 500 steps of one
    that is at least twice as long; at the end it always does.
    """
    early = step < max(epoch, EARLY * steps, min(SETTLING, steps / 2)) and step < steps
    return [finding for finding in found if not (early and finding.kind in OF_TIME)]


def as_row(found: list[Finding]) -> dict[str, Any]:
    """What a line of log.jsonl holds of them: nothing where there is none."""
    return {"findings": [asdict(finding) for finding in found]} if found else {}


def tell_new(row: dict[str, Any], before: dict[str, Any] | None, say: Callable[[str], None], whose: str = "") -> None:
    """Say those findings of a line of the log whose kind the line before it lacks, behind the name of the run."""
    known = {finding["kind"] for finding in (before or {}).get("findings", [])}
    for finding in row.get("findings", []):
        if finding["kind"] not in known:
            for line in wrap(
                f"{whose}{finding['kind']}: {finding['says']}; {finding['do']}", 100, subsequent_indent="  "
            ):
                say(line)

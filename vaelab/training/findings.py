"""What is amiss with a model while it is trained, at each validation; see `vaelab.evaluation.health`."""

from collections.abc import Callable
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import numpy as np
import torch

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import kl_per_dimension
from vaelab.evaluation.health import Finding, findings, mean_log_sigma
from vaelab.evaluation.measure import evaluating
from vaelab.models import VAE, rows
from vaelab.seeds import derive

IMAGES = 200  # looked at; a mean KL near 0.01 nats is known well enough from so many
EARLY = 0.1  # share of a training, at least an epoch, in which a posterior may be collapsed: every VAE starts so


def look(model: VAE, data: Dataset, rate: float, seed: int) -> list[Finding]:
    """What is amiss with `model`, from its rate in nats and from some images of `data`, evenly spread.

    A sigma that the user fixed is not looked at: it is where it was put.
    """
    device = next(model.parameters()).device
    chosen = np.arange(len(data))[:: max(1, len(data) // IMAGES)][:IMAGES]
    images, told = torch.from_numpy(data.images[chosen]).to(device), model.given(rows(data.labels, chosen))
    with evaluating(model), torch.enable_grad():
        torch.manual_seed(derive(seed, "validation"))
        q = told.posterior(protocol(data.protocol).pixels(images))
        p = told.likelihood(q.sample(torch.Size([1])))
        kl = kl_per_dimension(q, model.prior())
        scale = getattr(getattr(p, "base_dist", None), "scale", None)
        settled = getattr(model.likelihood.head, "sigma", None) == "optimal"
        log_sigma = mean_log_sigma(p) if settled or (scale is not None and scale.requires_grad) else None
    return findings(None if kl is None else kl.detach().double().mean(0).cpu(), rate, log_sigma)


def timely(found: list[Finding], step: int, steps: int, epoch: float) -> list[Finding]:
    """Those of `found` that mean something behind `step` of `steps`, `epoch` of them an epoch.

    A collapsed posterior means nothing before an epoch and a tenth of the training are over, but always at the end.
    """
    early = step < max(epoch, EARLY * steps) and step < steps
    return [finding for finding in found if not (early and finding.kind == "posterior-collapse")]


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

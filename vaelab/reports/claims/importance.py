"""Claims about importance weighting: a tighter bound trains a better model, and the bounds are in order."""

from itertools import combinations

from vaelab.evaluation.measure import Metric
from vaelab.objectives.importance import Iwae
from vaelab.reports.claims.claim import CitedPlace, Outcome, Statement, tally, verdict
from vaelab.reports.claims.estimate import Sign, over_images, paired
from vaelab.reports.claims.pairs import between
from vaelab.reports.context import ReportContext
from vaelab.reports.labels import points
from vaelab.reports.text import Table, sentence, with_errors
from vaelab.runs.build import build_objective
from vaelab.runs.directory import Run
from vaelab.studies.study import Member

MNIST = "mnist"
BURDA = CitedPlace("Importance Weighted Autoencoders", "Burda, Grosse & Salakhutdinov (2016)", "arXiv 1509.00519")
TIGHTER_IS_BETTER = Statement(
    "A model that is trained on a tighter bound is better: IWAE with 50 samples is better than with 5, and IWAE with 5 "
    "samples is better than the VAE.",
    "",
    "Table 1, one stochastic layer",
    (MNIST,),
    BURDA,
)
BOUNDS_IN_ORDER = Statement(
    "Every bound is below the estimate of log p(x) with more samples.",
    "",
    "Theorem 1",
    (MNIST,),
    BURDA,
)


def tighter_is_better(context: ReportContext) -> Outcome:
    """Check that IWAE-50 is better than IWAE-5 and IWAE-5 better than the VAE, image by image."""
    rows, signs, runs = list[list[str]](), list[Sign](), list[Member]()
    models = points([m for m in context.done if _draws(m) > 1 or m.group == "vae-1"])
    for fewer, more in combinations(sorted(models, key=lambda model: _draws(model[0])), 2):
        pair = between(fewer, more)
        if not pair.first:  # no seed in common
            continue
        a, b = ([run.run.per_image(_nll(run.run)) for run in side] for side in (pair.first, pair.second))
        gain = paired(a, b)
        signs.append(gain.sign)
        runs += pair.runs
        rows.append([more[0].title, fewer[0].title, str(over_images(b)), str(over_images(a)), str(gain)])
    return Outcome(
        sentence(tally(signs, "the model with more samples", "is better", "is worse")),
        verdict(signs),
        "The gain is the difference in NLL, paired image by image over the same test images and seed by seed. It is "
        "decided if its interval does not contain zero.",
        runs,
        [Table(["more samples", "fewer samples", "NLL, more", "NLL, fewer", "gain, nats per image"], rows)],
    )


def bounds_in_order(context: ReportContext) -> Outcome:
    """Check that the NLL bound of each run decreases with more samples."""
    rows, signs = list[list[str]](), list[Sign]()
    for member in context.done:
        nll = _nll(member.run)
        for bound in member.run.metrics:
            if bound.measure == nll.measure and bound.name in ("elbo", "iwae_bound"):
                gap = paired([-member.run.per_image(bound)], [member.run.per_image(nll)])
                signs.append(1 if gap.mean >= 0 else gap.sign)
                name = "ELBO" if bound.name == "elbo" else f"L({bound.samples:,})"
                rows.append([context.named(member), name, with_errors(bound), with_errors(nll), str(gap)])
    return Outcome(
        sentence(tally(signs, "the bound", "is below the estimate with more samples", "is above it")),
        verdict(signs),
        "The gap is the bound of the NLL minus the NLL with the most importance samples, image by image.",
        context.done,
        [Table(["model", "bound", "value", "NLL", "gap, nats per image"], rows)],
    )


def _draws(member: Member) -> int:
    """k of an importance-weighted objective; 1 for any other objective."""
    objective = build_objective(member.blueprint)
    return objective.samples if isinstance(objective, Iwae) else 1


def _nll(run: Run) -> Metric:
    """The test NLL from the most importance samples."""
    found = (metric for metric in run.metrics if metric.name == "nll" and metric.split == "test")
    return max(found, key=lambda metric: metric.samples or 0)

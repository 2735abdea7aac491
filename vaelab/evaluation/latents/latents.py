"""The measure of latent variables: active units, information on the image, and the aggregate posterior."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import is_diagonal_normal, two_means_of
from vaelab.evaluation.latents.aggregate import POINTS, in_float64, log_aggregate
from vaelab.evaluation.latents.codebook import codebook_rows
from vaelab.evaluation.measure import Better, EvaluationContext, Metric, Progress, standard_error
from vaelab.evaluation.posterior_means import REPEATS, over_posteriors
from vaelab.system.errors import SpecError

ACTIVE_VARIANCE = 0.01  # Burda, Grosse & Salakhutdinov (2016), section 5.2
SURE = 4.0  # if the means are estimates, a variance must be this many standard errors above the threshold
SATURATED = 0.5  # nats; a mutual information this close to log N depends on N rather than on the model
ENCODING = 0.1  # proportion of the work, for the progress


@dataclass(frozen=True, kw_only=True)
class Latents:
    """Active units, mutual information I_q(x; z), KL(q(z) || p(z)), and correlations of the aggregate posterior.

    The rate is E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), with q(z) = 1/N sum_n q(z|x_n) (Hoffman & Johnson
    2016, section 2). Both parts are estimated from the same draws z_ns ~ q(z|x_n),

        I_q = 1/(N S) sum_ns [log q(z_ns|x_n) - log q(z_ns)]
        KL = 1/(N S) sum_ns [log q(z_ns) - log p(z_ns)],

    so they add up to the Monte Carlo rate of these draws. They are unbiased for the aggregate of these N images. For
    the aggregate of all possible images they are biased, because each image's own posterior is one of the N: I_q is at
    most log N, and it underestimates by as much as the KL overestimates. The work is N^2 S D. For a posterior on codes
    I_q is always log N; so the measure then reports the perplexity of each codebook, that is, how uniformly its codes
    are used.

    Arguments:
        images: N, at most: a random choice of the evaluated images, by their content.
        samples: S, draws of z for each image; with 2 or more there is a Monte Carlo standard error.

    Raises:
        SpecError: fewer than 2 images, or no draw.
    """

    images: int = 10_000
    samples: int = 1

    def __post_init__(self) -> None:
        if self.images < 2:
            raise SpecError(found=f"images = {self.images}", expected="at least 2", do="use images=2 or more")
        if self.samples < 1:
            raise SpecError(found=f"samples = {self.samples}", expected="at least 1 draw of z", do="use samples=1")

    def check(self, context: EvaluationContext) -> None:
        """Raise DataError if there are fewer than two images."""
        context.need_images("the aggregate posterior", 2)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data = context.data.some(self.images)
        size = torch.Size([self.samples])

        def read(q: Distribution) -> tuple[Distribution, Tensor]:
            q = in_float64(q)
            return q, q.sample(size)

        if context.model.support == "codes":
            z = over_posteriors(context.model, data, context.seed, lambda q: q.mean, progress)
            return codebook_rows(context, torch.cat(z))
        groups = over_posteriors(context.model, data, context.seed, read, lambda share: progress(ENCODING * share))
        with torch.no_grad():
            return [
                *_units(context, groups),
                *_parts_of_the_rate(context, groups, lambda share: progress(ENCODING + (1 - ENCODING) * share)),
            ]


Groups = list[tuple[Distribution, Tensor]]  # q(z|x), batch [B], and its draws z [S, B, D]


def _units(context: EvaluationContext, groups: Groups) -> list[Metric]:
    """Return the active units, and the correlations between them if there are at least two."""
    means = torch.cat([torch.stack(two_means_of(q, REPEATS)).double() for q, _ in groups], 1)
    active, variance = active_dimensions(means)
    images, latent, units = means.shape[1], len(active), int(active.sum())
    rows = [
        context.metric(
            "active_units",
            float(units),
            "latent dimensions",
            better="neither",
            images=images,
            note=f"of {latent}",
            parts=tuple(variance.tolist()),
        )
    ]
    if units < 2:
        return rows
    covariance = _covariance(groups)[active][:, active]
    scale = covariance.diagonal().sqrt()
    above = torch.triu_indices(units, units, 1)
    size = (covariance / scale / scale[:, None]).abs()[above[0], above[1]]
    between = f"between {units} active dimensions"
    return [
        *rows,
        *(
            context.metric(name, value.item(), "absolute value", better="lower", images=images, note=between)
            for name, value in (("aggregate_correlation", size.max()), ("aggregate_correlation_mean", size.mean()))
        ),
    ]


def active_dimensions(means: Tensor) -> tuple[Tensor, Tensor]:
    """Return which dimensions are active, bool [D], and their Var_x(E[z_d|x]), [D].

    A dimension is active if that variance is above 0.01. For a flow and a hierarchical model, E[z|x] is known only as a
    mean of draws, and its noise would add to the variance. So there are two estimates for each image, with independent
    noise. Their covariance over the images is unbiased for any number of draws. If no mean varies, its standard error
    is v / sqrt(N), with v the variance of the noise; it is 0 for exact means. The covariance must be four standard
    errors above 0.01.

    Arguments:
        means: two estimates of E[z|x], [2, N, D], as returned by `two_means_of`.
    """
    first, second = means - means.mean(1, keepdim=True)
    images = means.shape[1]
    variance = (first * second).sum(0) / (images - 1)
    error = (means[0] - means[1]).square().mean(0) / 2 / math.sqrt(images)
    return variance > ACTIVE_VARIANCE + SURE * error, variance


def _covariance(groups: Groups) -> Tensor:
    """Return Cov(z) for z ~ q(z), [D, D]: Cov_x(E[z|x]) + E_x Cov(z|x) if both are known, otherwise from the draws."""
    if all(is_diagonal_normal(q) for q, _ in groups):
        means = torch.cat([q.mean for q, _ in groups])
        return torch.cov(means.T, correction=0) + torch.cat([q.variance for q, _ in groups]).mean(0).diag()
    return torch.cov(torch.cat([z.flatten(0, 1) for _, z in groups]).double().T, correction=0)


def _parts_of_the_rate(context: EvaluationContext, groups: Groups, progress: Progress) -> list[Metric]:
    """Return I_q(x; z) and KL(q(z) || p(z)), each with its standard errors."""
    z = torch.cat([z for _, z in groups], 1)
    samples, images, _ = z.shape
    log_post = torch.cat([q.log_prob(z).double() for q, z in groups], 1)
    log_aggr = log_aggregate([q for q, _ in groups], z.flatten(0, 1), progress).reshape(samples, images)
    prior = context.model.prior()
    log_prior = torch.cat([prior.log_prob(some).double() for some in z.split(POINTS, 1)], 1)
    information, marginal = log_post - log_aggr, log_aggr - log_prior  # [S, N]
    most = math.log(images)
    reached = (
        ", which it has nearly reached: more images would give more" if information.mean() > most - SATURATED else ""
    )

    def row(name: str, terms: Tensor, better: Better, note: str) -> Metric:
        spread = terms.var(0).mean().div(samples * images).sqrt().item() if samples > 1 else None
        return context.metric(
            name,
            terms.mean().item(),
            "nats/image",
            better=better,
            images=images,
            se=standard_error(terms.mean(0)),
            monte_carlo_se=spread,
            samples=samples,
            note=note,
        )

    return [
        row("mutual_information", information, "neither", f"for these images: at most log N = {most:.2f}{reached}"),
        row(
            "marginal_kl",
            marginal,
            "lower",
            "for these images: overestimates by as much as the mutual information is underestimated",
        ),
    ]

"""What the latent variables hold: which are used, how much of the image, and how their aggregate is correlated."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import is_diagonal_normal, two_means_of
from vaelab.evaluation.latents.aggregate import POINTS, in_float64, log_aggregate
from vaelab.evaluation.latents.codebook import codebook_metrics
from vaelab.evaluation.measure import Better, EvaluationContext, Metric, Progress, standard_error
from vaelab.evaluation.posterior_means import REPEATS, over_posteriors
from vaelab.system.errors import SpecError

ACTIVE_VARIANCE = 0.01  # Burda, Grosse & Salakhutdinov (2016), section 5.2
SURE = 4.0  # standard errors by which a variance must be above that, where the means are themselves estimates
SATURATED = 0.5  # nats below log N within which the mutual information tells of N and not of the model
ENCODING = 0.1  # share of the work, for the progress


@dataclass(frozen=True, kw_only=True)
class Latents:
    """Active units, mutual information I_q(x; z), KL(q(z) || p(z)), and correlations of the aggregate posterior.

    The rate is E_x KL(q(z|x) || p(z)) = I_q(x; z) + KL(q(z) || p(z)), with q(z) = 1/N sum_n q(z|x_n) (Hoffman & Johnson
    2016, section 2). Both parts are estimated from the same draws z_ns ~ q(z|x_n),

        I_q = 1/(N S) sum_ns [log q(z_ns|x_n) - log q(z_ns)]
        KL = 1/(N S) sum_ns [log q(z_ns) - log p(z_ns)],

    so they add up to the Monte Carlo rate of these draws. They are unbiased for the aggregate of these N images; for
    that of all images there could be they are not, as an image's own posterior is one of the N: I_q is at most log N,
    and too small by as much as the KL is too large. The work is N^2 S D. Of a posterior on codes, where I_q is nothing
    but log N, it measures how evenly they are used: the perplexity of each codebook.

    Arguments:
        images: N, at most: a random choice of those measured, by their content.
        samples: S, draws of z for each image; from 2 on there is a standard error of the draws.

    Raises:
        SpecError: fewer than 2 images, or no draw.
    """

    images: int = 10_000
    samples: int = 1

    def __post_init__(self) -> None:
        if self.images < 2:
            raise SpecError(found=f"images = {self.images}", expected="at least 2, to be told apart", do="use more")
        if self.samples < 1:
            raise SpecError(found=f"samples = {self.samples}", expected="at least 1 draw of z", do="use samples=1")

    def check(self, context: EvaluationContext) -> None:
        """DataError where there are fewer than two images."""
        context.need_images("the aggregate posterior", 2)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data = context.data.some(self.images)
        size = torch.Size([self.samples])

        def read(q: Distribution) -> tuple[Distribution, Tensor]:
            q = in_float64(q)
            return q, q.sample(size)

        if context.model.support == "codes":
            z = over_posteriors(context.model, data, context.seed, lambda q: q.mean, progress)
            return codebook_metrics(context, torch.cat(z))
        groups = over_posteriors(context.model, data, context.seed, read, lambda share: progress(ENCODING * share))
        with torch.no_grad():
            return [
                *_units(context, groups),
                *_parts_of_the_rate(context, groups, lambda share: progress(ENCODING + (1 - ENCODING) * share)),
            ]


Groups = list[tuple[Distribution, Tensor]]  # q(z|x), batch [B], and its draws z [S, B, D]


def _units(context: EvaluationContext, groups: Groups) -> list[Metric]:
    """The active units, and the correlations between them where there are two."""
    means = torch.cat([torch.stack(two_means_of(q, REPEATS)).double() for q, _ in groups], 1)
    active, variance = active_dimensions(means)
    images, latent, units = means.shape[1], len(active), int(active.sum())
    metrics = [
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
        return metrics
    covariance = _covariance(groups)[active][:, active]
    scale = covariance.diagonal().sqrt()
    above = torch.triu_indices(units, units, 1)
    size = (covariance / scale / scale[:, None]).abs()[above[0], above[1]]
    between = f"between {units} active dimensions"
    return [
        *metrics,
        *(
            context.metric(name, value.item(), "absolute value", better="lower", images=images, note=between)
            for name, value in (("aggregate_correlation", size.max()), ("aggregate_correlation_mean", size.mean()))
        ),
    ]


def active_dimensions(means: Tensor) -> tuple[Tensor, Tensor]:
    """Which dimensions are active, bool [D], and their Var_x(E[z_d|x]), [D].

    A dimension is active where that variance is above 0.01. A flow and a hierarchy know E[z|x] only as a mean of draws,
    whose noise would count as variance. So there are two estimates for each image, with independent noise: their
    covariance over the images is unbiased, however few the draws. Its own standard error where no mean varies is
    v / sqrt(N), with v the variance of the noise: 0 for exact means. Four of these are asked for above 0.01.

    Arguments:
        means: two estimates of E[z|x], [2, N, D], as `two_means_of` gives them.
    """
    first, second = means - means.mean(1, keepdim=True)
    images = means.shape[1]
    variance = (first * second).sum(0) / (images - 1)
    error = (means[0] - means[1]).square().mean(0) / 2 / math.sqrt(images)
    return variance > ACTIVE_VARIANCE + SURE * error, variance


def _covariance(groups: Groups) -> Tensor:
    """Cov(z) of z ~ q(z), [D, D]: Cov_x(E[z|x]) + E_x Cov(z|x) where both are known, otherwise that of the draws."""
    if all(is_diagonal_normal(q) for q, _ in groups):
        means = torch.cat([q.mean for q, _ in groups])
        return torch.cov(means.T, correction=0) + torch.cat([q.variance for q, _ in groups]).mean(0).diag()
    return torch.cov(torch.cat([z.flatten(0, 1) for _, z in groups]).double().T, correction=0)


def _parts_of_the_rate(context: EvaluationContext, groups: Groups, progress: Progress) -> list[Metric]:
    """I_q(x; z) and KL(q(z) || p(z)), each with its standard errors."""
    z = torch.cat([z for _, z in groups], 1)
    samples, images, _ = z.shape
    log_post = torch.cat([q.log_prob(z).double() for q, z in groups], 1)
    log_aggr = log_aggregate([q for q, _ in groups], z.flatten(0, 1), progress).reshape(samples, images)
    prior = context.model.prior()
    log_prior = torch.cat([prior.log_prob(some).double() for some in z.split(POINTS, 1)], 1)
    information, marginal = log_post - log_aggr, log_aggr - log_prior  # [S, N]
    most = math.log(images)
    reached = (
        ", which it has all but reached: more images would give more" if information.mean() > most - SATURATED else ""
    )

    def metric(name: str, terms: Tensor, better: Better, note: str) -> Metric:
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
        metric("mutual_information", information, "neither", f"of these images: at most log N = {most:.2f}{reached}"),
        metric(
            "marginal_kl",
            marginal,
            "lower",
            "of these images: too high for all images, by as much as the mutual information is too low",
        ),
    ]

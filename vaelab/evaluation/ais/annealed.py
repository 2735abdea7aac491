"""The measure `Annealed`: -log p(x) by annealed importance sampling, and how far from the truth estimates of it are.

An image that the model itself drew comes with an exact sample of its posterior, so that its log p(x) is bounded from
both sides (bidirectional Monte Carlo: Grosse, Ghahramani & Adams 2015; Grosse, Ancha & Roy 2016): the gap bounds the
error of either bound, and of the importance-weighted estimate on the same images.
"""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import log_mean_exp
from vaelab.evaluation.ais.chains import PASSES, AnnealingSettings, Chains, Start, run_chains, seeds_of
from vaelab.evaluation.measure import Better, EvaluationContext, Metric, Progress, evaluating, standard_error
from vaelab.models import VAE, rows
from vaelab.objectives.bounds import log_weights
from vaelab.system.errors import SpecError, unknown

ACCEPTANCE = (0.4, 0.9)  # outside, the step sizes were not found
FEWEST_EFFECTIVE = 2.0  # chains; below, one weight decides


def simulate(model: VAE, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n images [n, C, H, W] of the model, and the z [n, D] they came from, each an exact sample of p(z|x)."""
    torch.manual_seed(*seeds_of(seed, "simulated", range(1)))
    z = model.prior().sample(torch.Size([n]))
    return model.likelihood(z).sample(), z


def importance_weighted(model: VAE, x: Tensor, samples: int, seed: int, condition: Tensor | None = None) -> Tensor:
    """log 1/K sum_k w_k of each image of x [N, C, H, W] from K = `samples` draws of q(z|x); float64 [N], on the CPU.

    Arguments:
        code: of the labels of these images, [N, classes], where the model is told them.
    """
    bounds: list[Tensor] = []
    for i, image_seed in enumerate(seeds_of(seed, "importance", range(len(x)))):
        torch.manual_seed(image_seed)
        image, conditioned = x[i : i + 1], model.conditioned(rows(condition, slice(i, i + 1)))
        q = conditioned.posterior(image)
        sizes = [min(PASSES, samples - done) for done in range(0, samples, PASSES)]
        bounds.append(log_mean_exp(torch.cat([log_weights(conditioned.draw(image, q, n)).double() for n in sizes])))
    return torch.cat(bounds).cpu()


@dataclass(frozen=True, kw_only=True)
class Annealed:
    """Annealed importance sampling with Hamiltonian transitions, and bidirectional Monte Carlo on simulated images.

    Costs about chains x leapfrog x (temperatures + 140) passes of the decoder, with their gradients, for each image,
    and for a simulated one chains x leapfrog x temperatures more.

    Arguments:
        temperatures: T, steps of the schedule; the bounds close as it grows.
        chains: M, for each image.
        leapfrog: steps of each transition.
        images: how many of the data's images are annealed; which ones depends on their content, not on their order.
        start: f_0, the prior (Wu, Burda, Salakhutdinov & Grosse 2017), or q(z|x), which is nearer.
        simulated: images drawn from the model, whose log p(x) is bounded from both sides; 0 for none.
        samples: K, of the importance-weighted estimate whose gap on simulated images is measured.

    Raises:
        SpecError: an option below its least value, an unknown start, or more chains than are annealed at a time.
    """

    temperatures: int = 500
    chains: int = 8
    leapfrog: int = 10
    images: int = 50
    start: Start = "prior"
    simulated: int = 50
    samples: int = 5_000

    def __post_init__(self) -> None:
        least = {"temperatures": 2, "chains": 1, "leapfrog": 1, "images": 1, "simulated": 0, "samples": 1}
        for option, fewest in least.items():
            if getattr(self, option) < fewest:
                found, expected = f"{option} = {getattr(self, option)}", f"at least {fewest}"
                raise SpecError(found=found, expected=expected, do=f"use {option}={fewest} or more")
        if self.start not in get_args(Start):
            raise unknown("start", self.start, get_args(Start))
        if self.chains > PASSES:
            raise SpecError(
                found=f"chains = {self.chains:,}", expected=f"at most {PASSES:,}", do="take more temperatures instead"
            )

    def check(self, context: EvaluationContext) -> None:
        """SpecError where z lies on a sphere or is made of codes, which Hamiltonian paths leave; DataError where images
        lack.
        """
        if context.model.support != "real":
            raise SpecError(
                found=f"annealed importance sampling of z on the {context.model.support}",
                expected="z in all of R^D, where its Hamiltonian transitions move",
                do="measure likelihood with more samples instead",
            )
        context.need_images(f"annealed importance sampling of {self.images:,} images", self.images)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        settings = AnnealingSettings(
            temperatures=self.temperatures, chains=self.chains, leapfrog=self.leapfrog, start=self.start
        )
        total = self.images * settings.transitions(reverse=False) + self.simulated * settings.transitions(reverse=True)
        done = 0

        def tick(images: int) -> None:
            nonlocal done
            done += images
            progress(done / total)

        with torch.no_grad(), evaluating(context.model):
            model, data = context.model, context.data.some(self.images)
            x = _pixels(data, context.seed).to(next(model.parameters()).device)
            metrics = self._real(
                context, run_chains(model, x, settings, context.seed, condition=model.condition(data.labels), tick=tick)
            )
            if self.simulated:
                torch.manual_seed(*seeds_of(context.seed, "simulated labels", range(1)))
                condition = model.draw_condition(self.simulated)
                x, z = simulate(model.conditioned(condition), self.simulated, context.seed)
                (seed,) = seeds_of(context.seed, "bidirectional", range(1))
                chains = run_chains(model, x, settings, seed, exact=z, condition=condition, tick=tick)
                iw = importance_weighted(model, x, self.samples, seed, condition)
                metrics += self._simulated(context, chains, iw)
        return metrics

    def _real(self, context: EvaluationContext, chains: Chains) -> list[Metric]:
        offset = protocol(context.data.protocol).nats_offset(context.data.shape)
        nll = offset - chains.lower
        acceptance, ess = chains.acceptance.mean().item(), chains.ess.mean().item()
        low, high = ACCEPTANCE
        bad_steps = "" if low <= acceptance <= high else f"warning: acceptance {acceptance:.2f}, not {low} to {high}"
        few = (
            "" if ess >= FEWEST_EFFECTIVE else f"warning: {ess:.1f} effective chains; take more temperatures or chains"
        )
        error = chains.variance.sum().sqrt().item() / self.images
        return [
            context.metric(
                "nll_ais",
                nll.mean().item(),
                "nats/image",
                better="lower",
                images=self.images,
                se=standard_error(nll),
                monte_carlo_se=error if self.chains > 1 else None,
                samples=self.chains,
                note=_sentence(context.note, self._how, bad_steps, few),
                per_image=nll,
            ),
            context.metric(
                "ais_acceptance",
                acceptance,
                "probability",
                better="neither",
                images=self.images,
                se=standard_error(chains.acceptance),
                samples=self.chains,
                note=bad_steps,
            ),
            context.metric(
                "ais_ess",
                ess,
                "chains",
                better="higher",
                images=self.images,
                se=standard_error(chains.ess),
                samples=self.chains,
                note=few,
            ),
        ]

    def _simulated(self, context: EvaluationContext, chains: Chains, iw: Tensor) -> list[Metric]:
        offset = protocol(context.data.protocol).nats_offset(context.data.shape)
        what: dict[str, tuple[Tensor, Better, int, str]] = {
            "bdmc_lower": (chains.lower - offset, "neither", self.chains, self._how),
            "bdmc_upper": (chains.upper - offset, "neither", self.chains, self._how),
            "bdmc_gap": (chains.upper - chains.lower, "lower", self.chains, self._how),
            "iw_gap": (
                chains.upper - iw,
                "lower",
                self.samples,
                f"bdmc_upper - importance-weighted bound; {self._how}",
            ),
        }
        return [
            context.metric(
                name,
                per_image.mean().item(),
                "nats/image",
                better=better,
                images=self.simulated,
                se=standard_error(per_image),
                samples=samples,
                note=_sentence(context.note, "of images simulated by the model, not of data", how),
            )
            for name, (per_image, better, samples, how) in what.items()
        ]

    @property
    def _how(self) -> str:
        return f"{self.temperatures} temperatures of {self.leapfrog} leapfrog steps, from the {self.start}"


def _pixels(data: Dataset, seed: int) -> Tensor:
    """Of all images, [N, C, H, W], each with noise of its own."""
    pixels: list[Tensor] = []
    for i, image_seed in enumerate(seeds_of(seed, "pixels", range(len(data)))):
        torch.manual_seed(image_seed)
        pixels.append(protocol(data.protocol).pixels(torch.from_numpy(data.images[i : i + 1])))
    return torch.cat(pixels)


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)

"""The bounds of a chunk of images from K draws of z for each, computed over blocks of draws."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.distributions import kl_divergence, kl_per_dimension, mean_of
from vaelab.evaluation.likelihood.importance_weights import Stream
from vaelab.models import VAE, Conditional
from vaelab.randomness.seeds import derive, seed_generator

TEN = 10  # draws of z in a block; fixed, because noise is drawn by block


@dataclass(frozen=True)
class ChunkNoise:
    """The identity of the noise: a function of the seed, the number of the chunk, and its use."""

    seed: int
    chunk: int
    use: tuple[int, ...] = ()

    def begin(self, device: torch.device, block: int) -> None:
        """Seed the generator of `device` for a block of draws of z; block 0 is the noise of the pixels."""
        seed_generator(device, derive(self.seed, "evaluation", self.chunk, block, *self.use))


@dataclass(frozen=True)
class AtATime:
    """How much of a chunk is processed at a time, to fit the memory."""

    blocks: int  # blocks of ten draws of z
    passes: int  # decoder passes


@dataclass(frozen=True)
class Chunk:
    """The values of an Evaluation for B images; nats without the protocol's offset."""

    rate: Tensor
    distortion: Tensor
    nll: Tensor
    nll_variance: Tensor
    nll_excess: Tensor
    effective: Tensor
    sizes: list[int]
    bounds: Tensor  # [B, len(sizes)]
    squared_error: Tensor
    posterior_mean: Tensor
    kl_per_dimension: Tensor  # [B, 0] if there is no closed form


def evaluate_chunk(
    model: VAE,
    decoder: Conditional,
    x: Tensor,
    condition: Tensor | None,
    samples: int,
    noise: ChunkNoise,
    at_a_time: AtATime,
) -> Chunk:
    """Return the bounds of images x [B, C, H, W] from `samples` draws of z each.

    Arguments:
        decoder: the decoder of `model`, in its fastest form.
        condition: one-hot labels of the images, [B, classes], if the model is conditioned on labels.
    """
    q, prior = model.conditioned(condition).posterior(x), model.prior()
    stream = Stream(len(x), x.device)
    rate, distortion = torch.zeros_like(stream.log_sum), torch.zeros_like(stream.log_sum)
    image = torch.zeros_like(x)
    for first in range(0, samples, at_a_time.blocks * TEN):
        z, log_ratio = _draw(q, prior, first, min(samples, first + at_a_time.blocks * TEN), noise, x.device)
        log_lik = _log_lik(decoder, x, condition, z, image, at_a_time.passes)
        stream.add(log_lik + log_ratio)
        rate -= log_ratio.sum(0)
        distortion -= log_lik.sum(0)
    kl = kl_per_dimension(q, prior)
    exact = kl_divergence(q, prior) if kl is None else kl.double().sum(1)
    bounds = stream.bounds
    return Chunk(
        rate=rate / samples if exact is None else exact.double(),
        distortion=distortion / samples,
        nll=stream.nll,
        nll_variance=stream.nll_variance,
        nll_excess=stream.nll_excess,
        effective=stream.effective,
        sizes=list(bounds),
        bounds=torch.stack(list(bounds.values()), 1) if bounds else rate.new_zeros(len(x), 0),
        squared_error=(x - image / samples).double().square().flatten(1).mean(1),
        posterior_mean=mean_of(q).double(),
        kl_per_dimension=x.new_zeros(len(x), 0) if kl is None else kl.double(),
    )


def _draw(
    q: Distribution, prior: Distribution, first: int, stop: int, noise: ChunkNoise, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return draws `first` to `stop` of z ~ q(z|x), [S, B, D], and log p(z) - log q(z|x), [S, B] in float64.

    `first` is the start of a block. The densities are computed block by block, because a flow knows the density of the
    tensor object that it drew, and that of a mixture takes memory for each component.
    """
    draws, log_ratios = list[Tensor](), list[Tensor]()
    for start in range(first, stop, TEN):
        noise.begin(device, start // TEN + 1)
        z = q.rsample(torch.Size([min(TEN, stop - start)]))
        draws.append(z)
        log_ratios.append(prior.log_prob(z).double() - q.log_prob(z).double())
    return torch.cat(draws), torch.cat(log_ratios)


def _log_lik(
    decoder: Conditional, x: Tensor, condition: Tensor | None, z: Tensor, image: Tensor, passes: int
) -> Tensor:
    """Return log p(x|z), [S, B] in float64, with `passes` decoder passes at a time; add the means to `image`."""
    rows = max(1, passes // len(x))  # draws of every image; if not even one fits, parts of one draw
    rows -= rows % TEN if rows > TEN else 0  # parts of equal size, except for the last
    columns = min(passes, len(x))
    log_lik = torch.empty(z.shape[:2], dtype=torch.float64, device=x.device)
    for r in range(0, len(z), rows):
        for c in range(0, len(x), columns):
            s, b = slice(r, r + rows), slice(c, c + columns)
            p = (decoder if condition is None else decoder.given(condition[b]))(z[s, b])
            log_lik[s, b] = p.log_prob(x[b]).double()
            image[b] += p.mean.sum(0)
    return log_lik

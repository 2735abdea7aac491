"""Likelihood bounds of a data set, image by image, streamed over images and samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import kl_per_dimension
from vaelab.models import VAE
from vaelab.objectives.bounds import distortion, log_weights, rate
from vaelab.seeds import derive

IMAGES = 100  # images in a chunk; fixed, because the noise of an image is drawn by chunk
PASSES = 2_000  # decoder passes at a time: bounds the memory, whatever the number of samples


@dataclass(frozen=True)
class Evaluation:
    """One number for each of N images, in the order of the data set; float64, on the CPU.

    Nats are those of the image as its protocol counts it: of the 8-bit levels under `8bit`.
    """

    samples: int  # K, draws of z for each image
    rate: Tensor  # [N] nats
    distortion: Tensor  # [N] nats
    nll: Tensor  # [N] nats, the importance-weighted estimate of -log p(x) with K samples
    squared_error: Tensor  # [N] mean over pixels of (x - E_q[decoder mean])^2
    posterior_mean: Tensor  # [N, D]
    kl_per_dimension: Tensor | None  # [N, D] nats, where a closed form exists

    @property
    def elbo(self) -> Tensor:
        """[N] nats."""
        return -self.rate - self.distortion


@torch.no_grad()
def evaluate(model: VAE, data: Dataset, samples: int, seed: int) -> Evaluation:
    """The bounds of every image of `data` from `samples` = K draws of z each: every image once, K exactly.

    The encoder sees an image once. Rate and distortion are means over the K draws (the rate exact where it has a closed
    form); nll is -log 1/K sum_k w_k (Burda, Grosse & Salakhutdinov 2016, equation 8), which falls to -log p(x) as K
    grows. Log-densities are summed over samples and images in float64. The pixels' noise (binarisation,
    dequantisation) and the samples are a function of `seed`; the global generator is left as it was.

    Arguments:
        model: put into evaluation mode while this lasts.
        data: on any device; images are moved to the model's.
        samples: K, at least 1.
    """
    device = next(model.parameters()).device
    reading = protocol(data.protocol)
    offset = reading.nats_offset(data.shape)
    training = model.training
    model.eval()
    chunks: list[tuple[Tensor, ...]] = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for start in range(0, len(data), IMAGES):
            torch.manual_seed(derive(seed, "evaluation", start // IMAGES))
            x = reading.pixels(torch.from_numpy(data.images[start : start + IMAGES]).to(device))
            chunks.append(_evaluate_chunk(model, x, samples))
    model.train(training)
    rates, distortions, nll, error, mean, kl = (torch.cat(column).cpu() for column in zip(*chunks, strict=True))
    kl = kl if kl.shape[1] else None
    return Evaluation(samples, rates, distortions + offset, nll + offset, error, mean, kl)


def _evaluate_chunk(model: VAE, x: Tensor, samples: int) -> tuple[Tensor, ...]:
    batch = len(x)
    q = model.posterior(x)
    log_total = torch.full((batch,), -torch.inf, dtype=torch.float64, device=x.device)  # log sum_k w_k so far
    rates, distortions = torch.zeros_like(log_total), torch.zeros_like(log_total)
    image = torch.zeros_like(x)
    done = 0
    while done < samples:
        n = min(max(1, PASSES // batch), samples - done)
        draw = model.draw(x, q, n)
        log_total = torch.logaddexp(log_total, torch.logsumexp(log_weights(draw).double(), 0))
        rates += n * rate(draw).double()
        distortions += n * distortion(draw).double()
        image += draw.likelihood.mean.sum(0)
        done += n
    log_samples = torch.tensor(samples, dtype=torch.float64, device=x.device).log()
    error = (x - image / samples).double().square().flatten(1).mean(1)
    kl = kl_per_dimension(q, model.prior())
    per_dimension = x.new_zeros(batch, 0) if kl is None else kl
    return (
        rates / samples,
        distortions / samples,
        log_samples - log_total,
        error,
        q.mean.double(),
        per_dimension.double(),
    )

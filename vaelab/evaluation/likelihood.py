"""Likelihood bounds of a data set, image by image, streamed over images and draws within a budget of memory."""

import math
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.distributions import kl_divergence, kl_per_dimension, mean_of
from vaelab.errors import SpecError, unknown
from vaelab.evaluation.admission import admit_data, admit_likelihood, admit_parts, admit_protocol
from vaelab.evaluation.importance import Stream
from vaelab.evaluation.inference import Precision, for_inference
from vaelab.evaluation.measure import Metric, Progress, Subject, evaluating, standard_error
from vaelab.evaluation.memory import decoder_bytes, encoder_bytes
from vaelab.evaluation.share import Share
from vaelab.models import VAE, Conditional, rows
from vaelab.seeds import derive, seed_generator

IMAGES = 100  # in a chunk; fixed, because noise is drawn by chunk, and must not hang on the budget
TEN = 10  # draws of z in a block; fixed, because their noise is drawn by block
BLOCKS = 10  # at a time, if they fit: kernels of a useful size for the densities and sums of z
MEMORY_MB = 256  # where no budget is given and a chunk of images takes no more
CACHE_MB = 64  # of decoder passes at a time on a processor: more would leave its cache between one layer and the next
EXCESS = "how far nll lies above -log p(x), to leading order: too small where few draws are effective, 0.5 at most"
FEW = 2.0  # effective draws below which the estimate for an image rests on one of them


@dataclass(frozen=True)
class Evaluation:
    """One number for each of N images, in the order of the data set; float64, on the CPU.

    Nats are those of the image as its protocol counts it: of the 8-bit levels under `8bit` and `levels`.
    """

    samples: int  # K, draws of z for each image
    rate: Tensor  # [N] nats
    distortion: Tensor  # [N] nats
    nll: Tensor  # [N] nats, the importance-weighted estimate of -log p(x) with K draws
    nll_variance: Tensor  # [N] nats^2, of the draws; nan for K = 1
    effective: Tensor  # [N] effective number of the K draws
    bounds: dict[int, Tensor]  # k -> [N] nats, E[log 1/k sum w] for k = 1, 10, 100, ... below K
    squared_error: Tensor  # [N] mean over pixels of (x - mean of the K decoder means)^2
    posterior_mean: Tensor  # [N, D]
    kl_per_dimension: Tensor | None  # [N, D] nats, where a closed form exists

    @property
    def elbo(self) -> Tensor:
        """[N] nats."""
        return -self.rate - self.distortion


@torch.no_grad()
def evaluate(
    model: VAE,
    data: Dataset,
    samples: int,
    seed: int,
    memory_mb: float = 0.0,
    progress: Progress = lambda share: None,
    precision: Precision = "float32",
) -> Evaluation:
    """The bounds of every image of `data` from `samples` = K draws of z each: every image once, K exactly.

    The encoder sees an image once. Rate and distortion are means over the K draws (the rate exact where it has a closed
    form); nll is -log 1/K sum_k w_k (Burda, Grosse & Salakhutdinov 2016, equation 8), which falls to -log p(x) as K
    grows. Sums over draws and images are in float64. The pixels' noise (binarisation, dequantisation) and the draws are
    a function of `seed` and of the images' content: neither their order nor the budget changes a number beyond
    rounding. The global generator is left as it was. A model that is told labels is told those of the images, and x
    stands for x given y.

    Arguments:
        model: put into evaluation mode while this lasts.
        data: images; they are moved to the model's device.
        samples: K, at least 1.
        memory_mb: megabytes that the draws may take at a time, however many there are; 0: 256, or what a chunk of 100
            images takes where that is more.
        precision: of the decoder's network; densities and sums are the same with either (`for_inference`).

    Raises:
        SpecError: fewer draws than 1, one draw of one image does not fit the budget, the model wants labels that are
            not there, or the pixels are read by another protocol than the model was trained with.
        DataError: no Dataset, or images of another shape.
    """
    admit_data(model, data)
    admit_protocol(model, data)
    if model.protocol is None:  # not trained by vaelab: nobody has asked its parts yet
        admit_likelihood(model, data)
        admit_parts(model, data)
    if samples < 1:
        raise SpecError(found=f"samples = {samples}", expected="at least 1 draw of z", do="use samples=1 or more")
    device = next(model.parameters()).device
    reading = protocol(data.protocol)
    with evaluating(model):
        at_a_time, decoder = at_a_time_within(model, memory_mb), for_inference(model.likelihood, precision)
        columns: dict[str, Tensor] = {}
        sizes: list[int] = []
        for number, start in enumerate(range(0, len(data), IMAGES)):
            chosen = data.by_content[start : start + IMAGES]
            seed_generator(torch.device("cpu"), derive(seed, "evaluation", number))
            x = reading.pixels(torch.from_numpy(data.images[chosen])).to(device)  # the same noise on every device
            code = model.code(rows(data.labels, chosen))
            chunk = _evaluate_chunk(model, decoder, x, code, samples, (seed, number), at_a_time)
            sizes = chunk.sizes
            # Into their place in one tensor: small tensors that are kept between the large ones that are not would
            # split what the allocator has, and memory grow with every chunk.
            for name, values in vars(chunk).items():
                if name != "sizes":
                    whole = columns.setdefault(name, values.new_empty(len(data), *values.shape[1:], device="cpu"))
                    whole[torch.from_numpy(chosen)] = values.cpu()
            progress(min(1.0, (start + IMAGES) / len(data)))

    offset = reading.nats_offset(data.shape)
    kl, bounds = columns["kl_per_dimension"], columns["bounds"] - offset
    return Evaluation(
        samples=samples,
        rate=columns["rate"],
        distortion=columns["distortion"] + offset,
        nll=columns["nll"] + offset,
        nll_variance=columns["nll_variance"],
        effective=columns["effective"],
        bounds=dict(zip(sizes, bounds.unbind(1), strict=True)),
        squared_error=columns["squared_error"],
        posterior_mean=columns["posterior_mean"],
        kl_per_dimension=kl if kl.shape[1] else None,
    )


@dataclass(frozen=True)
class AtATime:
    """How the draws of a chunk of images are cut to fit the memory."""

    blocks: int  # of ten draws of z
    passes: int  # of the decoder


def at_a_time_within(model: VAE, memory_mb: float) -> AtATime:
    """What `memory_mb` megabytes hold beside a chunk of images; on a processor the passes also fit its cache.

    Raises:
        SpecError: not even one, or a budget that is no finite number.
    """
    if not (memory_mb >= 0 and math.isfinite(memory_mb)):
        raise SpecError(
            found=f"memory_mb = {memory_mb:g}", expected="a finite number, 0 or more", do="use memory_mb=256"
        )
    encoder, draw = encoder_bytes(model)
    block = IMAGES * TEN * draw
    fixed = IMAGES * encoder + block
    one = decoder_bytes(model)
    budget = memory_mb * 1e6 or max(MEMORY_MB * 1e6, fixed + IMAGES * one)
    if (passes := int((budget - fixed) // one)) < 1:
        raise SpecError(
            found=f"memory_mb = {memory_mb:g}",
            expected=f"at least {math.ceil((fixed + one) / 1e6):,}: {IMAGES} images and one draw of one of them",
            do="raise it: the number of draws in all does not matter, they come one after another",
        )
    if next(model.parameters()).device.type == "cpu":
        passes = min(passes, max(1, int(CACHE_MB * 1e6 / one)))
    return AtATime(blocks=min(BLOCKS, 1 + int((budget - fixed - passes * one) / block)), passes=passes)


@dataclass(frozen=True)
class _Chunk:
    """What an Evaluation holds, of B images; nats without the protocol's offset."""

    rate: Tensor
    distortion: Tensor
    nll: Tensor
    nll_variance: Tensor
    effective: Tensor
    sizes: list[int]
    bounds: Tensor  # [B, len(sizes)]
    squared_error: Tensor
    posterior_mean: Tensor
    kl_per_dimension: Tensor  # [B, 0] where there is no closed form


def _evaluate_chunk(
    model: VAE,
    decoder: Conditional,
    x: Tensor,
    code: Tensor | None,
    samples: int,
    seed: tuple[int, int],
    at_a_time: AtATime,
) -> _Chunk:
    q, prior = model.told(code).posterior(x), model.prior()
    stream = Stream(len(x), x.device)
    rate, distortion = torch.zeros_like(stream.log_sum), torch.zeros_like(stream.log_sum)
    image = torch.zeros_like(x)
    for first in range(0, samples, at_a_time.blocks * TEN):
        z, log_ratio = _draw(q, prior, first, min(samples, first + at_a_time.blocks * TEN), seed, x.device)
        log_lik = _log_lik(decoder, x, code, z, image, at_a_time.passes)
        stream.add(log_lik + log_ratio)
        rate -= log_ratio.sum(0)
        distortion -= log_lik.sum(0)
    kl = kl_per_dimension(q, prior)
    exact = kl_divergence(q, prior) if kl is None else kl.double().sum(1)
    bounds = stream.bounds
    return _Chunk(
        rate=rate / samples if exact is None else exact.double(),
        distortion=distortion / samples,
        nll=stream.nll,
        nll_variance=stream.nll_variance,
        effective=stream.effective,
        sizes=list(bounds),
        bounds=torch.stack(list(bounds.values()), 1) if bounds else rate.new_zeros(len(x), 0),
        squared_error=(x - image / samples).double().square().flatten(1).mean(1),
        posterior_mean=mean_of(q).double(),
        kl_per_dimension=x.new_zeros(len(x), 0) if kl is None else kl.double(),
    )


def _draw(
    q: Distribution, prior: Distribution, first: int, stop: int, seed: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Draws `first` to `stop` of z ~ q(z|x), [S, B, D], and their log p(z) - log q(z|x), [S, B] in float64.

    `first` begins a block. The densities are computed block by block: a flow knows that of the very tensor it drew, and
    a mixture's takes memory for each component.
    """
    draws, log_ratios = list[Tensor](), list[Tensor]()
    for start in range(first, stop, TEN):
        seed_generator(device, derive(seed[0], "evaluation", seed[1], start // TEN + 1))
        z = q.rsample(torch.Size([min(TEN, stop - start)]))
        draws.append(z)
        log_ratios.append(prior.log_prob(z).double() - q.log_prob(z).double())
    return torch.cat(draws), torch.cat(log_ratios)


def _log_lik(decoder: Conditional, x: Tensor, code: Tensor | None, z: Tensor, image: Tensor, passes: int) -> Tensor:
    """log p(x|z), [S, B] in float64, `passes` of the decoder at a time; their means are added to `image`."""
    rows = max(1, passes // len(x))  # draws of every image, or pieces of one draw where not even that fits
    rows -= rows % TEN if rows > TEN else 0  # pieces of one size, but for the last
    columns = min(passes, len(x))
    log_lik = torch.empty(z.shape[:2], dtype=torch.float64, device=x.device)
    for r in range(0, len(z), rows):
        for c in range(0, len(x), columns):
            s, b = slice(r, r + rows), slice(c, c + columns)
            p = (decoder if code is None else decoder.given(code[b]))(z[s, b])
            log_lik[s, b] = p.log_prob(x[b]).double()
            image[b] += p.mean.sum(0)
    return log_lik


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """ELBO, rate, distortion and the importance-weighted NLL with K = samples (Burda et al. 2016, equation 8).

    Arguments:
        samples: K, draws of z for each image.
        images: how many images, a random choice; 0 for all.
        memory_mb: megabytes that the draws may take at a time; 0 for 256, or what a chunk of 100 images takes.
        precision: of the decoder's network, float32 or bfloat16; densities are float32 and sums float64.
    """

    samples: int = 100
    images: int = 0
    memory_mb: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.samples < 1:
            found = f"samples = {self.samples}"
            raise SpecError(found=found, expected="at least 1 draw of z for each image", do="use samples=1 or more")
        if self.images < 0:
            raise SpecError(found=f"images = {self.images}", expected="0 for all, or how many", do="change it")
        if self.precision not in get_args(Precision):
            raise unknown("precision", self.precision, get_args(Precision))

    def check(self, subject: Subject) -> None:
        subject.need_images("likelihood", max(1, self.images))
        at_a_time_within(subject.model, self.memory_mb)

    def __call__(self, subject: Subject, progress: Progress) -> list[Metric]:
        data = subject.data.some(self.images)
        e = evaluate(subject.model, data, self.samples, subject.seed, self.memory_mb, progress, self.precision)
        k, n = self.samples, len(data)

        def row(name: str, per_image: Tensor, unit: str = "nats/image", note: str = subject.note) -> Metric:
            return subject.metric(
                name,
                per_image.mean().item(),
                unit,
                se=standard_error(per_image),
                images=n,
                samples=k,
                note=note,
                per_image=per_image,
            )

        kl = () if e.kl_per_dimension is None else tuple(e.kl_per_dimension.mean(0).tolist())
        error = None if k == 1 else e.nll_variance.sum().sqrt().item() / n
        rows = [row("elbo", e.elbo), replace(row("rate", e.rate, note=""), parts=kl), row("distortion", e.distortion)]
        rows.append(replace(row("nll", e.nll), monte_carlo_se=error))
        rows += [replace(row("iwae_bound", bound), samples=k) for k, bound in e.bounds.items()]
        if k > 1:
            rows.append(row("nll_excess", e.nll_variance / 2, note=EXCESS))
            rows.append(row("effective_samples", e.effective, "draws", note=""))
            few = Share(int((e.effective < FEW).sum()), n)
            name = f"effective_below_{FEW:g}"
            rows.append(subject.metric(name, few.value, "share", interval=few.interval, images=n, samples=k))
        if protocol(data.protocol).counts_levels:
            bits = math.prod(data.shape) * math.log(2)
            rows.append(replace(row("bits_per_dim", e.nll / bits, "bits/dim"), monte_carlo_se=error and error / bits))
        return rows

"""Likelihood bounds of a data set for each image, computed over chunks of images and draws within a memory budget."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import protocol
from vaelab.evaluation.admission import admit_data, admit_likelihood, admit_parts, admit_protocol
from vaelab.evaluation.batches import Batch, batches_by_content
from vaelab.evaluation.inference import Precision, for_inference
from vaelab.evaluation.likelihood.allotment import FEWEST, allotment
from vaelab.evaluation.likelihood.chunk import TEN, AtATime, ChunkNoise, evaluate_chunk
from vaelab.evaluation.measure import (
    FEW_EFFECTIVE,
    Better,
    EvaluationContext,
    Metric,
    Progress,
    evaluating,
    standard_error,
)
from vaelab.evaluation.memory import decoder_bytes, encoder_bytes
from vaelab.evaluation.proportion import Proportion
from vaelab.models import VAE, rows
from vaelab.system.errors import SpecError, unknown
from vaelab.system.world import world

IMAGES = 100  # in a chunk; fixed, because noise is drawn by chunk and must not depend on the budget
BLOCKS = 10  # at a time, if they fit: large enough for efficient kernels for the densities and sums of z
MEMORY_MB = 256  # if no budget is given, unless a chunk of images takes more
CACHE_MB = 64  # of decoder passes at a time on a CPU: more would leave its cache between two layers
FEW = 2.0  # with fewer effective draws, the estimate for an image depends on one draw
MANY = 0.01  # with a larger proportion of such images, a number is marked: a few images dominate the bias
AT_MOST = 10_000  # draws for an image under `samples=auto`, by default
AT_LEAST = "a lower bound of the bias of the NLL (upwards)"
EXCESS = "estimated bias of the NLL (upwards), by the jackknife; an underestimate when few draws are effective"

Samples = int | Literal["auto"]


@dataclass(frozen=True)
class Evaluation:
    """The results for each of N images, in the order of the data set; float64, on the CPU.

    Nats count the image as its protocol does: under `8bit` and `levels`, they are nats of the 8-bit levels.
    """

    samples: Tensor  # [N] K, draws of z for each image
    rate: Tensor  # [N] nats
    distortion: Tensor  # [N] nats
    nll: Tensor  # [N] nats, the importance-weighted estimate of -log p(x) with K draws
    nll_variance: Tensor  # [N] nats^2, over the draws; NaN for K = 1
    nll_excess: Tensor  # [N] nats, the estimated bias of nll, above -log p(x); NaN for K = 1
    effective: Tensor  # [N] effective number of the K draws
    bounds: dict[int, Tensor]  # k -> [N] nats, E[log 1/k sum w] for k = 1, 10, 100, ... below K
    squared_error: Tensor  # [N] mean over pixels of (x - mean of the K decoder means)^2
    posterior_mean: Tensor  # [N, D]
    kl_per_dimension: Tensor | None  # [N, D] nats, if a closed form exists

    @property
    def elbo(self) -> Tensor:
        """The ELBO, [N] nats."""
        return -self.rate - self.distortion


@torch.no_grad()
def estimate_bounds(
    model: VAE,
    data: Dataset,
    samples: Samples,
    seed: int,
    memory_mb: float = 0.0,
    progress: Progress = lambda share: None,
    precision: Precision = "float32",
    at_most: int = AT_MOST,
) -> Evaluation:
    """Return the bounds of every image of `data` from `samples` = K draws of z each.

    Each image is encoded once. Rate and distortion are means over the K draws (the rate is exact if it has a closed
    form). nll is -log 1/K sum_k w_k (Burda, Grosse & Salakhutdinov 2016, equation 8), which falls to -log p(x) as K
    grows. Sums over draws and images are in float64. The noise of the pixels (binarisation, dequantisation) and the
    draws are a function of `seed` and of the images' content. So neither their order nor the budget changes a number
    beyond rounding. The state of the global generator is restored. If the model is conditioned on labels, it uses those
    of the images, and p(x) is p(x|y). Several workers (`vaelab.system.world`) share the images.

    Arguments:
        model: it is in evaluation mode during the call.
        data: images; they are moved to the model's device.
        samples: K, at least 1; or "auto": 100, 1,000, ... or `at_most` draws, as an image needs them (see `allotment`).
        memory_mb: megabytes for the draws that are processed at a time; 0: 256, or the memory of a chunk of 100 images
            if that is more.
        precision: of the decoder's network. Densities and sums have the same type with either (see `for_inference`).
        at_most: maximum number of draws for an image under "auto", at least 100.

    Raises:
        SpecError: K is below 1, one draw of one image does not fit the budget, the model needs labels and there are
            none, or the data have another pixel protocol than the model was trained with.
        DataError: `data` is not a Dataset, or its images have another shape.
    """
    admit_data(model, data)
    admit_protocol(model, data)
    if model.protocol is None:  # vaelab did not train it, so its parts have not been checked
        admit_likelihood(model, data)
        admit_parts(model, data)
    _check_samples(samples, at_most)
    device = next(model.parameters()).device
    reading = protocol(data.protocol)
    with evaluating(model):
        at_a_time, decoder = at_a_time_within(model, memory_mb), for_inference(model.likelihood, precision)
        columns: dict[str, Tensor] = {"samples": torch.empty(len(data), dtype=torch.int64)}
        own_rows, sizes = torch.zeros(len(data), dtype=torch.bool), list[int]()
        for batch in evaluated_batches(model, data, seed, progress, shared=True):
            x, chosen, noise = batch.x, torch.from_numpy(batch.chosen), ChunkNoise(seed, batch.number)
            own_rows[chosen] = True
            condition = model.condition(batch.labels)
            if samples == "auto":
                groups = allotment(model, decoder, x, condition, at_most, noise, at_a_time)
            else:
                groups = [(torch.arange(len(x), device=device), samples)]
            for own, k in groups:
                drawn = noise if k == samples else replace(noise, use=(k,))
                chunk = evaluate_chunk(model, decoder, x[own], rows(condition, own), k, drawn, at_a_time)
                sizes = [size for size in chunk.sizes if size < (FEWEST if samples == "auto" else k)]
                chunk = replace(chunk, bounds=chunk.bounds[:, : len(sizes)])
                columns["samples"][chosen[own.cpu()]] = k
                # One preallocated tensor, because small tensors kept between large temporary ones would fragment the
                # allocator's memory, and memory would grow with every chunk.
                for name, values in vars(chunk).items():
                    if name != "sizes":
                        whole = columns.setdefault(name, values.new_empty(len(data), *values.shape[1:], device="cpu"))
                        whole[chosen[own.cpu()]] = values.cpu()
    columns = world().completed(columns, own_rows)
    sizes = next(filter(None, map(json.loads, world().texts(json.dumps(sizes)))), [])

    offset = reading.nats_offset(data.shape)
    kl, bounds = columns["kl_per_dimension"], columns["bounds"] - offset
    return Evaluation(
        samples=columns["samples"],
        rate=columns["rate"],
        distortion=columns["distortion"] + offset,
        nll=columns["nll"] + offset,
        nll_variance=columns["nll_variance"],
        nll_excess=columns["nll_excess"],
        effective=columns["effective"],
        bounds=dict(zip(sizes, bounds.unbind(1), strict=True)),
        squared_error=columns["squared_error"],
        posterior_mean=columns["posterior_mean"],
        kl_per_dimension=kl if kl.shape[1] else None,
    )


def evaluated_batches(
    model: VAE, data: Dataset, seed: int, progress: Progress = lambda share: None, shared: bool = False
) -> Iterator[Batch]:
    """Yield the images in chunks of 100, with the pixels that `estimate_bounds` sees with this seed."""

    def seed_noise(number: int) -> None:
        ChunkNoise(seed, number).begin(torch.device("cpu"), 0)

    return batches_by_content(model, data, IMAGES, seed_noise, progress=progress, shared=shared)


def at_a_time_within(model: VAE, memory_mb: float) -> AtATime:
    """Return how much fits in `memory_mb` megabytes along with a chunk of images; on a CPU passes also fit its cache.

    Raises:
        SpecError: not even one pass fits, or the budget is negative or not finite.
    """
    if not (memory_mb >= 0 and math.isfinite(memory_mb * 1e6)):
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
            do="raise memory_mb; the total number of draws does not matter, because they are processed in parts",
        )
    if next(model.parameters()).device.type == "cpu":
        passes = min(passes, max(1, int(CACHE_MB * 1e6 / one)))
    return AtATime(blocks=min(BLOCKS, 1 + int((budget - fixed - passes * one) / block)), passes=passes)


def _check_samples(samples: Samples, at_most: int) -> None:
    if samples != "auto" and samples < 1:
        raise SpecError(found=f"samples = {samples}", expected="at least 1 draw of z", do="use samples=1 or more")
    if at_most < FEWEST:
        found, expected = f"at_most = {at_most}", f"at least {FEWEST}, the number of draws of z for every image"
        raise SpecError(found=found, expected=expected, do=f"use at_most={AT_MOST}, or fewer draws with samples=K")


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """ELBO, rate, distortion and the importance-weighted NLL with K = samples (Burda et al. 2016, equation 8).

    Arguments:
        samples: K, draws of z for each image; "auto": 100, and up to `at_most` for images that need more.
        at_most: maximum number of draws for an image under samples=auto, 100 or more.
        images: number of images, a random choice; 0: all.
        memory_mb: megabytes for the draws that are processed at a time; 0: 256, or that of a chunk of 100 images.
        precision: of the decoder's network, float32 or bfloat16; densities are in float32 and sums in float64.
    """

    samples: Samples = 100
    at_most: int = AT_MOST
    images: int = 0
    memory_mb: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        _check_samples(self.samples, self.at_most)
        if self.images < 0:
            raise SpecError(found=f"images = {self.images}", expected="0 (all) or more", do="use images=0 or more")
        if self.precision not in get_args(Precision):
            raise unknown("precision", self.precision, get_args(Precision))

    def check(self, context: EvaluationContext) -> None:
        context.need_images("likelihood", max(1, self.images))
        at_a_time_within(context.model, self.memory_mb)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data = context.data.some(self.images)
        e = estimate_bounds(
            context.model,
            data,
            self.samples,
            context.seed,
            self.memory_mb,
            progress,
            self.precision,
            self.at_most,
        )
        n = len(data)
        fewest, most = (FEWEST, self.at_most) if self.samples == "auto" else (None, self.samples)
        few = Proportion(int((e.effective < FEW).sum()), n)
        mark = FEW_EFFECTIVE if most > 1 and few.value > MANY else ""

        def metric(name: str, better: Better, per_image: Tensor, unit: str = "nats/image", *notes: str) -> Metric:
            return context.metric(
                name,
                per_image.mean().item(),
                unit,
                better=better,
                se=standard_error(per_image),
                images=n,
                samples=most,
                fewest_samples=fewest,
                note="; ".join(note for note in notes if note),
                per_image=per_image,
            )

        def bound(name: str, better: Better, per_image: Tensor, *notes: str) -> Metric:
            return metric(name, better, per_image, "nats/image", context.note, *notes)

        kl = () if e.kl_per_dimension is None else tuple(e.kl_per_dimension.mean(0).tolist())
        error = None if most == 1 else e.nll_variance.sum().sqrt().item() / n
        metrics = [
            bound("elbo", "higher", e.elbo),
            replace(metric("rate", "neither", e.rate), parts=kl),
            bound("distortion", "lower", e.distortion),
        ]
        metrics.append(replace(bound("nll", "lower", e.nll, mark), monte_carlo_se=error))
        metrics += [
            replace(bound("iwae_bound", "higher", of_k), samples=k, fewest_samples=None) for k, of_k in e.bounds.items()
        ]
        if most > 1:
            metrics.append(
                metric("nll_excess", "lower", e.nll_excess, "nats/image", AT_LEAST if mark else EXCESS, mark)
            )
            metrics.append(metric("effective_samples", "higher", e.effective, "draws"))
            below = context.metric(
                f"effective_below_{FEW:g}",
                few.value,
                "share",
                better="lower",
                interval=few.interval,
                images=n,
                samples=most,
                fewest_samples=fewest,
            )
            metrics.append(below)
        if fewest is not None:
            drawn = f"K is {e.samples.min():,} to {e.samples.max():,}"
            metrics.append(metric("samples_drawn", "neither", e.samples.double(), "draws", drawn))
        if protocol(data.protocol).counts_levels:
            bits = math.prod(data.shape) * math.log(2)
            in_bits = metric("bits_per_dim", "lower", e.nll / bits, "bits/dim", context.note, mark)
            metrics.append(replace(in_bits, monte_carlo_se=error and error / bits))
        return metrics

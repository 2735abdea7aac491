"""The measure of fidelity: how similar generated images are to real images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset
from vaelab.evaluation.fidelity.classifier import scaled
from vaelab.evaluation.fidelity.distances import frechet, kernel_distance
from vaelab.evaluation.fidelity.features import check_features, extractor
from vaelab.evaluation.fidelity.neighbours import neighbourhoods
from vaelab.evaluation.measure import Better, EvaluationContext, Metric, Progress, evaluating, standard_error
from vaelab.evaluation.proportion import Proportion
from vaelab.models import VAE
from vaelab.randomness.seeds import derive
from vaelab.system.errors import DataError, NonFiniteError, SpecError

IMAGES = 100  # in a chunk; fixed, because generated images are drawn by chunk
BIASED = "biased, usually upwards: compare it with frechet_train, and only for the same number of images"
STREAM = 7  # index of the random stream of generated images

Drawn = Literal["mean", "sample"]


def generate(model: VAE, n: int, draw: Drawn, seed: int) -> Iterator[Tensor]:
    """Yield n generated images in chunks [<= 100, C, H, W], float32 on the CPU: the first n of a sequence for `seed`.

    z ~ p(z), and x is the mean of p(x|z) or a draw from it. It is not clipped: a draw from a Gaussian may leave [0, 1].

    Raises:
        NonFiniteError: an image is not finite.
    """
    for number, start in enumerate(range(0, n, IMAGES)):
        torch.manual_seed(derive(seed, "evaluation", STREAM, number))
        p = model.sample(IMAGES)
        images = (p.mean if draw == "mean" else p.sample())[: n - start].float().cpu()
        if not images.isfinite().all():
            raise NonFiniteError(
                found="generated images that are not finite",
                expected="finite pixels",
                do="see in the run's log.jsonl whether training diverged, or train again",
            )
        yield images


def stored(data: Dataset) -> Iterator[Tensor]:
    """Yield the images of `data` in chunks [<= 100, C, H, W], float32: the stored levels u / 255."""
    for start in range(0, len(data), IMAGES):
        yield scaled(torch.from_numpy(data.images[start : start + IMAGES]))


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Frechet and kernel distance, precision, recall, density and coverage of generated images against real images.

    There are as many generated as real images. A real image is its stored levels u / 255. These are used as they are if
    pixels are drawn or dequantised at each step (binary-dynamic, 8bit). They are black and white if the protocol
    binarised the data once (binary-static, binary-threshold). `frechet_train` is the same distance between equally many
    training images and the real ones: the value to expect of a perfect model with this number of images.

    Arguments:
        features: `pixels`, `classifier` (a small network fitted to the training labels and stored in the cache), or
            package.module.Name of a torch module that maps images [N, C, H, W] in [0, 1] to [N, F].
        images: number of real images, a random choice, and of generated ones; 0: all.
        neighbours: k; the distance to the k-th nearest neighbour is the radius of a neighbourhood.
        draw: a generated image is the `mean` of p(x|z), smooth, as VAEs are usually shown; or a `sample` of p(x|z).
    """

    features: str = "classifier"
    images: int = 0
    neighbours: int = 5
    draw: Drawn = "mean"

    def __post_init__(self) -> None:
        if self.images < 0:
            raise SpecError(found=f"images = {self.images}", expected="0 (all) or more", do="use images=0 or more")
        if self.neighbours < 1:
            found = f"neighbours = {self.neighbours}"
            raise SpecError(found=found, expected="at least 1", do="use, say, neighbours=5")
        if 0 < self.images <= self.neighbours:
            raise SpecError(
                found=f"images = {self.images} with neighbours = {self.neighbours}",
                expected="more images than neighbours",
                do="use more images, or fewer neighbours",
            )
        if self.draw not in get_args(Drawn):
            raise SpecError(found=f"draw = {self.draw!r}", expected="mean or sample", do="use draw=mean or draw=sample")

    def check(self, context: EvaluationContext) -> None:
        context.need_unseen("fidelity")
        context.need_images(f"fidelity with neighbours={self.neighbours}", max(self.images, self.neighbours + 1))
        if len(context.train) < 2:
            raise DataError(
                found=f"fidelity with {len(context.train)} training image",
                expected="at least 2",
                do="train on more images, or leave this metric out",
            )
        check_features(self.features, context)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data, train = context.data.some(self.images), context.train
        others = train.take(train.by_content[-len(data) :])  # images not used for the classifier, if there are enough
        with torch.no_grad(), evaluating(context.model):
            extract = extractor(self.features, context)
            progress(0.1)
            real = extract.of(stored(data))
            generated = extract.of(generate(context.model, len(data), self.draw, context.seed))
            training = extract.of(stored(others))
        progress(0.3)
        whole = replace(context, given="")  # distances compare p(x): only generated images are conditioned on labels
        metrics = [
            _frechet(whole, "frechet", "lower", real, generated, BIASED),
            _reference(whole, real, training, max(0, extract.seen - len(train) + len(others))),
            _kernel_distance(whole, real, generated),
        ]
        progress(0.7)
        metrics += _neighbourhoods(whole, real, generated, self.neighbours)
        progress(1.0)
        what = {"mean": "decoder means", "sample": "draws of p(x|z)"}[self.draw]
        what += ", labels as frequent as in training" if context.given else ""
        about = f"{len(data):,} generated images ({what}) beside {len(data):,} real ones (levels u / 255)"
        return [
            replace(
                metric,
                name=f"{metric.name}[{extract.label}]",
                images=len(data),
                note="; ".join(part for part in (metric.note, about, extract.note) if part),
            )
            for metric in metrics
        ]


def _frechet(context: EvaluationContext, name: str, better: Better, real: Tensor, others: Tensor, note: str) -> Metric:
    n, f = len(others), others.shape[1]
    singular = f"; {f:,} features of {n:,} images: singular covariances, large bias, no standard error"
    distance = frechet(real, others)
    return context.metric(
        name,
        distance.value,
        "squared distance of features",
        better=better,
        se=distance.se,
        monte_carlo_se=distance.generated_se,
        note=note + (singular if f >= n else ""),
    )


def _reference(context: EvaluationContext, real: Tensor, training: Tensor, seen: int) -> Metric:
    note = f"{len(training):,} training images in place of the generated ones"
    note += f", {seen:,} of which the classifier has seen" if seen else ""
    reference = _frechet(context, "frechet_train", "neither", real, training, note)  # about the data, not the model
    return replace(reference, monte_carlo_se=None)  # it involves no random draws


def _kernel_distance(context: EvaluationContext, real: Tensor, generated: Tensor) -> Metric:
    distance, note = kernel_distance(real, generated), "unbiased, so it may be negative"
    return context.metric(
        "kernel_distance",
        distance.value,
        "squared MMD",
        better="lower",
        se=distance.se,
        monte_carlo_se=distance.generated_se,
        note=note,
    )


def _neighbourhoods(context: EvaluationContext, real: Tensor, generated: Tensor, k: int) -> list[Metric]:
    near, n = neighbourhoods(real, generated, k), len(real)

    def share(name: str, value: Proportion, of: str, note: str) -> Metric:
        unit, note = f"share of {of} images", f"k = {k}; interval for given neighbourhoods; {note}"
        return context.metric(name, value.value, unit, better="higher", interval=value.interval, note=note)

    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    density = context.metric(
        "density",
        near.density.mean().item(),
        "neighbourhoods / k",
        better="neither",
        monte_carlo_se=standard_error(near.density),
        note=f"k = {k}; 1 if the distributions are equal",
    )
    return [
        share("precision", near.precision, "generated", "comparable only for the same number of images"),
        share("recall", near.recall, "real", "comparable only for the same number of images"),
        density,
        share("coverage", near.coverage, "real", f"{expected:.3f} if the distributions are equal"),
    ]

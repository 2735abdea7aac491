"""How close a model's images come to real ones."""

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
BIASED = "biased, upwards as a rule: compare with frechet_train, and at one number of images only"
STREAM = 7  # index of the evaluation stream whose draws are generated images

Drawn = Literal["mean", "sample"]


def generate(model: VAE, n: int, draw: Drawn, seed: int) -> Iterator[Tensor]:
    """n generated images in chunks [<= 100, C, H, W], float32 on the CPU: the first n of a sequence that `seed` fixes.

    z ~ p(z), and x the mean of p(x|z) or a draw from it, as it comes: a draw from a Gaussian may leave [0, 1].

    Raises:
        NonFiniteError: an image that is not finite.
    """
    for number, start in enumerate(range(0, n, IMAGES)):
        torch.manual_seed(derive(seed, "evaluation", STREAM, number))
        p = model.sample(IMAGES)
        images = (p.mean if draw == "mean" else p.sample())[: n - start].float().cpu()
        if not images.isfinite().all():
            raise NonFiniteError(
                found="generated images that are not finite",
                expected="pixels",
                do="look at the run's log for diverged training, or train again",
            )
        yield images


def stored(data: Dataset) -> Iterator[Tensor]:
    """The images of `data` in chunks [<= 100, C, H, W], float32: the levels u / 255 as they are stored."""
    for start in range(0, len(data), IMAGES):
        yield scaled(torch.from_numpy(data.images[start : start + IMAGES]))


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Frechet and kernel distance, precision, recall, density and coverage of generated images beside real ones.

    As many images are generated as there are real ones. A real image is its stored levels u / 255: as they are, also
    where pixels are drawn or dequantised anew at each step (binary-dynamic, 8bit); black and white where the protocol
    has binarised the data for good (binary-static, binary-threshold). `frechet_train` is the same distance between
    training images and the real ones, as many again: what a perfect model could hope for with this number of images.

    Arguments:
        features: `pixels`, `classifier` (a small network fitted to the training labels and kept in the cache), or
            package.module.Name of a torch module that maps images [N, C, H, W] in [0, 1] to [N, F].
        images: how many real images, a random choice, and how many generated ones; 0 for all.
        neighbours: k, whose distance is the radius of a neighbourhood.
        draw: a generated image is the `mean` of p(x|z), smooth, as VAEs are usually shown; or a `sample` of it.
    """

    features: str = "classifier"
    images: int = 0
    neighbours: int = 5
    draw: Drawn = "mean"

    def __post_init__(self) -> None:
        if self.images < 0:
            raise SpecError(found=f"images = {self.images}", expected="0 for all, or how many", do="change it")
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
            raise SpecError(found=f"draw = {self.draw!r}", expected="mean or sample", do="choose one of these")

    def check(self, context: EvaluationContext) -> None:
        context.need_unseen("fidelity")
        context.need_images(f"fidelity with neighbours={self.neighbours}", max(self.images, self.neighbours + 1))
        if len(context.train) < 2:
            raise DataError(
                found=f"fidelity beside {len(context.train)} training image",
                expected="at least 2",
                do="train on more images, or leave this metric out",
            )
        check_features(self.features, context)

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data, train = context.data.some(self.images), context.train
        others = train.take(train.by_content[-len(data) :])  # those that the classifier has not seen, where there are
        with torch.no_grad(), evaluating(context.model):
            extract = extractor(self.features, context)
            progress(0.1)
            real = extract.of(stored(data))
            generated = extract.of(generate(context.model, len(data), self.draw, context.seed))
            training = extract.of(stored(others))
        progress(0.3)
        whole = replace(context, given="")  # of p(x): generated images are given labels, real ones are not
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
    singular = f"; {f:,} features of {n:,} images: singular covariances, much bias, no standard error"
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
    note = f"of {len(training):,} training images in place of the generated ones"
    note += f", {seen:,} of which the classifier has seen" if seen else ""
    reference = _frechet(context, "frechet_train", "neither", real, training, note)  # of the data, not of the model
    return replace(reference, monte_carlo_se=None)  # nothing is drawn


def _kernel_distance(context: EvaluationContext, real: Tensor, generated: Tensor) -> Metric:
    distance, note = kernel_distance(real, generated), "unbiased, so that it may be negative"
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
        unit, note = f"share of {of} images", f"k = {k}; interval with the neighbourhoods given; {note}"
        return context.metric(name, value.value, unit, better="higher", interval=value.interval, note=note)

    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    density = context.metric(
        "density",
        near.density.mean().item(),
        "neighbourhoods / k",
        better="neither",
        monte_carlo_se=standard_error(near.density),
        note=f"k = {k}; 1 where the distributions are equal",
    )
    return [
        share("precision", near.precision, "generated", "comparable at one number of images only"),
        share("recall", near.recall, "real", "comparable at one number of images only"),
        density,
        share("coverage", near.coverage, "real", f"{expected:.3f} where the distributions are equal"),
    ]

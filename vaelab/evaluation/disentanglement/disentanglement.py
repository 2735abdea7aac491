"""The measure of disentanglement: MIG, SAP, DCI and FactorVAE score, for data with known factors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.evaluation.disentanglement import scores
from vaelab.evaluation.latents.latents import ACTIVE_VARIANCE, active_dimensions
from vaelab.evaluation.measure import EvaluationContext, Metric, Progress
from vaelab.evaluation.posterior_means import two_posterior_means
from vaelab.evaluation.proportion import Proportion
from vaelab.randomness.seeds import derive
from vaelab.system.errors import DataError, SpecError

FEWEST = 500  # images; with fewer, the bias of the mutual information is too large
RESAMPLES = 30  # bootstrap resamples for a standard error, which then has a relative error of an eighth
FITS = 5  # of DCI, each on different training images
VOTES = 800  # to fit the majority vote, and as many to evaluate it
STREAM = 0xD15  # separates these draws from those of other measures
IMAGES, VOTING, FORESTS = range(1, 4)


@dataclass(frozen=True, kw_only=True)
class Disentanglement:
    """MIG, SAP, DCI and FactorVAE score: is each known factor of the images encoded in one latent dimension?

    The codes are the posterior means E_q[z] of the images. The fitted parts (the forests of DCI, the majority vote) are
    fitted to training images.

    Arguments:
        bins: number of bins of equal width for the mutual information in MIG.
        images: maximum number from each split; a random choice that does not depend on their order.
    """

    bins: int = 20
    images: int = 10_000

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise SpecError(found=f"bins = {self.bins}", expected="at least 2", do="use bins=20, the usual number")
        if self.images < FEWEST:
            raise SpecError(found=f"images = {self.images}", expected=f"at least {FEWEST}", do="use more images")

    def check(self, context: EvaluationContext) -> None:
        """Raise SpecError for fewer than two latent dimensions, DataError for missing factors or too few images."""
        context.need_unseen("disentanglement")
        if context.model.latent < 2:
            raise SpecError(
                found=f"disentanglement of {context.model.latent} latent dimension",
                expected="at least 2 dimensions, because the scores compare them",
                do="leave this metric out",
            )
        for data in (context.train, context.data):
            what = f"disentanglement of {data.name}, whose {data.split} images"
            if len(data.factor_names) < 2:
                raise DataError(
                    found=f"{what} have {'one known factor' if data.factor_names else 'no known factors'}",
                    expected="two known factors or more",
                    do="train on shapes or on npz:FILE with an array of factors, or leave this metric out",
                )
            if len(data) < FEWEST:
                raise DataError(
                    found=f"{what} number {len(data):,}",
                    expected=f"at least {FEWEST}",
                    do="evaluate on more images, or leave this metric out",
                )
            _check_values(what, data.some(self.images))
        if context.train.factor_names != context.data.factor_names:
            raise DataError(
                found=f"factors {', '.join(context.train.factor_names)} of the training images, but "
                f"{', '.join(context.data.factor_names)} of the {context.data.split} images",
                expected="the same factors",
                do="store the same factors in both splits",
            )

    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        fitted, measured = (_code(context, data.some(self.images)) for data in (context.train, context.data))
        progress(0.2)
        rows = [_mig(context, measured, self.bins)]
        progress(0.25)
        rows.append(_sap(context, measured))
        progress(0.5)
        rows += _dci(context, fitted, measured, lambda share: progress(0.5 + 0.4 * share))
        rows.append(_factorvae(context, fitted, measured))
        progress(1.0)
        return rows


@dataclass(frozen=True, eq=False)
class _Coded:
    codes: np.ndarray  # [N, D]
    active: np.ndarray  # [D], whether a dimension varies
    factors: np.ndarray  # [N, F]
    names: str  # of the factors, as printed in a note


def _code(context: EvaluationContext, data: Dataset) -> _Coded:
    means = two_posterior_means(context.model, data, context.seed)
    active, _ = active_dimensions(means)
    names = f"parts: {', '.join(data.factor_names)}"
    return _Coded(means.mean(0).numpy(), active.numpy(), _factors(data), names)


def _mig(context: EvaluationContext, measured: _Coded, bins: int) -> Metric:
    bias = (bins - 1) * (max(_values(measured)) - 1) / (2 * len(measured.codes))
    return _gap(
        context,
        measured,
        "mig",
        lambda codes, factors: scores.mig(codes, factors, bins),
        f"{bins} bins, N = {len(measured.codes):,}: each mutual information biased by up to +{bias:.3f} nats",
    )


def _sap(context: EvaluationContext, measured: _Coded) -> Metric:
    perfect = np.mean([1 - 1 / values for values in _values(measured)])
    return _gap(
        context,
        measured,
        "sap",
        scores.sap,
        f"balanced accuracy of thresholds fitted to the measured images: perfect is about {perfect:.2f}",
    )


def _gap(
    context: EvaluationContext,
    measured: _Coded,
    name: str,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],  # codes, factors -> [F]
    note: str,
) -> Metric:
    gaps = score(measured.codes, measured.factors)
    n = len(measured.codes)
    random = np.random.default_rng(_seed(context, IMAGES))
    resampled = [random.integers(n, size=n) for _ in range(RESAMPLES)]
    bootstrap = [score(measured.codes[rows], measured.factors[rows]).mean() for rows in resampled]
    return context.metric(
        name,
        float(gaps.mean()),
        "share",
        better="higher",
        images=n,
        se=float(np.std(bootstrap, ddof=1)),
        note=f"{note}; se by bootstrap over these images; {measured.names}",
        parts=tuple(gaps.tolist()),
    )


def _dci(context: EvaluationContext, fitted: _Coded, measured: _Coded, progress: Progress) -> list[Metric]:
    fits: list[scores.Dci] = []
    for i, part in enumerate(np.array_split(np.arange(len(fitted.codes)), FITS)):
        seed = _seed(context, FORESTS, i) % 2**32  # scikit-learn takes 32 bits
        fits.append(scores.dci(fitted.codes[part], fitted.factors[part], measured.codes, measured.factors, seed))
        progress(len(fits) / FITS)
    n = len(measured.codes)
    forests = f"importance in random forests, {FITS} fits to {len(fitted.codes) // FITS:,} training images each"
    frequent = np.mean([np.unique(column, return_counts=True)[1].max() / n for column in measured.factors.T])
    correct = np.mean([fit.correct.mean(1) for fit in fits], axis=0)  # [N], of each image

    def row(name: str, of_fits: list[float], over_images: float, note: str, parts: np.ndarray) -> Metric:
        over_fits = np.std(of_fits, ddof=1) / np.sqrt(FITS)
        return context.metric(
            name,
            float(np.mean(of_fits)),
            "share",
            better="higher",
            images=n,
            se=float(np.hypot(over_fits, over_images)),
            note=note,
            parts=tuple(parts.tolist()),
        )

    completeness, informativeness = [f.completeness for f in fits], [f.informativeness for f in fits]
    return [
        row(
            "dci_disentanglement",
            [fit.disentanglement for fit in fits],
            0.0,
            f"{forests}; se between the fits",
            np.array([]),
        ),
        row(
            "dci_completeness",
            [float(c.mean()) for c in completeness],
            0.0,
            f"{forests}; se between the fits; {measured.names}",
            np.mean(completeness, axis=0),
        ),
        row(
            "dci_informativeness",
            [float(i.mean()) for i in informativeness],
            float(correct.std(ddof=1) / np.sqrt(n)),
            f"accuracy of the forests, chance {frequent:.3f}; se between the fits and over these images; "
            f"{measured.names}",
            np.mean(informativeness, axis=0),
        ),
    ]


def _factorvae(context: EvaluationContext, fitted: _Coded, measured: _Coded) -> Metric:
    active = fitted.active
    table, judged = (
        scores.votes(
            np.where(active, coded.codes, 0.0),  # a dimension that does not vary cannot win a vote
            coded.factors,
            VOTES,
            np.random.default_rng(_seed(context, VOTING, i)),
        )
        for i, coded in enumerate((fitted, measured))
    )
    share = Proportion(scores.majority_correct(table, judged), VOTES)
    return context.metric(
        "factorvae_score",
        share.value,
        "share",
        better="higher",
        images=len(measured.codes),
        interval=share.interval,
        note=f"{VOTES} votes of {scores.GROUP} images, fitted to {VOTES} of training images; "
        f"chance {1 / measured.factors.shape[1]:.3f}; {active.sum()} of {len(active)} dimensions vary by more than "
        f"{ACTIVE_VARIANCE} and can win a vote; interval over the votes",
    )


def _check_values(what: str, chosen: Dataset) -> None:
    for name, column in zip(chosen.factor_names, _factors(chosen).T, strict=True):
        values, counts = np.unique(column, return_counts=True)
        if len(values) < 2:
            raise DataError(
                found=f"{what} all have {name} = {values[0]}",
                expected="at least two values of each factor",
                do="remove that factor from the data, or evaluate on other images",
            )
        if counts.min() < scores.GROUP:
            raise DataError(
                found=f"{what} have {name} = {values[counts.argmin()]} in {counts.min()} of {len(chosen):,} images",
                expected=f"at least {scores.GROUP} images of each value, for a vote of the FactorVAE score",
                do="evaluate on more images, or leave this metric out",
            )


def _factors(data: Dataset) -> np.ndarray:
    assert data.factors is not None  # `check` made sure of this
    return data.factors


def _values(measured: _Coded) -> list[int]:
    """Return the number of values of each factor."""
    return [len(np.unique(column)) for column in measured.factors.T]


def _seed(context: EvaluationContext, *use: int) -> int:
    return derive(context.seed, "evaluation", STREAM, *use)

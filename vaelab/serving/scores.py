"""Scores that say how unusual each image is to a trained model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import log, prod
from pathlib import Path

import numpy as np

from vaelab.data.dataset import Dataset
from vaelab.data.protocol import Protocol, protocol
from vaelab.evaluation.likelihood.likelihood import Samples, estimate_bounds, evaluated_batches
from vaelab.evaluation.measure import Progress, evaluating
from vaelab.models import VAE
from vaelab.serving.complexity import png_bits
from vaelab.serving.conformal import check_alarm, p_values
from vaelab.serving.regret import check_regret, likelihood_regret
from vaelab.serving.table import SUFFIXES, Column, check_output, row_names, write_table
from vaelab.system.errors import SpecError, unknown

BLOCK = 100  # images whose PNGs are made at a time
QUANTILES = (0.05, 0.5, 0.95)
FORMATS = tuple(suffix for suffix in SUFFIXES if suffix != ".npy")  # of `Scores.save`; .npy has one array
NO_LEVELS = "only the protocols 8bit and levels describe 8-bit levels"
NO_CODE = "under the protocol grey, the nll is not the length of a code"
NOT_ASKED = "it is slow; add --regret (in Python, regret=True)"
NOT_CALIBRATED = "it needs the scores of validation images: see with_p_values"

# Score by which images can be ranked -> its sign: 1 if higher is more unusual
UNUSUAL = {
    "nll_nats": 1,
    "elbo_nats": -1,
    "distortion_nats": 1,
    "rate_nats": 1,
    "complexity_corrected_nats": 1,
    "regret_nats": 1,
}


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The scores of each of N images, numpy float64 [N], in the order of the data; None where there is none.

    Nats count the image as its protocol does (see `Evaluation`).
    """

    nll_nats: np.ndarray  # importance-weighted estimate of -log p(x) with K draws
    nll_se_nats: np.ndarray  # its standard error over the draws; NaN for K = 1
    elbo_nats: np.ndarray  # -rate - distortion
    rate_nats: np.ndarray  # KL(q(z|x) || p(z))
    distortion_nats: np.ndarray  # -E[log p(x|z)]
    bits_per_dim: np.ndarray | None  # nll / (C H W log 2), of 8-bit levels
    complexity_bits: np.ndarray  # of the image as a lossless PNG: see `vaelab.serving.complexity`
    complexity_corrected_nats: np.ndarray | None  # nll - complexity_bits log 2 (Serrà et al. 2020)
    regret_nats: np.ndarray | None = None  # see `vaelab.serving.regret`
    regret_se_nats: np.ndarray | None = None  # its standard error over the draws
    p_value: np.ndarray | None = None  # see `vaelab.serving.conformal`; small is unusual
    p_value_of: str = ""  # the score that it is the p-value of
    calibration_images: int = 0  # n, the number of images that it is compared with
    protocol: str = ""
    samples: Samples = 1  # K, or "auto"
    absent: Mapping[str, str] = field(default_factory=dict)  # name of a score that is None -> the reason
    names: Sequence[str] = ()  # for each image, its file, or its place in the array; () if nobody named them
    label_names: Sequence[str] = ()  # the name of the class of each image; () if there are none
    note: str = ""  # what the user should know of all scores; "" for nothing

    def __len__(self) -> int:
        return len(self.nll_nats)

    def columns(self) -> dict[str, np.ndarray]:
        """The scores that there are, by name, each [N]."""
        return {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}

    def unusual(self, name: str) -> np.ndarray:
        """The score `name`, with the sign that makes higher values more unusual, [N].

        Raises:
            SpecError: there is no such score, or it was not computed.
        """
        if name not in UNUSUAL:
            raise unknown("score", name, UNUSUAL)
        values = getattr(self, name)
        if values is None:
            there = [other for other in UNUSUAL if getattr(self, other) is not None]
            raise SpecError(
                found=f"no {name}: {self.absent[name]}", expected=f"one of {', '.join(there)}", do="choose one of these"
            )
        return UNUSUAL[name] * values

    def flagged(self, alarm: float) -> np.ndarray:
        """Whether the p-value of each image is at most `alarm`, bool [N].

        Raises:
            SpecError: there are no p-values, or `alarm` is not between 0 and 1.
        """
        check_alarm(alarm)
        if self.p_value is None:
            found = f"no p_value: {self.absent.get('p_value', NOT_CALIBRATED)}"
            raise SpecError(found=found, expected="p-values, which say what is unusual", do="leave the alarm out")
        return self.p_value <= alarm

    def save(self, path: Path | str, overwrite: bool = False, alarm: float | None = None) -> None:
        """Write a row for each image, as `vaelab score --out` does: .npz, .csv or .parquet.

        Arguments:
            alarm: adds the column `flagged`: whether the p-value is at most this.

        Raises:
            SpecError: another suffix, .parquet without pyarrow, or as `flagged`.
            RunError: the file exists and `overwrite` is not set, or it cannot be written.
        """
        path = check_output(path, FORMATS, overwrite)
        columns: dict[str, Column] = {**row_names(self.names, self.label_names, len(self)), **self.columns()}
        if alarm is not None:
            columns["flagged"] = self.flagged(alarm)
        write_table(path, columns, overwrite)

    def __repr__(self) -> str:
        """Quantiles of each score over the images."""
        lines = [f"Scores of {len(self):,} images, protocol {self.protocol}, K = {self.samples}"]
        lines.append(f"{'':26}" + "".join(f"{f'{q:.0%}':>12}" for q in QUANTILES))
        for name, values in self.columns().items():
            lines.append(f"{name:26}" + "".join(f"{_short(value):>12}" for value in np.quantile(values, QUANTILES)))
        if n := self.calibration_images:
            lines.append(f"p_value is of {self.p_value_of}, from {n:,} calibration images: at least {1 / (n + 1):.4g}")
        lines += [f"{name} is absent: {reason}" for name, reason in self.absent.items()]
        lines += [f"note: {self.note}"] if self.note else []
        return "\n".join(lines)


ABOUT = ("p_value_of", "calibration_images", "protocol", "samples", "absent", "names", "label_names", "note")
COLUMNS = tuple(f.name for f in fields(Scores) if f.name not in ABOUT)


def _short(value: float) -> str:
    """Four digits; more in front of the decimal point, which would otherwise become a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def score(
    model: VAE,
    data: Dataset,
    samples: Samples = 100,
    seed: int = 0,
    regret: bool = False,
    memory_mb: float = 0.0,
    progress: Progress = lambda share: None,
) -> Scores:
    """Return the scores of every image of `data`.

    The complexity is that of the image whose nll is computed. Under `8bit`, `levels` and `grey` these are the stored
    levels, and the PNG has 8 bits for each. Under the binary protocols it is the binary image (for binary-dynamic, the
    draw that nll sees), and the PNG has 1 bit per pixel.

    Arguments:
        model: it is in evaluation mode during the call, and unchanged after it.
        data: images of the model's shape and protocol.
        samples: K, draws of z for each image, or "auto".
        seed: of the draws.
        regret: whether to compute the likelihood regret, which fits q(z|x) to each image.
        memory_mb: as in `estimate_bounds`.
        progress: called with the completed proportion.

    Raises:
        SpecError: as `estimate_bounds` and, with `regret`, `likelihood_regret`.
        DataError: as `estimate_bounds`.
    """
    if regret:
        check_regret(model)
    part = 0.5 if regret else 1.0
    bounds = estimate_bounds(model, data, samples, seed, memory_mb, lambda share: progress(part * share))
    reading = protocol(data.protocol)
    nll, bits = bounds.nll.numpy(), _complexity(model, data, reading, seed)
    counted = reading.counts_levels or reading.levels == "binary"
    absent = {"p_value": NOT_CALIBRATED}
    if not counted:
        absent["complexity_corrected_nats"] = NO_CODE
    if not reading.counts_levels:
        absent["bits_per_dim"] = NO_LEVELS
    scores = Scores(
        nll_nats=nll,
        nll_se_nats=bounds.nll_variance.sqrt().numpy(),
        elbo_nats=bounds.elbo.numpy(),
        rate_nats=bounds.rate.numpy(),
        distortion_nats=bounds.distortion.numpy(),
        bits_per_dim=nll / (prod(data.shape) * log(2)) if reading.counts_levels else None,
        complexity_bits=bits,
        complexity_corrected_nats=nll - bits * log(2) if counted else None,
        protocol=data.protocol,
        samples=samples,
        absent=absent,
    )
    if not regret:
        return replace(scores, absent=absent | {"regret_nats": NOT_ASKED})
    fitted = likelihood_regret(model, data, seed, progress=lambda share: progress(part + part * share))
    return replace(scores, regret_nats=fitted.nats, regret_se_nats=fitted.se_nats)


def with_p_values(scores: Scores, calibration: Scores, by: str = "nll_nats") -> Scores:
    """Return `scores` with the conformal p-value of the score `by`.

    Arguments:
        calibration: the scores of validation images, by the same model. Use another seed than for `scores`: then no
            two images share their noise.
        by: the name of a score.

    Raises:
        SpecError: there is no such score, or the two differ in protocol or K.
        DataError, NonFiniteError: as `p_values`.
    """
    here, there = (f"protocol {each.protocol}, K = {each.samples}" for each in (scores, calibration))
    if here != there:
        raise SpecError(
            found=f"scores with {here}, and calibration scores with {there}",
            expected="the same for both: the scores depend on them",
            do="score the validation images in the same way",
        )
    values = p_values(calibration.unusual(by), scores.unusual(by))
    absent = {name: reason for name, reason in scores.absent.items() if name != "p_value"}
    return replace(scores, p_value=values, p_value_of=by, calibration_images=len(calibration), absent=absent)


def _complexity(model: VAE, data: Dataset, reading: Protocol, seed: int) -> np.ndarray:
    bits = np.empty(len(data))
    if reading.levels == "binary":
        with evaluating(model):  # which restores the generator
            for batch in evaluated_batches(model, data, seed):
                bits[batch.chosen] = png_bits(batch.x.cpu().numpy() > 0.5)
        return bits
    for start in range(0, len(data), BLOCK):
        bits[start : start + BLOCK] = png_bits(data.images[start : start + BLOCK])
    return bits

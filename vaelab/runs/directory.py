"""A run's directory and its files.

spec.json  log.jsonl  checkpoint.safetensors  model.safetensors  examples.safetensors  per_image.safetensors
figures/*.png  result.json

result.json is written last: if it exists, the run is done.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab.data.dataset import Dataset, Splits
from vaelab.data.in_hand import InHand, in_hand
from vaelab.data.places import taken_from
from vaelab.data.sources import modules_of
from vaelab.evaluation.in_words import Metrics
from vaelab.evaluation.measure import Metric
from vaelab.models import VAE
from vaelab.parts.trust import check_trust
from vaelab.runs import use
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.build import SHAPE, build_trained, load_splits, weights_fit
from vaelab.runs.examples import CLASS_NAMES, OWNER, read_examples
from vaelab.runs.result_file import Result, read_result
from vaelab.runs.spec import Spec
from vaelab.system.errors import RunError, VaelabError, unknown
from vaelab.system.files import small
from vaelab.system.tensor_file import read_tensors
from vaelab.training.callback import row_of

SHOWN = ("elbo", "rate", "distortion", "nll")  # metrics that a printed run shows
PER_IMAGE = "per_image.safetensors"
CHECKPOINT = "checkpoint.safetensors"
AGAIN = "measure again with `vaelab evaluate RUN --again`"


@dataclass(frozen=True, init=False, repr=False)
class Run:
    """A run's directory, read on demand.

    Arguments:
        path: the directory.
        trust: the user's own modules that the Spec may name; their code runs when the model is built.
        must_exist: whether to refuse a directory without a run; False for a run that does not exist yet.

    Raises:
        RunError: the directory has no run.
    """

    path: Path
    trust: tuple[str, ...] = ()
    _read: tuple[Spec, Blueprint] | None = field(default=None, compare=False, repr=False)  # a Spec and its Blueprint
    _loaded: VAE | None = field(default=None, compare=False, repr=False)  # the model that serves

    def __init__(self, path: Path | str, trust: Sequence[str] | str = (), must_exist: bool = True) -> None:
        path = Path(path)
        if path.name in ("", ".."):  # `.` and `..`, which have neither a name nor the folder of the run above them
            path = Path(os.path.realpath(path))
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "trust", (trust,) if isinstance(trust, str) else tuple(trust))
        if must_exist and not (self.path / "spec.json").is_file():
            found = f"no {self.path / 'spec.json'}"
            do = f"name those in it: {self.path}/*" if any(self.path.glob("*/spec.json")) else "check the path"
            raise RunError(found=found, expected="a run directory, which has a spec.json", do=do)

    @classmethod
    def planned(cls, path: Path | str, blueprint: Blueprint) -> "Run":
        """The directory of a run that does not exist yet, or that will be resumed."""
        run = cls(path, trust=blueprint.spec.own_modules, must_exist=False)
        object.__setattr__(run, "_read", (blueprint.spec, blueprint))
        return run

    @classmethod
    def of(cls, run: "Run | Path | str") -> "Run":
        """Return `run` itself, or the run in the directory `run`."""
        return run if isinstance(run, Run) else cls(run)

    def __repr__(self) -> str:
        """Its directory, what it trains, and its bounds if it is done; the directory alone if files are damaged."""
        try:
            spec, done = self.spec, self.done
            parts = (spec.data, str(spec.likelihood).split(":")[0], spec.network.split(":")[0], f"z = {spec.latent}")
            lines = [f"Run {self.path}: {', '.join(parts)}, {'done' if done else 'not done'}"]
            if done:
                lines += [f"  {metric}" for metric in self.metrics if metric.name in SHOWN]
        except VaelabError:
            return f"Run {self.path}"
        return "\n".join(lines)

    @property
    def spec(self) -> Spec:
        return Spec.read(self.path / "spec.json", self.trust)

    @property
    def blueprint(self) -> Blueprint:
        """The Blueprint of `spec`. It is read again only if spec.json has changed."""
        spec = self.spec
        if self._read is None or self._read[0] != spec:
            object.__setattr__(self, "_read", (spec, blueprint_of(spec)))
        assert self._read is not None
        return self._read[1]

    @property
    def done(self) -> bool:
        return (self.path / "result.json").exists()

    @property
    def result(self) -> Result:
        """Read result.json; RunError if the run is not done, or the file is damaged or of another version."""
        if not self.done:
            found = f"{self.path} has no result.json"
            raise RunError(found=found, expected="a finished run", do="rerun the command that started it")
        return read_result(self.path / "result.json")

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, one for each validation; RunError if a line is damaged."""
        path = self.path / "log.jsonl"
        lines = small(path).read_bytes().splitlines(keepends=True) if path.exists() else []
        rows = [row_of(line) for line in lines]
        if None in rows[:-1]:
            found = f"{path}, line {rows.index(None) + 1}: damaged"
            raise RunError(found=found, expected="a line of JSON", do="delete that line, or the run")
        return [row for row in rows if row is not None]  # the last line may be incomplete while the run is training

    @property
    def metrics(self) -> Metrics:
        """All metrics in result.json, first those computed at the end of training; RunError as `result`."""
        return Metrics(Metric.from_row(row) for row in self.result["metrics"])

    def metric(self, name: str, samples: int | None = None) -> Metric:
        """Return the metric `name` of the test images.

        Arguments:
            samples: K; by default the K at the end of training, if this metric was computed then.

        Raises:
            SpecError: it was not measured; the error lists the metrics that were.
            RunError: it was not measured with this number of samples.
        """
        if (metric := self.find(name, samples)) is not None:
            return metric
        measured = {metric.name for metric in self.metrics if metric.split == "test"}
        if name not in measured:
            raise unknown("metric", name, measured)
        found = f"{self.path} has no {name} of {samples} samples"
        raise RunError(
            found=found, expected="a number of samples that was measured", do="measure it with `vaelab evaluate`"
        )

    def find(self, name: str, samples: int | None = None) -> Metric | None:
        """Return the same as `metric`, or None if there is no such metric."""
        named = (metric for metric in self.metrics if metric.name == name and metric.split == "test")
        return next((metric for metric in named if samples in (None, metric.samples)), None)

    def keeps(self, metric: Metric) -> bool:
        """Whether per_image.safetensors has `metric` for each image; False if it is not a mean over images."""
        return key_of(metric) in self.per_image_tensors()

    def per_image(self, metric: Metric) -> Tensor:
        """The value for each image, [images], of `metric`, one of `metrics`. The order is that of the images' content.

        The mean of these values is the metric. If two runs have the same test images, and two metrics have the same
        measure, split and seed, then the order is the same. Such values can be compared in pairs.

        Raises:
            RunError: the metric has no values for each image.
        """
        tensors, key = self.per_image_tensors(), key_of(metric)
        if key not in tensors:
            found = f"{self.path / PER_IMAGE} has no {key}"
            raise RunError(found=found, expected="a number for each image", do=AGAIN)
        found = tensors[key]
        if found.shape != (metric.images,) or found.dtype not in (torch.float32, torch.float64):
            what = f"{self.path / PER_IMAGE} has {key} as {found.dtype} of shape {tuple(found.shape)}"
            raise RunError(found=what, expected=f"a number for each of {metric.images:,} images", do=AGAIN)
        return found

    def per_image_tensors(self) -> dict[str, Tensor]:
        """The tensors of per_image.safetensors, by the name that `key_of` gives; RunError if the file is damaged."""
        tensors, header = read_tensors(self.path / PER_IMAGE, missing=AGAIN, damaged=f"delete it and {AGAIN}")
        self._check_owner(PER_IMAGE, header, f"delete it and {AGAIN}")
        return tensors

    def _check_owner(self, name: str, header: dict[str, str], do: str) -> None:
        """Raise RunError if a run of another Spec wrote the file; files of earlier versions do not name their Spec."""
        if header.get(OWNER, self.spec.hash) != self.spec.hash:
            found = f"{self.path / name} was written by a run of another Spec"
            raise RunError(found=found, expected="this run's own file", do=do)

    def data(self, root: str | None = None, source: str | InHand | None = None) -> Splits:
        """Load the images of the run; for a finished run they are checked against the digests in result.json.

        Without `source` they are searched for in three places: first in `spec.data`, relative to the current folder;
        then where they were when the run was trained; then at the same path relative to the run's directory, in case
        the whole project was moved.

        Arguments:
            root: the data directory (see `vaelab.data.load_data`).
            source: where the images are now, such as "folder:elsewhere/faces", if they were moved; or the images, if
                they were given in Python.

        Raises:
            DataError, RunError: the images do not exist, or they are not the same.
        """
        given = source if source is None or isinstance(source, str) else in_hand(source)
        if not self.done:
            return load_splits(self.blueprint, root, given)
        errors = list[VaelabError]()
        for place in [given] if given else self._places():
            try:
                splits = load_splits(self.blueprint, root, None if place == self.spec.data else place)
                self.check_data(splits)
            except VaelabError as error:
                errors.append(error)
            else:
                return splits
        raise self._not_found(errors, given is not None)

    def _places(self) -> list[str]:
        """The sources where the run's images may be, the likeliest first."""
        there = self.result.get("source", {})
        places = [self.spec.data]
        if "absolute" in there and "from_run" in there:
            for place in (there["absolute"], there["from_run"]):
                if modules_of(place):
                    check_trust(self.path / "result.json", {"source": place}, self.trust)
            places += [there["absolute"], taken_from(there["from_run"], self.path)]
        return list(dict.fromkeys(places))

    def _not_found(self, errors: list[VaelabError], named: bool) -> VaelabError:
        """The error of the first place that has images; if no place has images, that of the first place."""
        others = [error for error in errors if isinstance(error, RunError)]
        if others or named or not self.blueprint.source.argument:
            return (others or errors)[0]
        return RunError(
            found=f"{self.path}: its images were not found ({errors[0].found})",
            expected=f"{self.spec.data}, relative to the current folder or where it was at training",
            do=f"say where they are with --data, as in --data {self.blueprint.source.name}:PATH (in Python, source=)",
        )

    def check_data(self, splits: Splits) -> None:
        """Raise RunError if `splits` are not the images that the run was trained and measured with."""
        for split in (splits.train, splits.validation, splits.test):
            then = None if split is None else self.result["data"].get(split.split)
            if split is None or then is None:  # the run did not use this split
                continue
            if split.sha256 != then["sha256"]:
                counts = f"{len(split):,} {split.split} images, {then['images']:,} then"
                same = len(split) == then["images"]
                raise RunError(
                    found=f"{self.path}: made with other images than {split.name} has now "
                    f"({f'equally many {split.split} images, with another digest' if same else counts})",
                    expected="the images it was trained and measured with",
                    do="put those files back, name a copy of them with --data (in Python, source=), or train again "
                    "under another --name",
                )

    def examples(self, split: str) -> Dataset:
        """The validation or test images that the run keeps, in the order of their content; see `vaelab.runs.examples`.

        They are there without the data: a random choice, with the levels that the protocol prepared.

        Raises:
            SpecError: `split` is neither validation nor test.
            RunError: the run keeps none of this split, or their file is damaged or that of another run.
        """
        return read_examples(self.path, self.spec, self.result, split)

    def model(self, image_shape: tuple[int, int, int] | None = None) -> VAE:
        """Load the trained model with its best weights, in evaluation mode, on the CPU."""
        path, again = self.path / "model.safetensors", "delete the run and train again"
        tensors, header = read_tensors(path, damaged=again)
        self._check_owner(path.name, header, again)
        with weights_fit(path, "spec.json", again):
            shape = image_shape or SHAPE.validate_json(header["image_shape"])
            names = CLASS_NAMES.validate_json(header.get("class_names", "{}"))
            return build_trained(self.blueprint, shape, tensors, names)

    @property
    def served(self) -> VAE:
        """The model that `encode`, `score`, `sample`, `reconstruct` and `decode` use, loaded once. Do not change it.

        Raises:
            RunError: the run is not finished, or a file is damaged.
        """
        if self._loaded is None:
            _ = self.result  # an unfinished run has no final weights
            object.__setattr__(self, "_loaded", self.model())
        assert self._loaded is not None
        return self._loaded

    # Methods that use the model
    encode, reconstruct, decode = use.encode, use.reconstruct, use.decode
    score, sample = use.score, use.sample


def load(path: Path | str, trust: Sequence[str] | str = ()) -> Run:
    """Open a run by its directory.

    Arguments:
        trust: your own modules that its Spec may name; their code runs when the model is built.

    Raises:
        RunError: the directory has no run.
    """
    return Run(path, trust)


def key_of(metric: Metric) -> str:
    """The name in per_image.safetensors of the values for each image of `metric`."""
    return "/".join(map(str, (metric.measure, metric.split, metric.seed, metric.name, metric.samples)))

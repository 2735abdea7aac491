"""A run's directory, and what stands in it.

spec.json  log.jsonl  checkpoint.safetensors  model.safetensors  per_image.safetensors  figures/*.png  result.json

result.json is written last: where it stands, the run is done.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from vaelab.data.dataset import Splits
from vaelab.data.places import taken_from
from vaelab.data.sources import modules_of
from vaelab.evaluation.measure import Metric
from vaelab.models import VAE
from vaelab.parts.trust import check_trust
from vaelab.runs.blueprint import Blueprint, blueprint_of
from vaelab.runs.build import build_model, load_data, model_bytes
from vaelab.runs.result_file import read_result
from vaelab.runs.spec import Spec
from vaelab.system.errors import NonFiniteError, RunError, VaelabError, unknown
from vaelab.system.files import small
from vaelab.system.memory import check_free
from vaelab.system.tensor_file import read_tensors, write_tensors
from vaelab.training.callback import row_of

PER_IMAGE = "per_image.safetensors"
OWNER = "spec"  # in the header of a file of tensors: the hash of the Spec that it belongs to
OF_PIXELS = {"posterior.centre", "likelihood.offset"}  # not in older runs, which were trained with both at 0
AGAIN = "measure again with --again"
# What stands in the header of model.safetensors
Axis = Annotated[int, Field(ge=1)]
SHAPE, CLASS_NAMES = TypeAdapter(tuple[Axis, Axis, Axis]), TypeAdapter(dict[int, str])


@dataclass(frozen=True, init=False)
class Run:
    """A run's directory, read on demand.

    Arguments:
        path: the directory.
        trust: the modules of the user's own that its Spec may name; their code runs when the model is built.
        must_exist: whether to refuse a directory that holds no run; False for one that is about to be made.

    Raises:
        RunError: there is no run.
    """

    path: Path
    trust: tuple[str, ...] = ()
    _read: tuple[Spec, Blueprint] | None = field(default=None, compare=False, repr=False)  # a Spec, and what it means

    def __init__(self, path: Path | str, trust: Sequence[str] | str = (), must_exist: bool = True) -> None:
        object.__setattr__(self, "path", Path(path))
        object.__setattr__(self, "trust", (trust,) if isinstance(trust, str) else tuple(trust))
        if must_exist and not (self.path / "spec.json").is_file():
            found = f"no {self.path / 'spec.json'}"
            do = f"name those in it: {self.path}/*" if any(self.path.glob("*/spec.json")) else "check the path"
            raise RunError(found=found, expected="a run directory, which has one", do=do)

    @classmethod
    def planned(cls, path: Path | str, blueprint: Blueprint) -> "Run":
        """The directory of a run that is not there yet, or is to be continued."""
        run = cls(path, trust=blueprint.spec.own_modules, must_exist=False)
        object.__setattr__(run, "_read", (blueprint.spec, blueprint))
        return run

    @classmethod
    def of(cls, run: "Run | Path | str") -> "Run":
        """`run` itself, or the run in the directory of that name."""
        return run if isinstance(run, Run) else cls(run)

    @property
    def spec(self) -> Spec:
        return Spec.read(self.path / "spec.json", self.trust)

    @property
    def blueprint(self) -> Blueprint:
        """What `spec` means. It is read anew only if spec.json has changed."""
        spec = self.spec
        if self._read is None or self._read[0] != spec:
            object.__setattr__(self, "_read", (spec, blueprint_of(spec)))
        assert self._read is not None
        return self._read[1]

    @property
    def done(self) -> bool:
        return (self.path / "result.json").exists()

    @property
    def result(self) -> dict[str, Any]:
        """result.json; RunError where the run is not done, or the file is damaged or of another version."""
        if not self.done:
            found = f"{self.path} has no result.json"
            raise RunError(found=found, expected="a finished run", do="give the command that started it again")
        return read_result(self.path / "result.json")

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, one for each validation; RunError where one is damaged."""
        path = self.path / "log.jsonl"
        lines = small(path).read_bytes().splitlines(keepends=True) if path.exists() else []
        rows = [row_of(line) for line in lines]
        if None in rows[:-1]:
            found = f"{path}, line {rows.index(None) + 1}: damaged"
            raise RunError(found=found, expected="a line of JSON", do="delete that line, or the run")
        return [row for row in rows if row is not None]  # the last may just be written

    def metric(self, name: str, samples: int | None = None) -> dict[str, Any]:
        """The metric called `name` of the test images, a dict as result.json has it.

        Arguments:
            samples: K; by default that of the measurement at the end of the training, if it has this metric.

        Raises:
            SpecError: it was not measured; what was is listed.
            RunError: it was not measured with so many samples.
        """
        if (row := self.find(name, samples)) is not None:
            return row
        measured = {row["name"] for row in self.result["metrics"] if row["split"] == "test"}
        if name not in measured:
            raise unknown("metric", name, measured)
        found = f"{self.path} has no {name} of {samples} samples"
        raise RunError(found=found, expected="one that was measured", do="measure it with `vaelab evaluate`")

    def find(self, name: str, samples: int | None = None) -> dict[str, Any] | None:
        """`metric`, or None where there is none."""
        named = (row for row in self.result["metrics"] if row["name"] == name and row["split"] == "test")
        return next((row for row in named if samples in (None, row["samples"])), None)

    def keeps(self, row: dict[str, Any]) -> bool:
        """Whether there is a number of each image behind a row: not where it is no mean over images."""
        return _key_of(row) in self._per_image()

    def per_image(self, row: dict[str, Any]) -> Tensor:
        """The numbers [images] behind a row of `result["metrics"]`, in the order of the images' content.

        Two runs give them for the same images in the same order where the rows agree in measure, split and seed, and
        the runs in their test images: then they can be compared in pairs.

        Raises:
            RunError: the row has none.
        """
        tensors, key = self._per_image(), _key_of(row)
        if key not in tensors:
            found = f"{self.path / PER_IMAGE} has nothing called {key}"
            raise RunError(found=found, expected="a number of each image", do=AGAIN)
        found = tensors[key]
        if found.shape != (row["images"],) or found.dtype not in (torch.float32, torch.float64):
            what = f"{self.path / PER_IMAGE} has {key} as {found.dtype} of shape {tuple(found.shape)}"
            raise RunError(found=what, expected=f"a number of each of {row['images']:,} images", do=AGAIN)
        return found

    def _per_image(self) -> dict[str, Tensor]:
        tensors, header = read_tensors(self.path / PER_IMAGE, missing=AGAIN, damaged=f"delete it and {AGAIN}")
        self._check_owner(PER_IMAGE, header, f"delete it and {AGAIN}")
        return tensors

    def _check_owner(self, name: str, header: dict[str, str], do: str) -> None:
        """RunError where the file was written by another run; those of earlier versions do not say."""
        if header.get(OWNER, self.spec.hash) != self.spec.hash:
            found = f"{self.path / name} was written by a run of another Spec"
            raise RunError(found=found, expected="this run's own file", do=do)

    def data(self, root: str | None = None, source: str | None = None) -> Splits:
        """The images that the run saw; of a finished run they are held to the digests in result.json.

        Without `source` they are looked for where `spec.data` says, from the current folder; then where they were when
        the run was trained; then at the same place as seen from the run's directory, for a project that was moved.

        Arguments:
            root: where data lie (see `vaelab.data.load`).
            source: where the images are now, such as "folder:elsewhere/faces", if they were moved.

        Raises:
            DataError, RunError: there are no such images, or not the same ones.
        """
        if not self.done:
            return load_data(self.blueprint, root, source)
        errors = list[VaelabError]()
        for place in [source] if source else self._places():
            try:
                splits = load_data(self.blueprint, root, place)
                self.check_data(splits)
            except VaelabError as error:
                errors.append(error)
            else:
                return splits
        raise self._not_found(errors, source)

    def _places(self) -> list[str]:
        """The sources that may be the run's own, the likeliest first."""
        there = self.result.get("source", {})
        for place in there.values():
            if modules_of(place):
                check_trust(self.path / "result.json", {"source": place}, self.trust)
        places = [self.spec.data, *([there["absolute"], taken_from(there["from_run"], self.path)] if there else [])]
        return list(dict.fromkeys(places))

    def _not_found(self, errors: list[VaelabError], source: str | None) -> VaelabError:
        """The error of the first place that has images, if any, or else of the first place."""
        others = [error for error in errors if isinstance(error, RunError)]
        if others or source or not self.blueprint.source.argument:
            return (others or errors)[0]
        return RunError(
            found=f"{self.path}: its images are not there ({errors[0].found})",
            expected=f"those of {self.spec.data}, from the current folder or where they were when it was trained",
            do=f"say where they are with --data, as in --data {self.blueprint.source.name}:PATH (in Python, source=)",
        )

    def check_data(self, splits: Splits) -> None:
        """RunError where `splits` are not the images that the run was made with."""
        for split in (splits.train, splits.validation, splits.test):
            then = None if split is None else self.result["data"].get(split.split)
            if split is None or then is None:  # which the run did not use
                continue
            if split.sha256 != then["sha256"]:
                counts = f"{len(split):,} {split.split} images, {then['images']:,} then"
                same = len(split) == then["images"]
                raise RunError(
                    found=f"{self.path}: made with other images than those of {split.name} now "
                    f"({f'as many {split.split} images, with another digest' if same else counts})",
                    expected="the images it was trained and measured with",
                    do="put those files back, name a copy of them with --data (in Python, source=), or train again "
                    "under another --name",
                )

    def model(self, image_shape: tuple[int, int, int] | None = None) -> VAE:
        """The trained model with its best weights, in evaluation mode, on the CPU."""
        again = "delete the run and train again"
        tensors, header = read_tensors(self.path / "model.safetensors", damaged=again)
        self._check_owner("model.safetensors", header, again)
        try:
            shape, classes = image_shape or SHAPE.validate_json(header["image_shape"]), tensors.get("labels.classes")
            names = CLASS_NAMES.validate_json(header.get("class_names", "{}"))
            labels = None if classes is None else classes.numpy()
            check_free("such a model", model_bytes(self.blueprint, shape), "close other programs", RunError)
            model = build_model(self.blueprint, shape, labels, trained=True, class_names=names)
            own = model.state_dict()
            for name in OF_PIXELS & own.keys():
                tensors.setdefault(name, own[name])
            model.load_state_dict(tensors)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            found = f"{self.path / 'model.safetensors'} does not fit spec.json"
            raise RunError(found=found, expected="the weights of this Spec", do=again) from error
        if odd := [name for name, tensor in own.items() if not tensor.isfinite().all()]:
            found = f"{self.path / 'model.safetensors'}: {odd[0]} is not finite"
            raise RunError(found=found, expected="finite weights", do=again)
        model.protocol = self.spec.protocol
        return model.eval()


@dataclass(frozen=True)
class MetricStore:
    """The numbers of a run: rows of result.json, and those of each image in per_image.safetensors.

    Arguments:
        run: whose numbers they are.
        seed: of the draws of what is added.
        rows: what is known already; grows.
    """

    run: Run
    seed: int
    rows: list[dict[str, Any]]

    def of(self, measure: str, split: str) -> list[dict[str, Any]]:
        """The rows that this measure gave on this split with this seed."""
        return [row for row in self.rows if (row["measure"], row["split"], row["seed"]) == (measure, split, self.seed)]

    def tensors(self) -> dict[str, Tensor]:
        """The numbers of each image that are kept so far; RunError where their file is damaged."""
        path = self.run.path / PER_IMAGE
        return self.run._per_image() if path.exists() else {}

    def add(self, measure: str, metrics: list[Metric]) -> None:
        """Take the numbers of a measure, in the place of those it gave before; writes those of each image.

        Raises:
            NonFiniteError: a number that is none.
        """
        for metric in metrics:
            numbers = (metric.value, metric.se, metric.monte_carlo_se, *(metric.interval or ()), *metric.parts)
            if not all(math.isfinite(number) for number in numbers if number is not None):
                found = f"{metric.name} is {metric.value}, +- {metric.se}, for {self.run.path}"
                raise NonFiniteError(found=found, expected="a finite number", do=f"leave {measure} out, and look at it")
        old = self.of(measure, metrics[0].split)
        rows = [{"measure": measure, "seed": self.seed, **metric.as_dict()} for metric in metrics]
        new = json.loads(json.dumps(rows))  # as they will be read: tuples are lists there
        place = self.rows.index(old[0]) if old else len(self.rows)  # the first row of a name is the run's own
        self.rows[:] = [*self.rows[:place], *new, *(row for row in self.rows[place:] if row not in old)]
        tensors = self.tensors()
        for metric, row in zip(metrics, new, strict=True):
            if metric.per_image is not None:
                tensors[_key_of(row)] = metric.per_image.contiguous()
        write_tensors(self.run.path / PER_IMAGE, tensors, {OWNER: self.run.spec.hash})


def _key_of(row: dict[str, Any]) -> str:
    """The name in per_image.safetensors of the numbers behind a row of result.json."""
    return "/".join(str(row[field]) for field in ("measure", "split", "seed", "name", "samples"))

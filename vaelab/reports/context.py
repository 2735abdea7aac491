"""The input of a report: the runs that are done, and what is computed from their models, each thing once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from vaelab.data.dataset import Dataset, Splits
from vaelab.figures.model_calls import condition_of, pixels, reconstruct, seeded_model
from vaelab.models import VAE
from vaelab.reports.digits import Reader, fit_reader
from vaelab.reports.labels import PLACED, described, differing
from vaelab.runs.build import load_splits
from vaelab.studies.study import Member, Study

T = TypeVar("T")
DRAWS = 8  # posterior samples that a reconstruction averages, for measurements on many images
AT_MOST = 1_000  # test images for what result.json does not have: enough for differences, and seconds for each run


@dataclass
class ReportContext:
    """The runs of a study that are done, with their data, models and per-image values, each computed once.

    Arguments:
        study: the study; its runs that are not done are left out.
        root: the data directory, as in `vaelab.data.load_data`.
    """

    study: Study
    root: str | None = None
    kept: dict[tuple[object, ...], object] = field(default_factory=dict)

    @property
    def done(self) -> list[Member]:
        return [member for member in self.study.members if member.run.done]

    def of_data(self, names: Sequence[str]) -> "ReportContext":
        """The context of only the runs on these data sets; it shares what is already computed."""
        members = [member for member in self.study.members if member.spec.data in names]
        return replace(self, study=replace(self.study, members=members))

    def groups(self) -> dict[str, list[Member]]:
        """The runs that are done by group, in the order of the study."""
        return {name: [m for m in self.done if m.group == name] for name in dict.fromkeys(m.group for m in self.done)}

    def at(self, member: Member) -> str:
        """The fields that distinguish a run from others of its title: latent dimensions, other differences, and seed.

        The latent dimensions are always named; the seed is named if the study has several.
        """
        return described(member.spec, ["latent", *self._apart(member), *self._seeds()])

    def besides(self, member: Member) -> str:
        """The same without the latent dimensions, for where they have a place of their own; "" if nothing is left."""
        return described(member.spec, [*self._apart(member), *self._seeds()])

    def point(self, member: Member) -> str:
        """The same without the seed: what the runs of one average over seeds have in common."""
        return described(member.spec, ["latent", *self._apart(member)])

    def of_model(self, member: Member) -> str:
        """The title of a run, with what distinguishes its model from others of this title except latent dimensions."""
        return ", ".join(filter(None, [member.title, described(member.spec, self._apart(member))]))

    def named(self, member: Member) -> str:
        """The title of a run, with everything that distinguishes it from others of this title."""
        fields = differing([m.spec for m in self.study.members if m.title == member.title])
        return ", ".join(filter(None, [member.title, described(member.spec, fields)]))

    def _seeds(self) -> list[str]:
        return ["seed"] if len({other.seed for other in self.study.members}) > 1 else []

    def _apart(self, member: Member) -> list[str]:
        alike = [other.spec for other in self.study.members if other.title == member.title]
        return [field for field in differing(alike) if field not in PLACED]

    def data(self, member: Member) -> Splits:
        """The images that the run was trained and evaluated on.

        Raises:
            RunError: the files have changed since then; a report must not mix numbers and figures of different images.
        """
        spec = member.spec
        splits = self._once(
            ("data", spec.data, spec.protocol, spec.validation, spec.split_seed),
            lambda: load_splits(member.blueprint, self.root),
        )
        member.run.check_data(splits)
        return splits

    def model(self, member: Member) -> VAE:
        return self._once(("model", member.run.path), member.run.model)

    def test(self, member: Member) -> Dataset:
        """The test images, or 1,000 evenly spaced ones if there are more: the same images for every run."""
        data = self.data(member).test
        return data.take(np.linspace(0, len(data) - 1, min(AT_MOST, len(data))).round().astype(int))

    def per_image(self, member: Member, name: str) -> Tensor:
        """The per-image values of the metric `name` of result.json, in the order of the test images' content: [N]."""
        return self._once((name, member.run.path), lambda: member.run.per_image(member.run.metric(name)))

    def images(self, member: Member) -> Tensor:
        """The images of `test` without the noise of a protocol: [N, C, H, W] in [0, 1]."""
        return plain(self.test(member))

    def reconstructions(self, member: Member) -> Tensor:
        """The decoder's mean averaged over 8 posterior samples, for each image of `test`: [N, C, H, W]."""
        model, test = self.model(member), self.test(member)
        every = np.arange(len(test))
        with seeded_model(model, member.seed):
            return reconstruct(model, pixels(model, test, every), DRAWS, condition_of(model, test, every))

    def prior_means(self, member: Member, count: int) -> Tensor:
        """The decoder's means for `count` draws of z from the prior: [count, C, H, W]."""
        model = self.model(member)
        with seeded_model(model, member.seed):
            return model.sample(count).mean

    def reader(self, member: Member) -> Reader:
        """A classifier fitted on the training images of the run's data."""
        data = self.data(member)
        return self._once(("reader", member.spec.data), lambda: fit_reader(data.train, data.test))

    def _once(self, key: tuple[object, ...], compute: Callable[[], T]) -> T:
        if key not in self.kept:
            self.kept[key] = compute()
        return cast(T, self.kept[key])


def plain(data: Dataset) -> Tensor:
    """The images without the noise of a protocol: [N, C, H, W] in [0, 1]."""
    return torch.from_numpy(data.in_memory).float() / 255

"""What a report says of two models is said of their difference, with its interval."""

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from vaelab.evaluation.measure import FEW_MARK, Metric
from vaelab.reports import seeds as over_seeds
from vaelab.reports.behind import behind
from vaelab.studies.study import open_study
from vaelab.system.errors import SpecError

IMAGES = 400


@dataclass
class Kept:
    """A run that keeps one metric of each image."""

    numbers: Tensor
    kept: bool = True

    def metric(self, name: str) -> Metric:
        return Metric(
            name=name,
            value=self.numbers.mean().item(),
            unit="nats/image",
            better="lower",
            images=IMAGES,
            split="test",
            protocol="grey",
        )

    @property
    def metrics(self) -> list[Metric]:
        return [self.metric("nll")]

    def keeps(self, metric: Metric) -> bool:
        return self.kept

    def per_image(self, metric: Metric) -> Tensor:
        return self.numbers


def model(mean: float, spread: float = 0.0, seeds: int = 3, **options: Any) -> list[Any]:
    """Runs of one model on the same images, whose numbers are `mean`, `spread` further from seed to seed."""
    images = 20 * torch.randn(IMAGES, generator=torch.Generator().manual_seed(0))
    images -= images.mean()
    noise = [
        torch.randn(IMAGES, generator=torch.Generator().manual_seed(int(100 * abs(mean)) + s)) for s in range(seeds)
    ]
    runs = [Kept(images + 0.1 * noise[s] + mean + spread * (s - 1), **options) for s in range(seeds)]
    return [SimpleNamespace(seed=s, latent=2, title=f"M{mean:g}", run=run) for s, run in enumerate(runs)]


def size(said: str) -> float:
    """The difference in such a sentence."""
    return float(plain(said).removeprefix("behind by ").split()[0])


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_images_and_seeds_are_paired():
    """Images spread by 20: unpaired, a difference of 0.5 over 400 of them would be far from clear."""
    assert size(behind(model(23.0), model(23.5), "nll")) == pytest.approx(0.5, abs=0.02)
    assert "clear" not in behind(model(23.0), model(23.5), "nll")


def test_seeds_that_differ_leave_the_order_open():
    assert behind(model(23.0), model(23.1, spread=1.0), "nll").endswith(" nats, which is not a clear difference")


def test_where_higher_is_better_the_difference_is_the_other_way():
    assert size(behind(model(-23.0), model(-23.5), "elbo", -1)) == pytest.approx(0.5, abs=0.02)


def test_without_numbers_of_each_image_nothing_is_claimed():
    assert behind(model(23.0), model(29.0, kept=False), "nll") == "behind, but it is not known by how much"


def test_seeds_that_one_model_lacks_are_left_out():
    assert size(behind(model(23.0), model(23.5, seeds=2), "nll")) == pytest.approx(0.5, abs=0.02)


@pytest.fixture
def told(monkeypatch):
    def ranked(models: list[list[Any]], few: tuple[float, ...] = ()) -> str:
        monkeypatch.setattr(over_seeds, "rests_on_few", lambda metric: round(metric.value) in few)
        context: Any = SimpleNamespace(of_model=lambda member: member.title)
        return plain(over_seeds._ranked(context, "digits", models))

    return ranked


def test_a_ranking_says_by_how_much(told):
    said = told([model(25.0), model(23.0), model(24.0, spread=3.0), model(30.0)])
    assert "is lowest for M23 (" in said
    assert re.search(
        r"then M24 \(behind by [\d.]+ ± [\d.]+ nats, which is not a clear difference\) "
        r"and M25 \(behind by (1.9|2.0)\d* ± [\d.]+ nats\)",
        said,
    )
    assert "It is highest for M30" in said


def test_a_ranking_that_rests_on_few_effective_draws_says_so(told):
    models = [model(25.0), model(23.0), model(24.0)]
    assert f" {FEW_MARK}), then" in told(models, few=(23,))
    assert FEW_MARK not in told(models)
    marked = [told(models, few=(23,))] * 2
    assert over_seeds.explained(marked)[2:] == [over_seeds.VAGUE]  # once, whatever many rankings there are
    assert over_seeds.explained([told(models)]) == [told(models)]


def test_seeds_are_not_asked_for_beside_those_of_the_study():
    with pytest.raises(SpecError, match="both --seeds 3 and seed = "):
        open_study("zoo", seeds=3)

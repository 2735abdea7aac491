"""The claims of the article: their rules, and what they measure on small studies."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab.evaluation.proportion import Proportion
from vaelab.reports.claims import CLAIMS, check_claims, judged
from vaelab.reports.claims.article.colours import appears, kept
from vaelab.reports.claims.article.comparisons import VAST_WITH_CONVOLUTION, alike, relative_gain, vast_with_convolution
from vaelab.reports.claims.article.complexity import negative_means
from vaelab.reports.claims.article.detail import detail
from vaelab.reports.claims.article.digits import counts_as_produced, every_digit, majority, only, six_and_seven
from vaelab.reports.claims.article.dimensions import markedly
from vaelab.reports.claims.article.kinds import by_likelihood, by_network
from vaelab.reports.claims.article.manifolds import beyond_shades, eight_more_apparent, light, light_and_dark
from vaelab.reports.claims.article.source import ARTICLE, MNIST, SVHN
from vaelab.reports.claims.article.speed import epochs_to, setup, way_down
from vaelab.reports.claims.claim import of_parts
from vaelab.reports.claims.pairs import steps
from vaelab.reports.claims.sizes import VAST
from vaelab.reports.context import ReportContext
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.train import train
from vaelab.studies.study import open_study

SUPPORTED, CONTRADICTED, MIXED, UNJUDGED = "supported", "contradicted", "mixed", "cannot be judged here"


def test_digits_in_two_dimensions() -> None:
    assert of_parts(only(frozenset({0, 1, 3, 8, 9}))) == SUPPORTED
    assert list(only(frozenset({0, 1, 3, 9})).values()) == [CONTRADICTED, SUPPORTED]
    assert list(only(frozenset({0, 1, 3, 7, 8, 9})).values()) == [SUPPORTED, CONTRADICTED]
    assert of_parts(only(frozenset({7}))) == CONTRADICTED


def test_digits_in_more_dimensions() -> None:
    def verdict_of(two: set[int] | None, five: set[int]) -> str:
        known = {} if two is None else {2: frozenset(two)}
        return of_parts(six_and_seven({**known, 5: frozenset(five)}))

    assert verdict_of({0, 1}, {1, 6, 7}) == SUPPORTED
    assert verdict_of({0, 6}, {1, 6, 7}) == MIXED  # two dimensions give the 6 already
    assert verdict_of(None, {1, 6, 7}) == UNJUDGED
    assert verdict_of({6, 7}, {1, 2}) == CONTRADICTED
    assert six_and_seven({2: frozenset({1})}) == {}
    ten = frozenset(range(10))
    assert [every_digit(ten - some) for some in (set(), {4}, {4, 5})] == [SUPPORTED, MIXED, CONTRADICTED]


def test_with_several_seeds_a_digit_is_produced_by_most_of_them() -> None:
    assert majority([frozenset({1, 2}), frozenset({1}), frozenset({1, 2, 3})]) == {1, 2}
    assert majority([frozenset({1}), frozenset({2})]) == frozenset()
    assert majority([]) == frozenset()


def test_a_digit_counts_as_produced_if_recognised_and_sampled() -> None:
    often, never, unknown = Proportion(80, 100), Proportion(0, 100), Proportion(0, 0)
    assert counts_as_produced(often, often)
    assert not counts_as_produced(often, never)
    assert not counts_as_produced(never, often)
    assert not counts_as_produced(unknown, often)
    assert not counts_as_produced(often, unknown)


def test_the_colour_that_is_kept_of_an_image() -> None:
    red = torch.tensor([0.8, 0.2, 0.2])[None, :, None, None].expand(1, 3, 2, 2)
    grey = torch.full((1, 3, 2, 2), 0.4)
    assert kept(red, red).item() == pytest.approx(1)
    assert kept(red, grey).item() == pytest.approx(0, abs=1e-6)
    assert kept(red, (red + grey) / 2).item() == pytest.approx(0.5, rel=1e-5)
    assert [appears(*counts) for counts in ((0, 9), (3, 9), (3, 0))] == [SUPPORTED, MIXED, CONTRADICTED]


def test_shades_of_one_image_leave_nothing() -> None:
    pattern = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    shades = pattern + torch.linspace(0, 1, 9)[:, None, None, None]
    assert beyond_shades(shades) == pytest.approx(0, abs=1e-9)
    turned = torch.where(torch.arange(9)[:, None, None, None] % 2 == 0, pattern, pattern.flip(-1))
    assert beyond_shades(turned) > VAST


def test_the_detail_of_an_image_is_what_its_mean_colour_lacks() -> None:
    flat = torch.tensor([0.1, 0.5, 0.9])[None, :, None, None].expand(1, 3, 4, 4)
    striped = flat.clone()
    striped[..., ::2] += 0.2
    assert detail(flat).item() == pytest.approx(0, abs=1e-12)
    assert detail(striped).item() == pytest.approx(0.01, rel=1e-5)


def test_epochs_to_an_error_that_both_reach() -> None:
    fast = [(1.0, 0.5), (2.0, 0.2), (3.0, 0.1)]
    slow = [(1.0, 0.9), (2.0, 0.6), (3.0, 0.4), (4.0, 0.3)]
    target = way_down(1.0, [fast, slow])
    assert target == pytest.approx(1 - 0.9 * 0.7)  # the worse of the two bests is 0.3
    assert epochs_to(fast, target) == 2
    assert epochs_to(slow, target) == 4
    assert epochs_to(slow, 0.01) is None


def test_a_run_without_validation_has_no_course() -> None:
    assert setup([{"epoch": 1.0, "train": {}}]) == []


def test_light_and_contrast_are_told_apart() -> None:
    flat = torch.cat([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)])
    assert light(flat).spread > 0.5
    assert light(flat).contrast == 0
    striped = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]).expand(2, 1, 2, 2)
    assert light(striped).spread == 0
    assert light(striped).contrast > 0.5
    green = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None] * flat
    assert light(green).spread == pytest.approx(0.587 * light(flat).spread)


@pytest.fixture(scope="module")
def checked(trained):
    return check_claims(ReportContext(trained))


def test_every_claim_is_checked_with_its_rule_and_evidence(checked) -> None:
    assert list(checked) == [name for name in CLAIMS if name != "importance-weighting"]
    for claims in checked.values():
        for claim in claims:
            assert claim.statement.says.endswith((".", ")."))
            assert claim.measured
            assert claim.rule
            for table in claim.evidence:
                assert all(len(row) == len(table.columns) for row in table.rows)


def test_every_claim_of_the_article_is_quoted_with_its_section() -> None:
    """Word for word, where the article is at hand."""
    statements = [statement for claims in CLAIMS.values() for statement, _ in claims if statement.source is ARTICLE]
    assert len(statements) == len({statement.says for statement in statements})
    for statement in statements:
        assert statement.quote
        assert statement.section
        assert set(statement.asked_of) <= {MNIST, SVHN}
    article = Path(__file__).parents[5] / "shared" / "reference" / "article.txt"
    if article.exists():
        text = " ".join(article.read_text().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
        assert [s.quote for s in statements if s.quote not in text] == []


def test_a_claim_about_other_data_is_not_judged_on_these(checked, trained) -> None:
    """Eight by eight digits are neither MNIST nor SVHN: what they show is told, and no verdict is given."""
    for name, claims in checked.items():
        for claim in claims:
            assert claim.verdict == "not tested here", name
            assert claim.verdict_in_words.startswith("about ")
    first = checked["dimensions"][0]
    assert first.verdict_in_words == "about MNIST and SVHN; not tested here"
    assert re.match("On digits, in (all 3|[12] of 3) comparisons", first.measured)
    assert first.basis.startswith("digits (1,")
    assert "6 runs of 2 epochs at most; one seed: intervals cover the test images only" in first.basis


def test_what_the_study_has_no_runs_for_is_not_measured(checked) -> None:
    for claim in [*checked["colours"], checked["gaussian-quality"][1], *checked["negative-means"]]:
        assert claim.evidence == []
        assert claim.measured == "No run of this study measures it."


def test_claims_compare_runs_that_differ_in_one_thing(trained) -> None:
    context = ReportContext(trained)
    networks = [(a.label, b.label) for pair in by_network(context) for a, b in pair.seeds]
    assert networks == [("mlp z=2", "conv z=2"), ("mlp z=5", "conv z=5")]
    decoders = [(a.label, b.label) for pair in by_likelihood(context) for a, b in pair.seeds]
    assert decoders == [("conv z=2", "gaussian z=2"), ("conv z=5", "gaussian z=5")]
    other = [
        replace(m, blueprint=blueprint_of(m.spec.model_copy(update={"learning_rate": 0.5})))
        for m in trained.members[2:]
    ]
    assert by_network(ReportContext(replace(trained, members=[*trained.members[:2], *other]))) == []


def test_a_gain_is_the_share_by_which_the_error_of_the_second_is_lower(trained) -> None:
    context = ReportContext(trained)
    error = {member.label: member.run.metric("reconstruction_mse").value for member in trained.members}
    pair = by_network(context)[1]
    assert relative_gain(context, pair).mean == pytest.approx(1 - error["conv z=5"] / error["mlp z=5"])
    (step, *_) = steps(trained.members)
    assert relative_gain(context, step).mean == pytest.approx(1 - error["mlp z=5"] / error["mlp z=2"])
    assert markedly(context).evidence[0].rows[0][1].endswith("2 \N{RIGHTWARDS ARROW} 5")
    assert len(vast_with_convolution(context).runs) == len(alike(context).runs) == 4


def test_the_compared_numbers_are_those_of_the_table(trained) -> None:
    context = ReportContext(trained)
    for member in trained.members:
        for name in ("elbo", "distortion", "nll", "reconstruction_mse"):
            mean = context.per_image(member, name).mean().item()
            assert mean == pytest.approx(member.run.metric(name).value, rel=1e-9)


def test_claims_with_several_seeds_take_them_together(trained) -> None:
    twins = [
        replace(member, blueprint=blueprint_of(member.spec.model_copy(update={"seed": 1})))
        for member in trained.members
    ]
    one, two = ReportContext(trained), ReportContext(replace(trained, members=[*trained.members, *twins]))
    single, double = by_network(one)[0], by_network(two)[0]
    assert [(a.seed, b.seed) for a, b in double.seeds] == [(0, 0), (1, 1)]
    assert len(by_network(two)) == len(by_network(one))
    gains = [relative_gain(context, pair) for context, pair in ((one, single), (two, double))]
    assert gains[0].mean == pytest.approx(gains[1].mean)  # the same numbers twice
    assert gains[0].half == pytest.approx(gains[1].half)
    claim = judged(two, replace(VAST_WITH_CONVOLUTION, asked_of=("digits",)), vast_with_convolution)
    assert "2 seeds: intervals cover seeds and test images" in claim.basis


COLOURED = """
title = "Blue and grey squares"
about = "A study for the tests."
claims = ["colours", "manifold-separation"]

[base]
data = "npz:{file}"
epochs = 40
learning_rate = 1e-2
batch = 20
nll_samples = 2
protocol = "grey"
likelihood = "bernoulli"

[[group]]
name = "mlp"
title = "Fully connected"
spec = { network = "mlp:hidden=16" }
grid = { latent = [2] }

[[group]]
name = "conv"
title = "Convolutional"
spec = { network = "article-conv:maps=2:hidden=16" }
grid = { latent = [2] }
"""


def test_the_colours_of_images_are_followed_into_reconstructions_and_manifolds(tmp_path) -> None:
    blue = np.random.default_rng(0).random(100) < 0.5
    images = np.full((100, 4, 4, 3), 128, np.uint8)
    images[blue] = (20, 20, 220)
    images += np.random.default_rng(1).integers(0, 4, images.shape, np.uint8)  # no two are equal
    np.savez(tmp_path / "squares.npz", train_images=images[:80], test_images=images[80:])
    (tmp_path / "coloured.toml").write_text(COLOURED.replace("{file}", str(tmp_path / "squares.npz")))
    study = open_study(str(tmp_path / "coloured.toml"), tmp_path)
    for member in study.members:
        train(member.spec, member.run.path.parent, member.run.path.name, compile="never")

    far, green, manifold = (judged(ReportContext(study), *claim) for claim in CLAIMS["colours"])
    assert {claim.verdict_in_words for claim in (far, green, manifold)} == {"about SVHN; not tested here"}
    counts, of_colour = green.evidence
    assert counts.rows[1][5] == str(blue[80:].sum())  # blue test images
    assert "There are too few test images that are red" in green.measured
    of_blue = [float(row[6].split("\N{NO-BREAK SPACE}")[0]) for row in of_colour.rows]
    assert all(share > 80 for share in of_blue)
    assert (
        "blue only in the convolutional one\N{RIGHT DOUBLE QUOTATION MARK} is mixed" in manifold.measured
    )  # both networks have learned blue
    assert all(int(row[8]) > 0 for row in manifold.evidence[0].rows)
    # neither has a Gaussian partner, and the images have no labels
    assert [c.evidence for c in check_claims(ReportContext(study))["manifold-separation"]] == [[], []]


SMALL_SVHN = """
title = "Coloured digits"
about = "A study for the tests."

[base]
data = "npz:{file}"
epochs = 20
learning_rate = 1e-2
batch = 20
nll_samples = 2

[[group]]
name = "mlp"
title = "Fully connected"
spec = { protocol = "grey", likelihood = "bernoulli", network = "mlp:hidden=16" }
grid = { latent = [2, 5, 8] }

[[group]]
name = "conv"
title = "Convolutional"
spec = { protocol = "grey", likelihood = "bernoulli", network = "article-conv:maps=2:hidden=16" }
grid = { latent = [2, 5, 8] }

[[group]]
name = "gaussian"
title = "Gaussian"
spec = { protocol = "8bit", likelihood = "gaussian", network = "article-conv:maps=2:hidden=16" }
grid = { latent = [2, 5] }

[[group]]
name = "free"
title = "Gaussian, free mean"
spec = { protocol = "8bit", likelihood = "gaussian:mean=free", network = "article-conv:maps=2:hidden=16" }
grid = { latent = [5] }
"""


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Runs on dark squares of ten colours with labels, as coloured digits are."""
    folder, random = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    labels = np.arange(120) % 10
    shapes = random.integers(0, 250, (10, 1, 1, 3)) * (random.random((10, 4, 4, 1)) < 0.3)
    images = (shapes[labels] + random.integers(0, 4, (120, 4, 4, 3))).astype(np.uint8)
    arrays = {"train_images": images[:90], "test_images": images[90:]}
    np.savez(folder / "c.npz", **arrays, train_labels=labels[:90], test_labels=labels[90:])
    (folder / "coloured.toml").write_text(SMALL_SVHN.replace("{file}", str(folder / "c.npz")))
    study = open_study(str(folder / "coloured.toml"), folder)
    for member in study.members:
        train(member.spec, member.run.path.parent, member.run.path.name, compile="never")
    return ReportContext(study)


@pytest.mark.parametrize(
    "name",
    ["dimensions", "eights", "colours", "convolution", "gaussian-quality", "negative-means", "manifold-separation"],
)
def test_every_claim_about_colours_is_measured_on_coloured_digits(coloured, name: str) -> None:
    for statement, check in CLAIMS[name]:
        found = judged(coloured, replace(statement, asked_of=(coloured.done[0].spec.data,)), check)
        assert found.evidence, statement.says
        assert "one seed" in found.basis
        for table in found.evidence:
            assert table.rows
            assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_manifold_of_one_seed_decides_nothing(coloured) -> None:
    for check in (light_and_dark, eight_more_apparent):
        assert check(coloured).verdict == UNJUDGED


def test_only_means_without_a_sigmoid_leave_the_pixels(coloured) -> None:
    found = negative_means(coloured)
    below = {row[0]: row[2] for row in found.evidence[0].rows}
    assert below["Gaussian, free mean"] != below["Gaussian"] == "0.00\N{NO-BREAK SPACE}%"
    assert found.verdict == SUPPORTED
    assert pairs_of(coloured) == {("Convolutional", "Gaussian")}  # the free mean is compared with nothing


def pairs_of(context: ReportContext) -> set[tuple[str, str]]:
    return {(a.title, b.title) for pair in by_likelihood(context) for a, b in pair.seeds}

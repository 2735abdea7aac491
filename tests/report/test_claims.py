"""The rules that make verdicts, on numbers whose verdict is known; and the claims on a study."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vaelab.evaluation.colours import Retained
from vaelab.evaluation.share import Share
from vaelab.report.claims import CLAIMS, check_claims
from vaelab.report.claims.claim import Difference, agreed, paired, tally, verdict
from vaelab.report.claims.colours import appears, missed
from vaelab.report.claims.comparisons import likeness, relative_to
from vaelab.report.claims.digits import counts_as_produced, every_digit, only, six_and_seven
from vaelab.report.claims.manifolds import eight_verdict, larger, light
from vaelab.report.claims.speed import course, epochs_to, quicker, way_down
from vaelab.report.material import Material
from vaelab.report.text import listed, number, plus_minus
from vaelab.run import train
from vaelab.study import open_study

SUPPORTED, CONTRADICTED, MIXED, UNJUDGED = "supported", "contradicted", "mixed", "cannot be judged here"


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([1, 1, 1], SUPPORTED),
        ([1, 1, 0], SUPPORTED),
        ([1, 0, 0], MIXED),
        ([1, 1, 1, -1], MIXED),
        ([-1, -1, 0], CONTRADICTED),
        ([-1, 0, 0], MIXED),
        ([0, 0, 0], UNJUDGED),
        ([], UNJUDGED),
    ],
)
def test_the_verdict_of_comparisons(signs, expected) -> None:
    assert verdict(signs) == expected


def test_what_is_undecided_may_be_called_mixed_but_nothing_is_not_judged() -> None:
    assert verdict([0, 0], "mixed") == MIXED
    assert verdict([], "mixed") == UNJUDGED


def test_verdicts_that_differ_are_mixed() -> None:
    assert agreed(["supported", "supported"]) == SUPPORTED
    assert agreed(["supported", "contradicted"]) == MIXED
    assert agreed([]) == UNJUDGED


def test_a_paired_difference_has_the_error_of_the_differences_and_not_of_the_values() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 100 * torch.randn(400, generator=generator)  # images differ far more than models do
    noise = torch.randn(400, generator=generator)
    difference = paired(images + 1 + noise, images)
    assert difference.mean == pytest.approx(1, abs=0.2)
    assert difference.se == pytest.approx(0.05, rel=0.1)
    assert difference.sign == 1
    assert paired(images, images + 1 + noise).sign == -1


def test_a_difference_is_decided_beyond_two_standard_errors() -> None:
    assert [Difference(mean, 1.0).sign for mean in (2.1, 2.0, -2.0, -2.1)] == [1, 0, 0, -1]
    assert Difference(5.0, None).sign == 0
    assert paired(torch.ones(1), torch.zeros(1)).se is None


def test_likeness_needs_the_whole_interval_inside_or_outside() -> None:
    assert [likeness(Difference(mean, se)) for mean, se in ((0.05, 0.02), (0.09, 0.02), (-0.2, 0.04), (0.0, 0.2))] == [
        1,
        0,
        -1,
        0,
    ]
    assert relative_to(Difference(1.0, 0.5), 4.0) == Difference(0.25, 0.125)


def test_the_tally_counts_each_way() -> None:
    assert tally([1, 1, -1, 0], "up", "down") == "4 comparisons: 2 up, 1 down, 1 no clear difference"


def test_digits_in_two_dimensions() -> None:
    assert only(frozenset({0, 1, 3, 8, 9})) == SUPPORTED
    assert only(frozenset({0, 1, 3, 9})) == MIXED
    assert only(frozenset({0, 1, 3, 7, 8, 9})) == CONTRADICTED


def test_digits_in_more_dimensions() -> None:
    assert [six_and_seven(frozenset(some)) for some in ({1, 6, 7}, {7}, {1, 2})] == [SUPPORTED, MIXED, CONTRADICTED]
    ten = frozenset(range(10))
    assert [every_digit(ten - some) for some in (set(), {4}, {4, 5})] == [SUPPORTED, MIXED, CONTRADICTED]


def test_a_digit_counts_as_produced_if_recognised_and_sampled() -> None:
    often, never, unknown = Share(80, 100), Share(0, 100), Share(0, 0)
    assert counts_as_produced(often, often)
    assert not counts_as_produced(often, never)
    assert not counts_as_produced(never, often)
    assert not counts_as_produced(unknown, often)
    assert not counts_as_produced(often, unknown)


def test_a_colour_is_missed_kept_or_cannot_be_told() -> None:
    def kept(n: int, share: float, se: float) -> Retained:
        return Retained("green", n, share, se)

    assert missed(kept(20, 0.2, 0.1)) == 1
    assert missed(kept(20, 0.9, 0.1)) == -1
    assert missed(kept(20, 0.4, 0.1)) == 0
    assert missed(kept(4, 0.0, 0.01)) == 0
    assert missed(Retained("green", 0, None, None)) == 0
    assert [appears(*counts) for counts in ((0, 9), (3, 9), (3, 0))] == [SUPPORTED, MIXED, CONTRADICTED]


def test_epochs_to_an_error_that_both_reach() -> None:
    fast = [(1.0, 0.5), (2.0, 0.2), (3.0, 0.1)]
    slow = [(1.0, 0.9), (2.0, 0.6), (3.0, 0.4), (4.0, 0.3)]
    target = way_down(1.0, [fast, slow])
    assert target == pytest.approx(1 - 0.9 * 0.7)  # the worse of the two bests is 0.3
    assert epochs_to(fast, target) == 2
    assert epochs_to(slow, target) == 4
    assert epochs_to(slow, 0.01) is None


def test_the_quicker_one_needs_clearly_fewer_epochs() -> None:
    assert [quicker(*pair) for pair in ((10, 5), (5, 10), (10, 9.5), (None, 3.0))] == [1, -1, 0, 0]


def test_a_run_without_validation_has_no_course() -> None:
    assert course([{"epoch": 1.0, "train": {}}]) == []


def test_light_and_contrast_are_told_apart() -> None:
    flat = torch.cat([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)])
    assert light(flat).spread > 0.5
    assert light(flat).contrast == 0
    striped = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]).expand(2, 1, 2, 2)
    assert light(striped).spread == 0
    assert light(striped).contrast > 0.5
    green = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None] * flat
    assert light(green).spread == pytest.approx(0.587 * light(flat).spread)
    assert [larger(value, 1.0) for value in (1.2, 1.05, 0.8)] == [1, 0, -1]


def test_an_inaccurate_classifier_judges_nothing() -> None:
    none, many, good, poor = Share(0, 400), Share(200, 400), Share(950, 1000), Share(45, 183)
    assert eight_verdict(good, none, many) == SUPPORTED
    assert eight_verdict(good, many, none) == CONTRADICTED
    assert eight_verdict(good, many, many) == MIXED
    assert eight_verdict(poor, none, many) == UNJUDGED


def test_numbers_read_well() -> None:
    assert plus_minus(1234.567, 0.0123) == "1,234.567\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.012"
    assert plus_minus(-99.234, 0.31) == "−99.23\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}0.31"
    assert plus_minus(15595.3, 26.1) == "15,595\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}26"
    assert plus_minus(0.012345, None) == "0.01235"
    assert plus_minus(0.0, None) == "0"
    assert number(-0.001, 2) == "0.00"
    assert [listed([]), listed(["a"]), listed(["a", "b", "c"])] == ["none", "a", "a, b and c"]


@pytest.fixture(scope="module")
def checked(trained):
    return check_claims(Material(trained))


def test_every_claim_is_checked_with_its_rule_and_evidence(checked) -> None:
    assert list(checked) == [name for name in CLAIMS if name != "importance-weighting"]
    for claims in checked.values():
        for claim in claims:
            assert claim.says.endswith((".", ")."))
            assert claim.measured
            assert claim.rule or claim.verdict == UNJUDGED
            for table in claim.evidence:
                assert all(len(row) == len(table.columns) for row in table.rows)


def test_what_the_study_has_no_runs_for_is_not_judged(checked) -> None:
    for claim in [*checked["colours"], checked["gaussian-quality"][1]]:
        assert claim.verdict == UNJUDGED
        assert claim.measured == "No run of this study measures it."


def test_claims_compare_runs_that_differ_in_one_thing(trained) -> None:
    material = Material(trained)
    networks = [row[1] for row in CLAIMS["convolution"](material)[0].evidence[0].rows]
    decoders = [row[:2] for row in CLAIMS["gaussian-quality"](material)[0].evidence[0].rows]
    assert [where.replace("\N{NO-BREAK SPACE}", " ") for where in networks] == ["z = 2", "z = 5"]
    assert {title for title, _ in decoders} == {"Convolutional, Bernoulli"}
    assert len(decoders) == 2


def test_a_gain_is_the_error_of_the_first_run_less_that_of_the_second(trained) -> None:
    material = Material(trained)
    error = {member.label: member.run.metric("reconstruction_mse")["value"] for member in trained.members}

    def first(cell: str) -> float:
        return float(cell.split("\N{NO-BREAK SPACE}")[0].replace("\N{MINUS SIGN}", "-"))

    networks = CLAIMS["convolution"](material)[0].evidence[0].rows[1]
    assert first(networks[6]) == pytest.approx(error["mlp z=5"] - error["conv z=5"], rel=1e-2)
    decoders = CLAIMS["gaussian-quality"](material)[0].evidence[0].rows[1]
    assert first(decoders[4]) == pytest.approx(error["conv z=5"] - error["gaussian z=5"], rel=1e-2)
    step = CLAIMS["dimensions"](material)[0].evidence[0].rows[0]
    assert first(step[2]) == pytest.approx(error["mlp z=2"] - error["mlp z=5"], rel=1e-2)


def test_the_compared_numbers_are_those_of_the_table(trained) -> None:
    material = Material(trained)
    for member in trained.members:
        for name in ("elbo", "distortion", "nll", "reconstruction_mse"):
            mean = material.per_image(member, name).mean().item()
            assert mean == pytest.approx(member.run.metric(name)["value"], rel=1e-9)


def test_claims_with_several_seeds_pair_runs_of_one_seed(trained) -> None:
    twins = [replace(member, spec=member.spec.model_copy(update={"seed": 1})) for member in trained.members]
    material = Material(replace(trained, members=[*trained.members, *twins]))
    rows = CLAIMS["convolution"](material)[0].evidence[0].rows
    assert [row[1].replace("\N{NO-BREAK SPACE}", " ") for row in rows] == [
        "z = 2, seed 0",
        "z = 5, seed 0",
        "z = 2, seed 1",
        "z = 5, seed 1",
    ]


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

    green, manifold = check_claims(Material(study))["colours"]
    counts, kept = green.evidence
    assert counts.rows[1][5] == str(blue[80:].sum())  # blue test images
    assert green.verdict == UNJUDGED
    assert "Too few test images to say anything about: red" in green.measured
    of_blue = [float(row[6].split("\N{NO-BREAK SPACE}")[0]) for row in kept.rows]
    assert all(share > 0.8 for share in of_blue)
    assert manifold.verdict == MIXED  # both networks have learned blue
    assert all(int(row[6]) > 0 for row in manifold.evidence[0].rows)
    # neither has a Gaussian partner, and the images have no labels
    assert [c.verdict for c in check_claims(Material(study))["manifold-separation"]] == [UNJUDGED, UNJUDGED]

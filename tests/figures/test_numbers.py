"""Pictures of numbers: training curves and the rate-distortion plane."""

import pytest

from vaelab.figures import curves, rate_distortion, save
from vaelab.system.errors import RunError


def chosen(elbo, rate, loss, judged=True):
    return {"validation": {**record(elbo, rate), "loss": loss}, "criterion": "-IWAE", "judged": judged}


def record(elbo, rate):
    return {"elbo": elbo, "rate": rate, "distortion": -elbo - rate, "loss": -elbo}


LOG = [
    {"step": 100, "epoch": 1.0, "train": record(-160.0, 8.0), "learning_rate": 1e-3},
    {"step": 200, "epoch": 2.0, "train": record(-120.0, 12.0), **chosen(-125.0, 12.5, 110.0, judged=False)},
    {"step": 300, "epoch": 3.0, "train": record(-110.0, 14.0), **chosen(-118.0, 14.5, 117.0)},
    {"step": 400, "epoch": 4.0, "train": record(-100.0, 15.0), **chosen(-121.0, 15.5, 116.0)},
]


def drawn(ax):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


def test_curves_show_the_log_and_mark_the_best_epoch(tmp_path):
    figure = curves(LOG, title="A run")
    save(figure, tmp_path / "curves.png")
    assert figure.get_suptitle() == "A run"
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert labels == [f"{name} / nats per image" for name in ("\N{MINUS SIGN}ELBO", "rate", "distortion")]
    assert {ax.get_xlabel() for ax in figure.axes} == {"epoch"}
    train = [[160, 120, 110, 100], [8, 12, 14, 15], [152, 108, 96, 85]]
    validation = [[125, 118, 121], [12.5, 14.5, 15.5], [112.5, 103.5, 105.5]]
    for i, ax in enumerate(figure.axes):
        lines = drawn(ax)
        assert lines["train"] == ([1, 2, 3, 4], train[i])
        assert lines["validation"] == ([2, 3, 4], validation[i])
        assert lines["lowest validation -IWAE, epoch 4"] == ([4], [validation[i][2]])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "train",
        "validation",
        "lowest validation -IWAE, epoch 4",
    ]


def test_curves_without_validation_mark_nothing():
    figure = curves([{"epoch": row["epoch"], "train": row["train"], "validation": None} for row in LOG])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train"]
    assert all(set(drawn(ax)) == {"train"} for ax in figure.axes)


def test_curves_of_one_row_are_visible_and_of_none_refused():
    figure = curves(LOG[:1])
    assert figure.axes[0].lines[0].get_marker() == "o"
    with pytest.raises(RunError, match="empty"):
        curves([])


def point(panel, group, latent, rate, distortion, se=1.0):
    return {
        "label": f"{group}-{latent}",
        "panel": panel,
        "group": group,
        "latent": latent,
        "rate": rate,
        "distortion": distortion,
        "rate_se": se,
        "distortion_se": 2 * se,
    }


POINTS = [
    point("mnist", "mlp", 20, 25.0, 80.0),
    point("mnist", "mlp", 2, 7.0, 150.0),
    point("svhn", "conv", 10, 30.0, -2000.0),
    point("mnist", "conv", 2, 8.0, 140.0),
    point("svhn", "mlp", 10, 31.0, -1900.0),
]


def test_rate_distortion_has_a_panel_for_each_set_and_joins_groups(tmp_path):
    figure = rate_distortion(POINTS, title="A study")
    save(figure, tmp_path / "rd.png")
    assert figure.get_suptitle() == "A study"
    assert [ax.get_title() for ax in figure.axes] == ["mnist", "svhn"]
    mnist, svhn = figure.axes
    assert mnist.get_xlabel() == "rate / nats per image"
    assert mnist.get_ylabel() == "distortion / nats per image"
    assert {text.get_text() for text in mnist.get_legend().get_texts()} == {"mlp", "conv", "equal \N{MINUS SIGN}ELBO"}
    joined = {c.get_label(): c.lines[0] for c in mnist.containers}
    assert list(joined["mlp"].get_xdata()) == [7, 25]  # by latent dimension, not by order of appearance
    assert list(joined["mlp"].get_ydata()) == [150, 80]
    names = [text.get_text() for text in mnist.texts]
    assert {"z = 2", "z = 20"} <= set(names)
    assert names.count("z = 2") == 2
    # one look for a group in every panel, another for another
    other = {c.get_label(): c.lines[0] for c in svhn.containers}
    looks = {name: (line.get_color(), line.get_marker()) for name, line in joined.items()}
    assert looks == {name: (line.get_color(), line.get_marker()) for name, line in other.items()}
    assert len(set(looks.values())) == 2


def test_error_bars_are_the_standard_errors():
    figure = rate_distortion([point("mnist", "mlp", 2, 7.0, 150.0, se=0.5)])
    _, _, (across, up) = figure.axes[0].containers[0].lines
    assert across.get_segments()[0].tolist() == [[6.5, 150], [7.5, 150]]
    assert up.get_segments()[0].tolist() == [[7, 149], [7, 151]]


def test_diagonals_have_one_elbo_each_and_say_which():
    (ax, _) = rate_distortion(POINTS).axes
    totals = []
    for line in ax.lines:
        if line.get_linewidth() == 0.5 and len(line.get_xdata()):
            sums = {round(x + y, 6) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
            assert len(sums) == 1
            totals.append(sums.pop())
    named = [text.get_text() for text in ax.texts if not text.get_text().startswith("z")]
    assert len(totals) >= 3
    assert [float(text) for text in named] == totals
    for text in ax.texts:
        if not text.get_text().startswith("z"):
            assert sum(text.xy) == pytest.approx(float(text.get_text()))
            (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
            assert left <= text.xy[0] <= right
            assert bottom <= text.xy[1] <= top


def test_the_seeds_of_a_model_are_points_and_their_mean_is_joined():
    seeds = [point("mnist", "mlp", 20, 25.0 + i, 80.0 - i) for i in range(3)]
    (ax,) = rate_distortion([*seeds, point("mnist", "mlp", 2, 7.0, 150.0)]).axes
    (bars,) = ax.containers
    assert list(bars.lines[0].get_xdata()) == [7, 25, 26, 27]
    assert bars.lines[0].get_linestyle() == "None"
    (joined,) = [line for line in ax.lines if line.get_linewidth() == 0.8]
    assert list(zip(joined.get_xdata(), joined.get_ydata(), strict=True)) == [(7, 150), (26, 79)]
    assert [text.get_text() for text in ax.texts if text.get_text().startswith("z")] == ["z = 2", "z = 20"]


def test_many_groups_say_what_most_have_beside_the_panel():
    points = [point("mnist", f"group {i}", 20, 5.0 + i, 100.0 - i) for i in range(12)]
    (ax,) = rate_distortion([*points, point("mnist", "group 3", 2, 4.0, 150.0)]).axes
    assert [text.get_text() for text in ax.texts if text.get_text().startswith("z")] == ["z = 2"]
    assert ax.get_legend().get_title().get_text() == "z = 20 unless noted"


def test_many_groups_keep_apart():
    figure = rate_distortion([point("mnist", f"group {i}", 2, 5.0 + i, 100.0 - i) for i in range(12)])
    looks = {(c.lines[0].get_color(), c.lines[0].get_marker()) for c in figure.axes[0].containers}
    assert len(looks) == 12

"""The pictures of a run card: what they show, and that they are small."""

import base64
import io
import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import vaelab as vl
from vaelab.data.dataset import Dataset
from vaelab.figures.grids import gap_between
from vaelab.figures.model_calls import encode, seeded_model
from vaelab.reports.card_pictures import LARGEST, card_pictures, compact
from vaelab.reports.cards import cards
from vaelab.reports.charts.codes import SIDE, codes
from vaelab.reports.context import ReportContext
from vaelab.runs.blueprint import blueprint_of
from vaelab.runs.build import build_model


def opened(picture: str) -> Image.Image:
    content = re.search(r'src="data:image/\w+;base64,([^"]+)"', picture)
    assert content is not None
    return Image.open(io.BytesIO(base64.b64decode(content[1])))


def dots(path: str) -> np.ndarray:
    """The places that a path of steps goes to: [N, 2]."""
    return np.cumsum([[int(x), int(y)] for x, y in re.findall(r"m(-?\d+) ?(-?\d+)h0", path)], axis=0)


def test_every_card_has_four_small_pictures(trained) -> None:
    for card in cards(ReportContext(trained), trained.folder):
        kinds = ["img" if "<img" in one.picture else "svg" for one in card.pictures]
        assert kinds == ["img", "img", "img", "svg"]
        assert sum(len(one.picture) for one in card.pictures) < 25_000
        assert all(card.name in one.picture for one in card.pictures)
        sizes = [opened(one.picture).size for one in card.pictures[:3]]
        rows = min(5, len(card.kl))
        assert sizes == [(8 * 9 - 1, 3 * 9 - 1), (9 * 9 - 1, 4 * 9 - 1), (7 * 9 - 1, rows * 9 - 1)]


def test_the_rows_of_a_traversal_are_ordered_by_kl_and_named(trained) -> None:
    context, member = ReportContext(trained), trained.members[3]
    kl = member.run.metric("rate").parts
    said = card_pictures(context, member, "it")[2].caption
    named = [(int(unicodedata.normalize("NFKC", d)), float(nats)) for d, nats in re.findall(r"z(.) \(([\d.]+)", said)]
    assert len(named) == 5
    assert [d for d, _ in named] == [1 + d for d in np.argsort(-np.array(kl), kind="stable")]
    assert [nats for _, nats in named] == [round(kl[d - 1], 2) for d, _ in named]


def test_codes_lie_at_their_posterior_means(trained) -> None:
    context, member = ReportContext(trained), trained.members[0]
    model, test = context.model(member), context.test(member)
    assert test.labels is not None
    chosen = np.arange(40)
    with seeded_model(model, 0):
        drawing, where = codes(model, test, chosen, "it")
        means = encode(model, test, chosen).numpy()
    assert where.startswith("z₁ (")
    assert "z₂" in where
    paths = re.findall(r'<path stroke="#\w{6}" d="([^"]+)"/>', drawing)
    values = np.unique(test.labels[chosen])
    assert len(paths) == len(values)
    middle = (means.min(0) + means.max(0)) / 2
    scale = 0.9 * SIDE / np.ptp(means, axis=0).max()
    for path, value in zip(paths, values, strict=True):
        own = SIDE / 2 + (means[test.labels[chosen] == value] - middle) * [scale, -scale]
        apart = np.abs(dots(path)[:, None] - own[None]).max(2)
        assert apart.min(0).max() <= 0.51
        assert apart.min(1).max() <= 0.51
    assert drawing.count("<ellipse") == 2
    assert re.findall(r"<text[^>]*>([^<]+)<", drawing) == [str(value) for value in values]


def test_names_of_labels_are_text_and_cut(trained) -> None:
    context, member = ReportContext(trained), trained.members[0]
    model, test = context.model(member), context.test(member)
    named = Dataset(test.name, "test", test.images, test.labels, test.protocol, class_names={0: "<b>", 1: 200 * "n"})
    with seeded_model(model, 0):
        drawing, _ = codes(model, named, np.arange(40), "it")
    texts = re.findall(r"<text[^>]*>([^<]+)<", drawing)
    assert "&lt;b&gt;" in texts
    assert max(map(len, texts)) < 15


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_codes_of_equal_images_without_labels_are_drawn(latent) -> None:
    model = build_model(blueprint_of(vl.Spec(data="digits", latent=latent, network="mlp:hidden=4")), (1, 8, 8))
    same = Dataset("same", "test", np.zeros((5, 1, 8, 8), np.uint8), None, "grey")
    with seeded_model(model, 0):
        drawing, where = codes(model, same, np.arange(5), "it")
    assert "nan" not in drawing
    assert drawing.count("h0") == (5 if latent == 1 else 1)
    assert "<text" not in drawing
    assert ("upwards" in where) == (latent > 1)


def test_many_large_pictures_stay_small() -> None:
    images = torch.rand(28, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    picture = compact(images, 7, "noise")
    small = opened(picture)
    side = -(-256 // -(-256 // LARGEST))
    gap = gap_between(torch.zeros(1, 1, side, side))
    assert small.size == (7 * (side + gap) - gap, 4 * (side + gap) - gap)
    assert len(picture) < 60_000  # noise, which nothing compresses


def test_a_picture_that_a_model_does_not_allow_is_left_out(tmp_path, trained) -> None:
    spec = vl.Spec(**{**vl.preset("vq-vae").fields, "data": "digits", "epochs": 0.2, "nll_samples": 2})
    run = vl.train(spec, out=tmp_path, name="vq", compile="never", callback=vl.SILENT)
    member = replace(trained.members[0], run=run, blueprint=run.blueprint)
    study = replace(trained, members=[member])
    pictures = card_pictures(ReportContext(study), member, "it")
    assert 1 <= len(pictures) < 4
    assert "reconstruction" in pictures[0].picture

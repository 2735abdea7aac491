"""Figures for a page: their width, fonts and resolution, and files whose texts are texts."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from tests.figures.dots import check_whole_dots
from vaelab.figures import FIGURES, FORMATS, curves, save
from vaelab.figures.style import DPI, PRINT, Page, one_look, typeset
from vaelab.system.errors import SpecError

COLUMN = Page(3.3, 300)
LOG = [
    {
        "epoch": float(epoch),
        "train": {"elbo": -90.0, "rate": 20.0, "distortion": 70.0},
        "validation": {"elbo": -90.0, "rate": 20.0, "distortion": 70.0, "loss": 90.0},
        "judged": True,
        "criterion": "-ELBO",
    }
    for epoch in range(3)
]


def drawn(name, make_model, make_data, shape=(1, 8, 8), page=COLUMN, latent=2):
    if name == "curves":
        figure = curves(LOG, title="A run: curves", page=page)
    else:
        data = make_data(shape, protocol="binary-dynamic" if shape[0] == 1 else "8bit")
        figure = FIGURES[name](make_model(shape, latent), data, title="A run", page=page)
    typeset(figure, page)
    return figure


@pytest.mark.thorough(0.3)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", [*FIGURES, "curves"])
def test_a_figure_of_a_column_has_its_width_and_fonts(name, shape, make_model, make_data, tmp_path):
    with one_look():
        figure = drawn(name, make_model, make_data, shape)
        save(figure, tmp_path / "figure.png")
        assert figure.get_size_inches()[0] == pytest.approx(3.3)
        plots = [label for ax in figure.axes if not ax.images for label in ax.get_xticklabels() + ax.get_yticklabels()]
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert {text.get_fontsize() for text in texts} == {PRINT}
        for text in (text for text in texts if text not in plots):  # nothing is cut off at the edges
            box = text.get_window_extent()
            assert box.x0 >= -1, text.get_text()
            assert box.x1 <= figure.bbox.width + 1, text.get_text()
    assert 300 <= figure.dpi < 600
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size[0] / image.info["dpi"][0] == pytest.approx(3.3, abs=0.01)
    check_whole_dots(figure)


def test_a_larger_resolution_keeps_the_layout_of_a_screen(make_model, make_data):
    plain, fine = (drawn("samples", make_model, make_data, page=Page(None, dpi)) for dpi in (DPI, 300))
    assert tuple(fine.get_size_inches()) == tuple(plain.get_size_inches())
    assert (plain.dpi, fine.dpi) == (150, 300)


def test_a_page_without_room_for_the_images_is_refused(make_model, make_data):
    with pytest.raises(SpecError, match="1 inches wide"):
        drawn("traversal", make_model, make_data, page=Page(1.0))


def test_panels_of_a_narrow_page_are_below_each_other():
    tops = [ax.get_subplotspec().rowspan.start for ax in curves(LOG, page=COLUMN).axes]
    assert tops == [0, 1, 2]
    assert [ax.get_subplotspec().rowspan.start for ax in curves(LOG, page=Page(7.0)).axes] == [0, 0, 0]
    assert curves(LOG, page=COLUMN).get_size_inches()[1] < 6


def test_a_figure_of_another_library_gets_the_width_and_the_fonts():
    figure = Figure(figsize=(6.6, 4))
    figure.subplots().set_xlabel("x")
    typeset(figure, COLUMN)
    assert tuple(figure.get_size_inches()) == pytest.approx((3.3, 2.0))
    assert {text.get_fontsize() for text in figure.findobj(Text)} == {PRINT}


@pytest.mark.parametrize("name", ["latents", "manifold", "curves"])
def test_an_svg_has_texts_and_says_what_is_seen(name, make_model, make_data, tmp_path):
    with one_look():
        figure = drawn(name, make_model, make_data)
    save(figure, tmp_path / "figure.svg")
    first = (tmp_path / "figure.svg").read_bytes()
    root = ElementTree.fromstring(first)
    svg = "{http://www.w3.org/2000/svg}"
    texts = {"".join(element.itertext()) for element in root.iter(f"{svg}text")}
    assert {"latents": "label", "manifold": "z₁", "curves": "epoch"}[name] in texts
    assert root.find(f"{svg}title").text == figure.get_label()
    assert float(re.match(r"[\d.]+", root.get("width"))[0]) == pytest.approx(3.3 * 72, abs=0.1)
    with one_look():
        save(drawn(name, make_model, make_data), tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_bytes() == first
    assert b"matplotlib" not in first.replace(b"matplotlib.org", b"").split(b"<defs>")[0]


def test_a_pdf_embeds_a_font_and_no_date(make_model, make_data, tmp_path):
    with one_look():
        figure = drawn("latents", make_model, make_data)
    save(figure, tmp_path / "figure.pdf")
    first = (tmp_path / "figure.pdf").read_bytes()
    assert first.startswith(b"%PDF")
    assert b"/FontFile2" in first
    assert b"/Type3" not in first
    assert b"CreationDate" not in first
    with one_look():
        save(drawn("latents", make_model, make_data), tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes() == first


@pytest.mark.parametrize("name", [*FIGURES, "curves"])
def test_every_figure_says_what_is_seen(name, make_model, make_data, tmp_path):
    figure = drawn(name, make_model, make_data, page=Page())
    assert re.fullmatch(r"[A-Z0-9].{30,}\.", figure.get_label())
    save(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.info["Description"] == figure.get_label()


def test_the_formats_are_those_of_the_command():
    from typing import get_args

    from vaelab.runs.figure import Format

    assert set(get_args(Format)) == set(FORMATS)

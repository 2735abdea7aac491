"""The page in a real browser, from a file, without a network."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab as vl
from vaelab.cli.main import main
from vaelab.data.protocol import protocol
from vaelab.explorer.functions import function_of
from vaelab.explorer.page import in_script
from vaelab.runs.directory import Run
from vaelab.system.errors import RunError, SpecError

HOSTILE = "<script>window.hurt=1</script>\"'&amp;"
GREY = """name => {
  const canvas = document.querySelector(`[data-testid=${name}]`);
  const {data, width, height} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = [];
  for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) {
    found.push(data[4 * (Math.floor((y + 0.5) * height / 8) * width + Math.floor((x + 0.5) * width / 8))]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return vl.train(
        data="digits", latent=2, epochs=2, network="mlp:hidden=40", out=tmp_path_factory.mktemp("runs"), name="digits",
        compile="never", callback=vl.SILENT,
    )  # fmt: skip


def opened(tab, path: Path, state: str = "", **viewport: int):
    if viewport:
        tab.set_viewport_size(viewport)
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(path.as_uri() + state)
    tab.locator("html[data-ready='1']").wait_for(state="attached")
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert tab.problems == []
    return tab


@pytest.fixture
def page(tab, trained, tmp_path):
    path = vl.explore([trained], tmp_path / "page.html")
    return lambda state="", **viewport: opened(tab, path, state, **viewport)


def test_the_image_is_the_mean_of_the_decoder(page, trained):
    tab = page("#z=0.5,-1.25")
    wanted = 255 * trained.decode(np.array([[0.5, -1.25]])).reshape(-1)
    tab.wait_for_timeout(300)
    assert np.abs(np.array(tab.evaluate(GREY, "live")) - wanted).max() <= 1.5
    assert tab.get_by_test_id("where").inner_text() == "z₁ = 0.50, z₂ = −1.25"


def test_rate_and_distortion_of_a_test_image_are_those_of_the_model(page, trained):
    tab = page()
    tab.get_by_test_id("point-next").click()
    tab.wait_for_timeout(300)
    said = tab.get_by_test_id("point-facts").inner_text()
    index = int(re.search(r"(\d+) of", said)[1]) - 1
    model, kept = trained.model(), trained.data().test
    image = kept.take(kept.by_content[index : index + 1])
    bound = function_of(model, "bound")
    x = protocol("binary-threshold").pixels(torch.from_numpy((np.asarray(image.images) >= 128) * np.uint8(255)))
    with torch.no_grad():
        wanted = bound.module(x, *(torch.zeros(draw.shape) for draw in bound.draws))
    for name in ("rate", "distortion"):
        shown = float(re.search(rf"{name}\s+([\d.]+) nats", said)[1])
        assert abs(shown - wanted[name].item()) < 0.06, said  # shown with one decimal


def test_the_map_is_reached_by_the_keyboard_and_the_address_keeps_the_place(page):
    tab = page("#z=0,0")
    tab.get_by_test_id("map").focus()
    before = tab.get_by_test_id("where").inner_text()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    tab.keyboard.press("a")
    tab.wait_for_timeout(900)
    place = tab.get_by_test_id("where").inner_text()
    assert place != before
    assert tab.get_by_test_id("spoken").inner_text().startswith(place.split(",")[0])
    kept = tab.evaluate("location.hash")
    assert "a=" in kept
    tab.reload()
    tab.locator("html[data-ready='1']").wait_for(state="attached")
    assert tab.get_by_test_id("where").inner_text() == place


def test_a_pin_is_dragged_and_the_place_stays(page):
    def place(name: str) -> list[float]:
        tab.wait_for_timeout(400)
        return [float(each) for each in re.findall(rf"\b{name}=([^&]*)", tab.evaluate("location.hash"))[0].split(",")]

    tab = page()
    shown = tab.get_by_test_id("map")
    box = shown.bounding_box()
    shown.click(position={"x": 0.3 * box["width"], "y": 0.6 * box["height"]})
    shown.press("a")
    shown.press("Home")
    z, a = place("z"), place("a")
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    tab.mouse.up()
    assert place("z") == z
    assert place("a")[0] > a[0] + 0.5


def test_a_phone_needs_no_sideways_scroll(page):
    tab = page(width=420, height=800)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 420


@pytest.mark.thorough(0.25)
@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken", b"GIF89a"])
def test_a_file_that_is_no_image_is_refused_in_one_line(page, tmp_path, content):
    tab = page()
    (tmp_path / "own.png").write_bytes(content)
    tab.get_by_test_id("own-file").set_input_files(tmp_path / "own.png")
    tab.locator("[data-testid=own-error]:not(:empty)").wait_for()
    assert len(tab.get_by_test_id("own-error").inner_text().splitlines()) == 1


@pytest.mark.thorough(0.25)
@pytest.mark.parametrize("kind", ["grey", "transparent", "large", "animated"])
def test_an_image_of_ones_own_is_scored(page, tmp_path, kind):
    from PIL import Image

    tab, path = page(), tmp_path / ("own.gif" if kind == "animated" else "own.png")
    picture = Image.new(
        {"grey": "L", "transparent": "RGBA"}.get(kind, "RGB"), (4000, 5000) if kind == "large" else (9, 30)
    )
    picture.putpixel((4, 7), 200 if kind == "grey" else (200, 10, 10, 128)[: len(picture.getbands())])
    more = {"save_all": True, "append_images": [picture.rotate(90)]} if kind == "animated" else {}
    picture.save(path, **more)
    tab.get_by_test_id("own-file").set_input_files(path)
    tab.get_by_test_id("own-facts").filter(has_text="nats").wait_for()
    assert tab.get_by_test_id("own-verdict").inner_text()
    assert tab.problems == []


def test_hostile_names_are_text(tab, trained, tmp_path):
    place = tmp_path / HOSTILE.replace("/", "-")
    shutil.copytree(trained.path, place)
    tab = opened(tab, vl.explore([place], tmp_path / "page.html"))
    assert tab.get_by_test_id("title").inner_text() == place.name
    assert tab.evaluate("window.hurt") is None


def test_json_cannot_end_its_element():
    text = in_script({"name": "</script><script>alert(1)</script>"})
    assert "<" not in text
    assert json.loads(text)["name"] == "</script><script>alert(1)</script>"


def test_an_error_of_the_model_is_a_sentence_and_the_page_goes_on(tab, trained, tmp_path):
    whole = vl.explore([trained], tmp_path / "page.html").read_bytes()
    assert b'["expm1",' in whole
    (tmp_path / "page.html").write_bytes(whole.replace(b'["expm1",', b'["unknown",'))  # a step of `bound` only
    tab = opened(tab, tmp_path / "page.html", "#z=0,0")
    tab.locator("#failure").filter(has_text="The model could not compute this").wait_for()
    before = tab.evaluate(GREY, "live")
    tab.get_by_test_id("map").focus()
    for _ in range(9):
        tab.keyboard.press("Shift+ArrowRight")
    tab.wait_for_timeout(500)
    assert tab.evaluate(GREY, "live") != before
    assert tab.locator("#failure").is_visible()
    assert tab.problems == []


def test_models_stand_side_by_side(tab, trained, tmp_path):
    tab = opened(tab, vl.explore([trained, trained], tmp_path / "page.html"))
    tab.wait_for_timeout(300)
    assert tab.get_by_test_id("side-image").count() == 2


def test_the_page_does_not_name_folders_of_this_machine(trained, tmp_path):
    assert str(trained.path.parent) not in vl.explore([trained], tmp_path / "page.html").read_text("utf-8")


def test_a_run_is_enough_by_itself(trained, tmp_path, monkeypatch):
    place = tmp_path / "elsewhere"
    shutil.copytree(trained.path, place)
    lines = []

    def gone(*_):
        raise RunError(found="no data", expected="data", do="look")

    monkeypatch.setattr(Run, "data", gone)
    vl.explore([place], say=lines.append)
    assert "the run keeps" in lines[0]
    assert (place / "explorer.html").is_file()


class TestRefused:
    def test_too_many_runs(self, trained):
        with pytest.raises(SpecError, match="5 runs"):
            vl.explore([trained] * 5)

    def test_an_unfinished_run(self, trained, tmp_path):
        place = tmp_path / "run"
        shutil.copytree(trained.path, place)
        (place / "result.json").unlink()
        with pytest.raises(RunError, match="finished run"):
            vl.explore([place])
        assert not (place / "explorer.html").exists()

    def test_a_file_that_vaelab_did_not_write(self, trained, tmp_path):
        (tmp_path / "mine.html").write_text("mine")
        with pytest.raises(RunError, match="did not write"):
            vl.explore([trained], tmp_path / "mine.html")
        assert (tmp_path / "mine.html").read_text() == "mine"

    def test_a_folder_in_the_place_of_the_page(self, trained, tmp_path):
        with pytest.raises(RunError, match="is a folder"):
            vl.explore([trained], tmp_path)

    def test_the_command_says_it_in_one_line(self, capsys, tmp_path):
        assert main(["explore", str(tmp_path / "none")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_command_writes_the_page_and_names_it(trained, tmp_path, capsys):
    assert main(["explore", str(trained.path), "--save", str(tmp_path / "page.html")]) == 0
    assert re.fullmatch(r".*page\.html  [\d,]+ bytes\n", capsys.readouterr().out)

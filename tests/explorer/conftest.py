"""Programs of models, run in a real browser."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vaelab.explorer.contents import as_json
from vaelab.explorer.functions import Function
from vaelab.explorer.lower import lowered
from vaelab.explorer.pack import Pack
from vaelab.explorer.page import in_script

Numbers = dict[str, np.ndarray]
RUN = """async ({inputs, noise, wanted}) => {
  const {Programs, constants, inflated} = vaelab;
  const {program, arrays} = JSON.parse(document.getElementById("test").textContent);
  const bytes = new Uint8Array(await inflated(document.getElementById("packed").textContent));
  const runner = new Programs({it: program}, constants(arrays, bytes)).get("it");
  const found = runner.run(inputs, noise, wanted);
  return Object.fromEntries(Object.entries(found).map(([name, of]) => [name, Array.from(of, String)]));
}"""


@pytest.fixture
def run_in_page(tab: Any, tmp_path: Path) -> Callable[..., Numbers]:
    """A function that runs a Function of a model in the page, from a file."""

    def call(
        function: Function, inputs: Mapping[str, Tensor], noise: list[Tensor], wanted: list[str], rounded: Any = ()
    ) -> Numbers:
        pack = Pack()
        pack.know(rounded)
        program = as_json(lowered(function), pack)
        page = f"""<!doctype html><meta charset="utf-8">
            <script type="application/json" id="test">{in_script({"program": program, "arrays": pack.entries})}</script>
            <script type="text/plain" id="packed">{pack.packed()[0]}</script>
            <script>{(files("vaelab.explorer") / "page.js").read_text("utf-8")}</script>"""
        (tmp_path / "page.html").write_text(page, "utf-8")
        tab.goto((tmp_path / "page.html").as_uri())
        given = {"inputs": _listed(inputs), "noise": [_list(each) for each in noise], "wanted": wanted}
        found = tab.evaluate(RUN, json.loads(json.dumps(given)))
        assert not tab.problems
        return {name: np.array([float(text.replace("Infinity", "inf")) for text in found[name]]) for name in wanted}

    return call


def _listed(tensors: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {name: _list(tensor) for name, tensor in tensors.items()}


def _list(tensor: Tensor) -> list[float]:
    return tensor.to(torch.float64).flatten().tolist()

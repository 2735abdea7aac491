"""Images of thirteen channels: trained on, evaluated and drawn, and found again from another folder."""

import numpy as np
import pytest
from PIL import Image

import vaelab as vl
from vaelab.cli.main import main
from vaelab.runs.directory import Run
from vaelab.runs.spec import Spec
from vaelab.runs.train import train
from vaelab.training.callback import SILENT


@pytest.mark.parametrize(
    ("channels", "network", "options"),
    [(13, "conv:channels=4", "axes=NHWC"), (2, "mlp:hidden=4", "images=bands")],
)
def test_a_run(tmp_path, monkeypatch, capsys, channels, network, options):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, channels), np.uint8)
    np.savez("bands.npz", **{"bands" if channels == 2 else "images": images})  # pyright: ignore[reportArgumentType]
    spec = Spec(data=f"npz:bands.npz:{options}", latent=2, network=network, epochs=1, batch=16, nll_samples=2)
    run = train(spec, tmp_path / "runs", "run", compile="never", callback=SILENT)
    assert run.result["data"]["test"]["shape"] == [channels, 8, 8]
    assert run.result["read"]["from"] == str(tmp_path / "bands.npz")
    for name in ("samples", "reconstructions"):
        (path,) = vl.figure(run, name)
        with Image.open(path) as drawn:
            colours = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
        assert (colours == colours[:, :1]).all() == (channels == 2)  # grey
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Run(run.path).data().test.sha256 == run.result["data"]["test"]["sha256"]
    assert main(["evaluate", str(run.path), "--metrics", "reconstruction"]) == 0
    assert "traceback" not in capsys.readouterr().err.lower()

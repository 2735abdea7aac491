"""The claims of importance weighted autoencoders, on a study of small runs."""

import pytest

from vaelab.reports.claims import check_claims
from vaelab.reports.context import ReportContext
from vaelab.studies.run import Options, carry_out
from vaelab.studies.study import open_study
from vaelab.training.callback import Callback

BOUNDS = """
title = "VAE and IWAE"
about = "A study for the tests."
claims = ["importance-weighting"]
metrics = ["likelihood:samples=12:images=60"]

[base]
data = "digits"
epochs = 0.3
nll_samples = 2
latent = 2
network = "mlp:hidden=8"

[[group]]
name = "vae-1"
title = "VAE"
grid = { seed = [0, 1] }

[[group]]
name = "iwae"
title = "IWAE"
spec = { objective = "iwae:samples=3" }
grid = { seed = [0, 1] }
"""


def test_bounds_of_several_seeds_are_compared_seed_by_seed(tmp_path) -> None:
    (tmp_path / "bounds.toml").write_text(BOUNDS)
    study = open_study(str(tmp_path / "bounds.toml"), tmp_path)
    carry_out(study, Options(), Callback(lambda line: None, lambda status: None))
    order, bounds = check_claims(ReportContext(study))["importance-weighting"]
    ((more, fewer, *_, gain),) = order.evidence[0].rows
    assert (more, fewer) == ("IWAE", "VAE")
    nll = [[run.run.find("nll", 12).value for run in study.members if run.group == g] for g in ("vae-1", "iwae")]
    found = float(gain.split("\N{NO-BREAK SPACE}")[0].replace("\N{MINUS SIGN}", "-"))
    assert found == pytest.approx(sum(nll[0]) / 2 - sum(nll[1]) / 2, abs=0.1)
    assert "2 seeds" in order.basis
    assert len({row[0] for row in bounds.evidence[0].rows}) == 4  # each run by a name of its own

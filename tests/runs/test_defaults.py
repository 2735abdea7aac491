"""The defaults of every part and metric: they are in the names of runs, and runs of other ones are other runs."""

import importlib
import re

from vaelab.evaluation.measures import METRICS
from vaelab.parts.names import canonical
from vaelab.runs.blueprint import TABLES

DEFAULTS = """
model vae
model ladder:groups=1:above=
prior standard
prior normal
prior mixture:components=10
prior vamp:components=100
prior flow:transforms=3:hidden=64
prior sphere
prior codes
prior transformer:width=64:layers=2
posterior diagonal
posterior full
posterior flow:transforms=2:hidden=64:context=16
posterior von-mises-fisher
posterior codes:size=512:levels=1:halvings=2:decay=0.99:restart=0.1
likelihood bernoulli
likelihood continuous-bernoulli
likelihood gaussian:sigma=shared:mean=sigmoid
likelihood laplace:scale=shared
likelihood student-t:df=3.0:scale=shared
likelihood beta:concentration=shared
likelihood discretised-gaussian:sigma=shared
likelihood logistic:components=1:scale=shared:channels=independent
likelihood categorical
network mlp:hidden=500:activation=gelu
network conv:channels=32,64,128:hidden=:activation=elu
network article-conv:maps=16:hidden=500:activation=elu
network residual:channels=32,64,128:blocks=1:groups=8:hidden=:activation=elu
objective elbo:samples=1:kl=exact
objective beta:beta=4.0:warmup=0:cycle=0:free_nats=0.0:samples=1
objective capacity:gamma=30.0:capacity=25.0:steps=10000
objective iwae:samples=5:gradient=plain
objective miwae:samples=5:bounds=5
objective ciwae:samples=5:beta=0.05
objective piwae:samples=5:bounds=5
objective beta-tc:alpha=1.0:beta=6.0:gamma=1.0
objective factor:gamma=6.0:hidden=1000,1000,1000,1000,1000
objective dip:kind=1:off_diagonal=10.0:diagonal=100.0
objective mmd:alpha=0.0:weight=1000.0:kernel=imq
objective wake-sleep
objective mcem:moves=1:leapfrog=10
objective commitment:weight=0.25
schedule constant
schedule cosine:warmup=0.0:final=0.01
schedule step:at=0.5,0.75:factor=0.1
metric ais:temperatures=500:chains=8:leapfrog=10:images=50:start=prior:simulated=50:samples=5000
metric disentanglement:bins=20:images=10000
metric fidelity:features=classifier:images=0:neighbours=5:draw=mean
metric latents:images=10000:samples=1
metric likelihood:samples=100:at_most=10000:images=0:memory_mb=0.0:precision=float32
metric reconstruction:samples=16
metric representation:neighbours=5:images=10000
"""


def test_defaults_are_what_they_were():
    found = [
        f"{kind} {canonical(kind, table, name)}"
        for kind, table in {**TABLES, "metric": METRICS}.items()
        for name in table
    ]
    assert found == DEFAULTS.strip().splitlines()


# What no option sets, and numbers or warnings depend on: results of before are comparable only while these are the same
SETTINGS = """
evaluation.ais.hamiltonian: TARGET = 0.65, GAIN = 1.0, JITTER = 0.2
evaluation.fidelity.neighbours: TIES = 1e-09, EQUAL = 1e-12
evaluation.disentanglement.scores: GROUP = 64, TREES = 50
evaluation.disentanglement.disentanglement: FEWEST = 500, RESAMPLES = 30, FITS = 5, VOTES = 800, STREAM = 3349
reports.digits: DIGITS = 10, NEIGHBOURS = 5, CONFIDENT = 0.8, FITTED_ON = 10000, JUDGED_ON = 2000
evaluation.latents.latents: ACTIVE_VARIANCE = 0.01, SURE = 4.0, SATURATED = 0.5
evaluation.likelihood.allotment: FEWEST = 100, TIMES = 10, ENOUGH = 5.0
evaluation.likelihood.likelihood: IMAGES = 100, FEW = 2.0, MANY = 0.01, AT_MOST = 10000
evaluation.representation: PENALTIES = (0.01, 1.0), HELD_OUT = 5, STEPS = 1000, STARTS = 10, RESAMPLES = 200
reports.colours: COLOURFUL = 0.05, FEWEST = 5
evaluation.fidelity.fidelity: IMAGES = 100, STREAM = 7
evaluation.fidelity.features: WEAK = 0.9
evaluation.ais.chains: BANDS = 100, WARM_UP = 20
training.diagnosis.health: DEAD_KL = 0.01, DEAD_RATE = 0.1, DEAD_INFORMATION = 0.1, OFF_PRIOR = 0.5
training.diagnosis.health: STUCK = 0.2, NEAR_LIMIT = 0.05
evaluation.ais.annealed: ACCEPTANCE = (0.4, 0.9), FEWEST_EFFECTIVE = 2.0
evaluation.posterior_means: GROUP = 500, REPEATS = 4
evaluation.likelihood.importance_weights: TEN = 10
evaluation.fidelity.classifier: FEATURES = 64, FEWEST = 100, HELD_OUT = 2000, FITTED_ON = 20000
evaluation.fidelity.classifier: STEPS = 1000, BATCH = 128, RATE = 0.004
evaluation.reconstruction: IMAGES = 100, WINDOW = 11, SIGMA = 1.5, K1 = 0.01, K2 = 0.03
evaluation.likelihood.chunk: TEN = 10
objectives.wake_sleep: FIRST_STEP = 0.1, ACCEPTANCE = 0.9, GAIN = 0.5, JITTER = 0.2
objectives.effective_beta: CLOSE = 0.0001
objectives.mmd: SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
distributions.mean: DRAWS = 256
distributions.flow: NEAR_IDENTITY = 0.01
distributions.sphere: NEGLECTED = 40.0, PANELS = 64, NODES = 4, NEWTON = 3
distributions.transformer: HEADS = 4, SMALL = 0.02, PRIOR_COUNT = 0.5
distributions.discretised_normal: THIN = 0.1
distributions.continuous_bernoulli: NEAR = 0.1
distributions.beta: LARGE = 8.0
"""


def test_the_settings_behind_the_numbers_are_those_that_results_were_made_with():
    for line in SETTINGS.strip().splitlines():
        name, _, values = line.partition(": ")
        module = importlib.import_module(f"vaelab.{name}")
        found = [f"{known} = {getattr(module, known)}" for known in re.findall(r"([A-Z_0-9]+) =", values)]
        assert ", ".join(found) == values, name

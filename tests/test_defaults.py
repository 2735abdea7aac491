"""The defaults of every part and metric: they are in the names of runs, and runs of other ones are other runs."""

from vaelab.assemble import TABLES
from vaelab.evaluation.measures import METRICS
from vaelab.parts import canonical

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

"""Presets: models of the literature, each by the name that the literature gives it."""

from dataclasses import dataclass, field

from vaelab.runs.spec import Spec
from vaelab.system.errors import unknown


@dataclass(frozen=True)
class Preset:
    """The model of a paper as fields of a Spec; the other fields keep the defaults of the Spec.

    Arguments:
        title: its name.
        source: authors, year, and the place in the paper.
        fields: the fields of the Spec.
        note: how it differs from the paper, or what else it needs.
    """

    title: str
    source: str
    fields: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def spec(self) -> Spec:
        return Spec.model_validate(self.fields)


PRESETS = {
    "vae": Preset("Variational autoencoder", "Kingma & Welling 2014"),
    "beta-vae": Preset("beta-VAE", "Higgins et al. 2017", {"objective": "beta:beta=4"}),
    "annealed-vae": Preset(
        "Annealed (capacity) VAE",
        "Burgess et al. 2018, equation 8",
        {"objective": "capacity"},
        "pythae calls it DisentangledBetaVAE; the rate is a mean over the batch",
    ),
    "warm-up-vae": Preset(
        "VAE with KL annealing", "Bowman et al. 2016, section 3.1", {"objective": "beta:beta=1:warmup=10000"}
    ),
    "cyclical-vae": Preset(
        "VAE with cyclical annealing", "Fu et al. 2019", {"objective": "beta:beta=1:warmup=2500:cycle=5000"}
    ),
    "free-bits-vae": Preset(
        "VAE with free bits", "Kingma et al. 2016, equation 15", {"objective": "beta:beta=1:free_nats=0.125"}
    ),
    "iwae": Preset("Importance-weighted autoencoder", "Burda et al. 2016", {"objective": "iwae:samples=5"}),
    "miwae": Preset("Multiply IWAE", "Rainforth et al. 2018", {"objective": "miwae:samples=5:bounds=5"}),
    "ciwae": Preset("Combination IWAE", "Rainforth et al. 2018", {"objective": "ciwae:samples=5:beta=0.05"}),
    "piwae": Preset("Partially IWAE", "Rainforth et al. 2018", {"objective": "piwae:samples=5:bounds=5"}),
    "dreg": Preset(
        "IWAE, doubly reparameterised", "Tucker et al. 2019", {"objective": "iwae:samples=5:gradient=dreg"}
    ),
    "stl": Preset("VAE, sticking the landing", "Roeder et al. 2017", {"objective": "elbo:kl=path"}),
    "beta-tc-vae": Preset("beta-TC-VAE", "Chen et al. 2018", {"objective": "beta-tc:beta=6"}),
    "factor-vae": Preset(
        "FactorVAE",
        "Kim & Mnih 2018",
        {"objective": "factor:gamma=6"},
        "the critic takes the model's optimiser and learning rate",
    ),
    "dip-vae": Preset("DIP-VAE I", "Kumar et al. 2018, equation 6", {"objective": "dip:kind=1"}),
    "dip-vae-2": Preset("DIP-VAE II", "Kumar et al. 2018, equation 7", {"objective": "dip:kind=2"}),
    "info-vae": Preset("InfoVAE (MMD)", "Zhao et al. 2017, equation 6", {"objective": "mmd:alpha=0.5:weight=1000"}),
    "wae-mmd": Preset(
        "Wasserstein autoencoder (MMD)",
        "Tolstikhin et al. 2018, algorithm 2",
        {"objective": "mmd:alpha=1:weight=1000", "likelihood": "gaussian:sigma=1", "protocol": "grey"},
        "the cost is half the squared error, that of a Gaussian; q(z|x) has a variance, as the paper allows",
    ),
    "vamp-vae": Preset("VAE with VampPrior", "Tomczak & Welling 2018", {"prior": "vamp"}),
    "mixture-vae": Preset(
        "VAE with a mixture of Gaussians as prior", "Tomczak & Welling 2018, section 3", {"prior": "mixture"}
    ),
    "flow-prior-vae": Preset(
        "VAE with a flow as prior", "Chen et al. 2017, section 3.2", {"prior": "flow"}, "autoregressive, masked"
    ),
    "iaf-vae": Preset("VAE with inverse autoregressive flow", "Kingma et al. 2016", {"posterior": "flow"}),
    "full-vae": Preset(
        "VAE with full covariance", "Kingma & Welling 2019, section 2.5.1", {"posterior": "full"}
    ),
    "s-vae": Preset(
        "Hyperspherical VAE", "Davidson et al. 2018", {"posterior": "von-mises-fisher", "prior": "sphere"}
    ),
    "ladder-vae": Preset(
        "Ladder VAE",
        "Sønderby et al. 2016, section 3",
        {
            "model": "ladder:above=32,16,8,4", "network": "mlp:hidden=512,256,128,64,64:activation=elu",
            "latent": "64", "objective": "beta:beta=1:warmup=10000",
        },
        "residual blocks instead of batch normalisation; the posterior of a group is its own normal",
    ),
    "sigma-vae": Preset(
        "sigma-VAE", "Rybkin et al. 2021", {"likelihood": "gaussian:sigma=shared", "protocol": "8bit"}
    ),
    "optimal-sigma-vae": Preset(
        "optimal sigma-VAE",
        "Rybkin et al. 2021, equation 6",
        {"likelihood": "gaussian:sigma=optimal", "protocol": "8bit"},
    ),
    "cvae": Preset(
        "Conditional VAE",
        "Sohn et al. 2015; Kingma et al. 2014, equation 2",
        {"condition": "labels"},
        "given labels y: p(x|z, y), q(z|x, y) and the bounds of log p(x|y); z has the prior p(z), whatever y is",
    ),
    "vq-vae": Preset(
        "Vector-quantised VAE",
        "van den Oord et al. 2017",
        {
            "posterior": "codes:size=512",
            "prior": "codes",
            "objective": "commitment",
            "network": "conv:channels=32,64",
            "latent": "16",
            "refit": "transformer",
            "nll_samples": "1",
        },
        "codes learn by moving averages, unused ones restart; the prior, a small transformer, is fitted after training",
    ),
    "rq-vae": Preset(
        "Residual-quantised VAE",
        "Lee et al. 2022",
        {
            "posterior": "codes:size=256:levels=4:halvings=3",
            "prior": "codes",
            "objective": "commitment",
            "network": "conv:channels=32,64,128",
            "latent": "16",
            "refit": "transformer",
            "nll_samples": "1",
        },
        "a codebook for each level, as Zeghidour et al. 2021 have it",
    ),
    "wake-sleep": Preset("Wake-sleep", "Hinton et al. 1995", {"objective": "wake-sleep"}),
    "mcem": Preset(
        "Monte Carlo EM",
        "Kingma & Welling 2014, appendix E",
        {"objective": "mcem"},
        "chains begin at q(z|x), which learns from where they end",
    ),
}  # fmt: skip


def preset(name: str) -> Preset:
    """Return the preset `name`; the SpecError for an unknown name lists all presets."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]

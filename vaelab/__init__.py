"""vaelab: train, evaluate, look at and compare variational autoencoders.

The public names are imported when they are first asked for, so that `import vaelab` costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "AutoregressiveFlow": "vaelab.priors",
    "Bernoulli": "vaelab.likelihoods",
    "Beta": "vaelab.likelihoods",
    "Categorical": "vaelab.likelihoods",
    "Conditional": "vaelab.models",
    "ContinuousBernoulli": "vaelab.likelihoods",
    "Dataset": "vaelab.data",
    "DiagonalGaussian": "vaelab.posteriors",
    "DiscretisedGaussian": "vaelab.likelihoods",
    "DiscretisedLogistic": "vaelab.likelihoods",
    "Draw": "vaelab.models",
    "Elbo": "vaelab.objectives.weighted",
    "FullGaussian": "vaelab.posteriors",
    "Gaussian": "vaelab.likelihoods",
    "GaussianMixture": "vaelab.priors",
    "InverseAutoregressiveFlow": "vaelab.posteriors",
    "Iwae": "vaelab.objectives.importance",
    "Laplace": "vaelab.likelihoods",
    "LearnedNormal": "vaelab.priors",
    "Metric": "vaelab.evaluation.measure",
    "Run": "vaelab.runs.directory",
    "SILENT": "vaelab.training.callback",
    "Spec": "vaelab.runs.spec",
    "Splits": "vaelab.data",
    "StandardNormal": "vaelab.priors",
    "StudentT": "vaelab.likelihoods",
    "Subject": "vaelab.evaluation.measure",
    "UniformOnSphere": "vaelab.priors",
    "VAE": "vaelab.models",
    "VaelabError": "vaelab.system.errors",
    "VampPrior": "vaelab.priors",
    "VonMisesFisherPosterior": "vaelab.posteriors",
    "Watch": "vaelab.training.callback",
    "elbo": "vaelab.objectives.bounds",
    "evaluate": "vaelab.evaluation.likelihood.likelihood",
    "figure": "vaelab.runs.figure",
    "fit": "vaelab.training.loop",
    "iwae": "vaelab.objectives.bounds",
    "ladder": "vaelab.models",
    "load": "vaelab.data",
    "measure": "vaelab.runs.run",
    "preset": "vaelab.runs.presets",
    "rankings": "vaelab.runs.compare",
    "train": "vaelab.runs.run",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vaelab' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

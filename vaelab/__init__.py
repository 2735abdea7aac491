"""vaelab: train, evaluate, look at and compare variational autoencoders.

The public names are imported when they are first asked for, so that `import vaelab` costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "AutoregressiveFlow": "vaelab.priors",
    "Bernoulli": "vaelab.likelihoods",
    "Beta": "vaelab.likelihoods",
    "Callback": "vaelab.training.callback",
    "Categorical": "vaelab.likelihoods",
    "Conditional": "vaelab.models",
    "ContinuousBernoulli": "vaelab.likelihoods",
    "Dataset": "vaelab.data",
    "DiagonalGaussian": "vaelab.posteriors",
    "DiscretisedGaussian": "vaelab.likelihoods",
    "DiscretisedLogistic": "vaelab.likelihoods",
    "Draw": "vaelab.models",
    "Elbo": "vaelab.objectives.weighted",
    "EvaluationContext": "vaelab.evaluation.measure",
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
    "Study": "vaelab.studies.study",
    "UniformOnSphere": "vaelab.priors",
    "VAE": "vaelab.models",
    "VaelabError": "vaelab.system.errors",
    "VampPrior": "vaelab.priors",
    "VonMisesFisherPosterior": "vaelab.posteriors",
    "compare": "vaelab.runs.compare",
    "draw": "vaelab.runs.figure",
    "elbo": "vaelab.objectives.bounds",
    "estimate_bounds": "vaelab.evaluation.likelihood.likelihood",
    "evaluate": "vaelab.runs.evaluate",
    "explore": "vaelab.explorer.page",
    "export": "vaelab.runs.export",
    "figure": "vaelab.runs.figure",
    "fit": "vaelab.training.loop",
    "iwae": "vaelab.objectives.bounds",
    "joined": "vaelab.system.world",
    "ladder": "vaelab.models",
    "load": "vaelab.runs.directory",
    "load_data": "vaelab.data",
    "preset": "vaelab.runs.presets",
    "report": "vaelab.reports.write",
    "resume": "vaelab.runs.resume",
    "study": "vaelab.studies.run",
    "train": "vaelab.runs.train",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vaelab' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""Priors p(z), the distributions of the latent variables.

A prior is a module without arguments: () -> Distribution.
"""

from collections.abc import Callable

from vaelab.parts.contracts import Prior
from vaelab.priors.codes import TransformerOnCodes, UniformOnCodes
from vaelab.priors.flow import AutoregressiveFlow
from vaelab.priors.gaussian import LearnedNormal, StandardNormal
from vaelab.priors.mixture import GaussianMixture, VampPrior
from vaelab.priors.sphere import UniformOnSphere

PRIORS: dict[str, Callable[..., Prior]] = {
    "standard": StandardNormal,
    "normal": LearnedNormal,
    "mixture": GaussianMixture,
    "vamp": VampPrior,
    "flow": AutoregressiveFlow,
    "sphere": UniformOnSphere,
    "codes": UniformOnCodes,
    "transformer": TransformerOnCodes,
}

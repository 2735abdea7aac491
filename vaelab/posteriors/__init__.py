"""Posterior heads: they turn an encoder's output into a distribution q(z|x)."""

from vaelab.posteriors.codes import VectorQuantised
from vaelab.posteriors.flow import InverseAutoregressiveFlow
from vaelab.posteriors.gaussian import DiagonalGaussian, FullGaussian
from vaelab.posteriors.sphere import VonMisesFisherPosterior

POSTERIORS = {
    "diagonal": DiagonalGaussian,
    "full": FullGaussian,
    "flow": InverseAutoregressiveFlow,
    "von-mises-fisher": VonMisesFisherPosterior,
    "codes": VectorQuantised,
}

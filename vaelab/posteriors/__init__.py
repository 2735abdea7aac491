"""Posterior heads, which turn an encoder's output into a distribution q(z|x)."""

from collections.abc import Callable

from vaelab.parts.contracts import Head
from vaelab.posteriors.codes import VectorQuantised
from vaelab.posteriors.flow import InverseAutoregressiveFlow
from vaelab.posteriors.gaussian import DiagonalGaussian, FullGaussian
from vaelab.posteriors.sphere import VonMisesFisherPosterior

POSTERIORS: dict[str, Callable[..., Head]] = {
    "diagonal": DiagonalGaussian,
    "full": FullGaussian,
    "flow": InverseAutoregressiveFlow,
    "von-mises-fisher": VonMisesFisherPosterior,
    "codes": VectorQuantised,
}

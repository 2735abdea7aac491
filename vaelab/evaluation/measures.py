"""The table of measures for `vaelab evaluate --metrics`."""

from collections.abc import Callable

from vaelab.evaluation.ais.annealed import Annealed
from vaelab.evaluation.disentanglement.disentanglement import Disentanglement
from vaelab.evaluation.fidelity.fidelity import Fidelity
from vaelab.evaluation.latents.latents import Latents
from vaelab.evaluation.likelihood.likelihood import Likelihood
from vaelab.evaluation.measure import Measure
from vaelab.evaluation.reconstruction import Reconstruction
from vaelab.evaluation.representation import Representation

METRICS: dict[str, Callable[..., Measure]] = {
    "ais": Annealed,
    "disentanglement": Disentanglement,
    "fidelity": Fidelity,
    "latents": Latents,
    "likelihood": Likelihood,
    "reconstruction": Reconstruction,
    "representation": Representation,
}

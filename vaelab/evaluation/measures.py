"""The measures that `vaelab evaluate --metrics` knows by name."""

from collections.abc import Callable

from vaelab.evaluation.annealing import Annealed
from vaelab.evaluation.disentanglement import Disentanglement
from vaelab.evaluation.fidelity import Fidelity
from vaelab.evaluation.latents import Latents
from vaelab.evaluation.likelihood import Likelihood
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

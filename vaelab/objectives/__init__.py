"""Objectives: (model, x, step) -> (loss [B], Draw). The loss is minimised; reported values come from the Draw."""

from collections.abc import Callable

from vaelab.objectives.commitment import Commitment
from vaelab.objectives.importance import Ciwae, Iwae, Miwae, Piwae
from vaelab.objectives.mmd import Mmd
from vaelab.objectives.total_correlation import BetaTC, Dip, Factor
from vaelab.objectives.wake_sleep import Mcem, WakeSleep
from vaelab.objectives.weighted import Capacity, Elbo, WeightedElbo
from vaelab.parts.contracts import Objective

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "elbo": Elbo,
    "beta": WeightedElbo,
    "capacity": Capacity,
    "iwae": Iwae,
    "miwae": Miwae,
    "ciwae": Ciwae,
    "piwae": Piwae,
    "beta-tc": BetaTC,
    "factor": Factor,
    "dip": Dip,
    "mmd": Mmd,
    "wake-sleep": WakeSleep,
    "mcem": Mcem,
    "commitment": Commitment,
}

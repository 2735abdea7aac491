"""Objectives: (model, x, step) -> (loss [B], Draw). What is minimised; what is reported comes from the Draw."""

from vaelab.objectives.correlation import BetaTC, Dip, Factor
from vaelab.objectives.discrepancy import Mmd
from vaelab.objectives.importance import Ciwae, Iwae, Miwae, Piwae
from vaelab.objectives.two_way import Mcem, WakeSleep
from vaelab.objectives.weighted import Beta, Capacity, Elbo

OBJECTIVES = {
    "elbo": Elbo,
    "beta": Beta,
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
}

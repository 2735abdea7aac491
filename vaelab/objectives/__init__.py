"""Objectives: (model, x, step) -> (loss [B], Draw). What is minimised; what is reported comes from the Draw."""

from vaelab.objectives.bounds import Elbo, Iwae

OBJECTIVES = {"elbo": Elbo, "iwae": Iwae}

"""The article's claims, each checked by a function of the runs: name -> function."""

from collections.abc import Callable
from dataclasses import replace

from vaelab.errors import SpecError
from vaelab.report.claims.claim import UNJUDGED, Claim, Table
from vaelab.report.claims.colours import colours
from vaelab.report.claims.comparisons import convolution, gaussian_quality
from vaelab.report.claims.digits import digits
from vaelab.report.claims.dimensions import dimensions
from vaelab.report.claims.importance import importance_weighting
from vaelab.report.claims.manifolds import manifold_separation
from vaelab.report.claims.speed import gaussian_speed
from vaelab.report.material import Material

__all__ = ["CLAIMS", "NOT_RUN", "Claim", "Table", "check_claims"]

CLAIMS: dict[str, Callable[[Material], list[Claim]]] = {
    "digits": digits,
    "dimensions": dimensions,
    "convolution": convolution,
    "gaussian-quality": gaussian_quality,
    "gaussian-speed": gaussian_speed,
    "manifold-separation": manifold_separation,
    "colours": colours,
    "importance-weighting": importance_weighting,
}
NOT_RUN = "not run yet"


def check_claims(material: Material) -> dict[str, list[Claim]]:
    """The claims that the study names, checked on the runs that are done.

    Raises:
        SpecError: a name that is not in CLAIMS.
    """
    if unknown := [name for name in material.study.claims if name not in CLAIMS]:
        raise SpecError(found=f"claim {unknown[0]!r}", expected=f"one of {', '.join(CLAIMS)}", do="choose one of these")
    return {name: [_judged(material, claim) for claim in CLAIMS[name](material)] for name in material.study.claims}


def _judged(material: Material, claim: Claim) -> Claim:
    """The claim; where no run of the study measures it, a claim that says so."""
    if claim.evidence[-1].rows:
        return claim
    whole = len(material.done) == len(material.study.members)
    why = "No run of this study measures it." if whole else f"The runs that measure it: {NOT_RUN}."
    return replace(claim, measured=why, verdict=UNJUDGED, evidence=[])

"""Types of what stands in files of ours that somebody may have changed: numbers within bounds, and findings."""

from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

# Larger than any number that is measured, and small enough to be added, subtracted and drawn
LARGEST, MOST = 1e100, 2**53
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Error = Annotated[float, Field(ge=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(gt=0, le=MOST)]


@with_config({"extra": "allow"})
class FindingRow(TypedDict):
    """A warning of the training."""

    kind: str
    says: str
    do: str

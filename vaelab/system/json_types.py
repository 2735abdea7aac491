"""Types of the values in vaelab's JSON files, with bounds: somebody may have edited a file."""

from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

# Larger than any metric, and small enough that sums, differences and plots stay finite
LARGEST, MOST = 1e100, 2**53
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Error = Annotated[float, Field(ge=0, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(gt=0, le=MOST)]


@with_config({"extra": "allow"})
class FindingRow(TypedDict):
    """A warning from the diagnosis of training: its kind, a sentence, and what to do."""

    kind: str
    says: str
    do: str

"""By what the weights of a training are chosen: the value on validation images of what was trained."""

from dataclasses import dataclass

from torch import Tensor

from vaelab.objectives.losses import Objective
from vaelab.parts.capabilities import HasCriterion, has
from vaelab.system.errors import SpecError


@dataclass(frozen=True)
class Ramp:
    """A schedule: a factor that rises linearly from 0 to 1 in `steps` steps and then stays 1.

    Arguments:
        steps: how long the factor rises; 0: it is always 1.
        cycle: the rise begins anew every `cycle` steps (Fu et al. 2019); 0: it happens once.
    """

    steps: int = 0
    cycle: int = 0

    def __call__(self, step: Tensor) -> Tensor | float:
        """The factor at `step`."""
        if not self.steps:
            return 1.0
        within = step % self.cycle if self.cycle else step
        return (within.float() / self.steps).clamp(max=1.0)

    def at_rest_since(self, step: int) -> int | None:
        """The step at which the last rise ended; None if the factor is still rising at `step`."""
        ended = self.steps + (step - step % self.cycle if self.cycle else 0)
        return ended if step >= ended else None

    def end(self, last: int) -> int:
        """A step with the final factor; `last` if there is no schedule. A cycle may end before its factor is 1."""
        if not self.steps:
            return last
        return min(self.steps, self.cycle - 1) if self.cycle else self.steps


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A number for each image, in nats, whose mean over the validation images says which weights are the best.

    Smaller is better. An objective says what it is judged by in an attribute or property `judged_by`.

    Arguments:
        name: what people read beside the number, such as "-IWAE bound, K = 5".
        own: whether the number is the loss of the objective. If not, it is -ELBO: some objectives minimise two
            functions, or one that is not comparable between two validations.
        ramp: the schedule of the objective. The loss is taken with the schedule at its end, and no weights are chosen
            while the factor rises.
    """

    name: str
    own: bool = True
    ramp: Ramp = Ramp()


ELBO = Criterion(name="-ELBO", own=False)


def criterion_of(objective: Objective) -> Criterion:
    """What `objective` is judged by; its own loss at the last step of the training if it does not say.

    Raises:
        SpecError: `judged_by` is not a Criterion.
    """
    name = getattr(objective, "__name__", type(objective).__name__)
    found: object = objective.judged_by if has(objective, HasCriterion) else Criterion(name=f"loss of {name}")
    if not isinstance(found, Criterion):
        raise SpecError(
            found=f"objective {name} whose judged_by is a {type(found).__name__}",
            expected="a vaelab.objectives.criterion.Criterion",
            do="make it one, or leave it out",
        )
    return found


def in_words(*terms: tuple[float, str]) -> str:
    """A weighted sum, such as "distortion + 4 rate"; terms of weight 0 are left out."""
    return " + ".join(term if weight == 1 else f"{weight:g} {term}" for weight, term in terms if weight)

"""The criterion that selects the weights of a training run: the value of its objective on validation images."""

from dataclasses import dataclass

from torch import Tensor

from vaelab.objectives.losses import Objective
from vaelab.parts.capabilities import HasCriterion, has
from vaelab.system.errors import SpecError


@dataclass(frozen=True)
class Ramp:
    """A schedule: a factor that rises linearly from 0 to 1 in `steps` steps and then stays at 1.

    Arguments:
        steps: length of the rise; 0: the factor is always 1.
        cycle: the rise restarts every `cycle` steps (Fu et al. 2019); 0: it happens once.
    """

    steps: int = 0
    cycle: int = 0

    def __call__(self, step: Tensor) -> Tensor | float:
        """Return the factor at `step`."""
        if not self.steps:
            return 1.0
        within = step % self.cycle if self.cycle else step
        return (within.float() / self.steps).clamp(max=1.0)

    def at_rest_since(self, step: int) -> int | None:
        """Return the step at which the last rise ended, or None if the factor is still rising at `step`."""
        ended = self.steps + (step - step % self.cycle if self.cycle else 0)
        return ended if step >= ended else None

    def end(self, last: int) -> int:
        """Return a step with the final factor: `last` without a schedule. A cycle may end before its factor is 1."""
        if not self.steps:
            return last
        return min(self.steps, self.cycle - 1) if self.cycle else self.steps


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A number for each image, in nats; the weights with the lowest mean over the validation images are selected.

    An objective declares its criterion in an attribute or property `judged_by`.

    Arguments:
        name: the name that is printed with the number, such as "-IWAE bound, K = 5".
        own: whether the number is the objective's own loss. If not, it is -ELBO. This is for an objective that
            minimises two functions, or a function that changes between two validations.
        ramp: the schedule of the objective. The loss is computed at the end of the schedule, and no weights are
            selected while the factor rises.
    """

    name: str
    own: bool = True
    ramp: Ramp = Ramp()


ELBO = Criterion(name="-ELBO", own=False)


def criterion_of(objective: Objective) -> Criterion:
    """Return the criterion of `objective`; if it declares none, its own loss at the last training step.

    Raises:
        SpecError: `judged_by` is not a Criterion.
    """
    name = getattr(objective, "__name__", type(objective).__name__)
    found: object = objective.judged_by if has(objective, HasCriterion) else Criterion(name=f"loss of {name}")
    if not isinstance(found, Criterion):
        raise SpecError(
            found=f"objective {name} whose judged_by is a {type(found).__name__}",
            expected="a vaelab.objectives.criterion.Criterion",
            do="make judged_by a Criterion, or remove it",
        )
    return found


def in_words(*terms: tuple[float, str]) -> str:
    """Return a weighted sum in words, such as "distortion + 4 rate"; terms with weight 0 are omitted."""
    return " + ".join(term if weight == 1 else f"{weight:g} {term}" for weight, term in terms if weight)

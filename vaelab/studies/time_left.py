"""The time that the rest of a study takes, judged from its runs that are done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from vaelab.studies.study import Member
from vaelab.system.errors import VaelabError
from vaelab.training.lines import duration


@dataclass(frozen=True)
class TimeLeft:
    """The time left of a study.

    Arguments:
        members: all runs of the study.
        jobs: the number of runs at a time.
    """

    members: Sequence[Member]
    jobs: int = 1
    _took: dict[str, float] = field(default_factory=dict)  # the label of a done run -> its seconds, read once

    def __call__(self, todo: Sequence[Member]) -> str:
        """Return ", about 3:20 left for the study" if the runs `todo` are left; "" if no run is done yet.

        A run takes as long as the mean of the runs of its group that are done, or of all that are done.
        """
        done = dict[str, list[float]]()
        for member in self.members:
            if member not in todo and (seconds := self._seconds(member)) is not None:
                done.setdefault(member.group, []).append(seconds)
        if not done or not todo:
            return ""
        mean = fmean(seconds for of_group in done.values() for seconds in of_group)
        left = sum(fmean(done.get(member.group, [mean])) for member in todo)
        return f", about {duration(left / min(self.jobs, len(todo)))} left for the study"

    def _seconds(self, member: Member) -> float | None:
        """The seconds of a run: training and the evaluation at its end; None if it is not done."""
        if member.label not in self._took and member.run.done:
            try:
                seconds = member.run.result["seconds"]
            except VaelabError:  # whoever needs the result says so
                return None
            self._took[member.label] = seconds["training"] + seconds["evaluation"]
        return self._took.get(member.label)

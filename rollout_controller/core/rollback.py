"""The way back to a version that was stable before: which version counts, and the plan that leads there.

Whether a release goes back is found out once, when it begins, and kept as its plan: preparing it deletes the
old ReplicaSet that tells. What else holds or moves a release is as ever, with these consequences:

- `spec.paused` and the command `pause` hold it like any release, also before its pods are made: they are
  somebody's word about this very moment, and being in a hurry does not take that back.
- No step's approval is asked for, and no preview is held. They guard users from a version that nobody has
  seen serve them, and this one has; after the bake all of them are with it anyway.
- Edits of `strategy` and `rollbackWindow` count from the next release.
- A revert takes the shortcut away: the old ReplicaSet is gone by then, so a `retry`, or the same template set
  again, goes through all steps. What was good once has just been found bad. Reverted before anything was
  prepared, nothing was found, and the shortcut is still there.
- A version whose ReplicaSet the Deployment's `revisionHistoryLimit` removed is a new one like any other:
  templates are compared, names of revisions are not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout_controller.core import conditions as is_
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts, Hash, Stage

ROLLBACK: Final = "rollback 100%"
"""Name of the only stage of a release that goes back."""
REMEMBERED: Final = 10
"""Earlier stable revisions that are kept; as many as `spec.rollbackWindow` may ask for."""


def previous(facts: Facts, stable: Hash | None) -> tuple[Hash, ...]:
    """The revisions that were stable before `stable` is, the newest first, each once.

    None for `stable` stands for a time without one: the roll of a Deployment by itself.
    """
    before = [one for one in (facts.stable, *facts.previous) if one is not None and one != stable]
    return tuple(dict.fromkeys(before))[:REMEMBERED]


def goes_back_to(o: Observed, facts: Facts) -> Hash | None:
    """The one of the last stable revisions whose template the Deployment asks for now, None if none has it.

    The name is the old ReplicaSet's. The release names the same template anew, and differently where it was
    the Deployment controller that named it.
    """
    window = facts.previous[: o.policy.rollback_window] if o.policy is not None else ()
    return next((twin.hash for twin in is_.twins(o) if twin.hash in window), None)


def straight_back(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The plan of a release that goes back: the strategy's last stage alone, reached in one write."""
    return tuple(replace(last, name=ROLLBACK, weight=100, scale=100, approval=False) for last in stages[-1:])


def as_begun(facts: Facts, stages: tuple[Stage, ...]) -> bool:
    """Whether a strategy with these stages would still give the release that runs its plan."""
    return facts.plan == (straight_back(stages) if goes_back(facts) else stages)


def goes_back(facts: Facts) -> bool:
    """Whether the release that runs has such a plan."""
    return any(stage.name == ROLLBACK for stage in facts.plan)

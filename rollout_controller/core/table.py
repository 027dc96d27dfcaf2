"""The protocol of a release: which event leads from where to where.

Events stand in order of priority. The first one that occurs and whose cell names a destination is taken;
STAY, NOTHING and REFUSE let later rows match. STAY means that the event changes nothing here, REFUSE that
the command is dropped with a Warning. A release that was handed over to the Deployment has a column of
its own: from there it is only finished.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from rollout_controller.core.release import Phase


class Event(StrEnum):
    """What can happen to a Rollout, in order of priority; `core/events.py` says when each of them occurs."""

    DELETED = "deleted"
    ABORT = "abort"  # the command, or the canary's share lowered by somebody else
    FAILED = "failed"  # the gate fails, pods are lost or keep failing, a deadline passed
    STABLE_GONE = "rolled away"  # a native roll left stable without endpoints
    NATIVE_ROLL = "native roll"  # the Deployment rolls by itself, or did
    HALF_ROLLED = "half rolled"  # such a roll was stopped by our pause, and pods of it serve
    ERROR = "error finding"
    DISOWNED = "another's"  # an older Rollout claims the same
    CURED = "cured"
    TEMPLATE_STABLE = "template back"  # the Deployment asks for stable's template (again)
    TEMPLATE_NEW = "new template"  # it asks for one that is neither stable's nor the canary's
    HOLD = "hold"  # the command pause, spec.paused, the inconclusive limit, maxDuration
    RESUME = "resume"
    CAUSE_GONE = "cause gone"  # of the pause: spec.paused, a finding, no clear verdict
    PROMOTE = "promote"
    PROMOTE_FULL = "promote full"
    RETRY = "retry"
    APPROVAL = "approval wanted"  # all else that the exit of a stage asks for holds
    ADVANCE = "passed"  # the exit of a stage holds, or was approved, and the next one's pods are there
    EMPTY = "no replicas"
    HOME = "home"  # everybody on stable, the canary drained, subsets un-pinned
    FINISHED = "old pods gone"  # subsets un-pinned, and the Deployment un-paused if it asks for nothing newer


class State(StrEnum):
    """A column of the table: the phase, and after the hand-over a state of its own."""

    INITIALIZING = "Initializing"
    INVALID = "Invalid"
    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    PROMOTING = "Promoting"
    HANDED_OVER = "HandedOver"
    REVERTING = "Reverting"
    REVERTED = "Reverted"


class Cell(Enum):
    """What an event does other than leading to one phase."""

    NOTHING = "–"
    STAY = "stay"
    REFUSE = "refuse"
    GONE = "gone"
    NEXT = "next stage, after the last Promoting"
    NOTE = "approved"
    BY_TEMPLATE = "by template: stable Healthy, canary Reverted, other Progressing or, if another's, Invalid;\
 deleting gone"


To = Phase | Cell

_N, _S, _R = Cell.NOTHING, Cell.STAY, Cell.REFUSE
_COLUMNS = tuple(State)
_INIT, _INVALID, _HEALTHY = Phase.INITIALIZING, Phase.INVALID, Phase.HEALTHY
_GO, _HOLD, _BACK, _BACK_DONE = Phase.PROGRESSING, Phase.PAUSED, Phase.REVERTING, Phase.REVERTED
_GONE = Cell.GONE

# fmt: off
_ROWS: dict[Event, tuple[To, ...]] = {
    #                       Initializing Invalid  Healthy   Progressing   Paused   Promoting    HandedOver Reverting Reverted
    Event.DELETED:         (_GONE,   _GONE,   _GONE,    _BACK,     _BACK,     _BACK,      _S,        _S,       _GONE),
    Event.ABORT:           (_R,      _R,      _R,       _BACK,     _BACK,     _BACK,      _R,        _S,       _R),
    Event.FAILED:          (_N,      _N,      _N,       _BACK,     _BACK,     _BACK,      _N,        _N,       _N),
    Event.STABLE_GONE:     (_N,      _N,      _N,       _INIT,     _INIT,     _INIT,      _N,        _INIT,    _N),
    Event.NATIVE_ROLL:     (_N,      _N,      _INIT,    _BACK,     _BACK,     _BACK,      _N,        _S,       _INIT),
    Event.HALF_ROLLED:     (_N,      _N,      _N,       _N,        _N,        _N,         _N,        _N,       _BACK),
    Event.ERROR:           (_INVALID, _S,     _INVALID, _HOLD,     _S,        _S,         _S,        _S,       _S),
    Event.DISOWNED:        (_N,      _N,      _N,       _N,        _N,        _N,         _N,        _N,       _INVALID),
    Event.CURED:           (_N,      _INIT,   _N,       _N,        _N,        _N,         _N,        _N,       _N),
    Event.TEMPLATE_STABLE: (_N,      _N,      _S,       _BACK,     _BACK,     _BACK,      _N,        _S,       _HEALTHY),
    Event.TEMPLATE_NEW:    (_N,      _N,      _GO,      _BACK,     _BACK,     _BACK,      _N,        _S,       _GO),
    Event.HOLD:            (_R,      _R,      _R,       _HOLD,     _S,        _S,         _S,        _R,       _R),
    Event.RESUME:          (_R,      _R,      _R,       _R,        _GO,       _R,         _R,        _R,       _R),
    Event.CAUSE_GONE:      (_N,      _N,      _N,       _N,        _GO,       _N,         _N,        _N,       _N),
    Event.PROMOTE:         (_R,      _R,      _R,       Cell.NOTE, _GO,       _R,         _R,        _R,       _R),
    Event.PROMOTE_FULL:    (_R,      _R,      _R,       Cell.NOTE, _GO,       _R,         _R,        _R,       _R),
    Event.RETRY:           (_R,      _R,      _R,       _R,        _R,        _R,         _R,        _R,       _GO),
    Event.APPROVAL:        (_N,      _N,      _N,       _HOLD,     _N,        _N,         _N,        _N,       _N),
    Event.ADVANCE:         (_N,      _N,      _N,       Cell.NEXT, _N,        _N,         _N,        _N,       _N),
    Event.EMPTY:           (_N,      _N,      _N,       Phase.PROMOTING, _N,  _N,         _N,        _N,       _N),
    Event.HOME:            (_HEALTHY, _N,     _N,       _N,        _N,        _N,         _N, Cell.BY_TEMPLATE, _N),
    Event.FINISHED:        (_N,      _N,      _N,       _N,        _N,        _N,         _HEALTHY,  _N,       _N),
}
# fmt: on

TABLE: dict[tuple[Event, State], To] = {
    (event, state): cell for event, row in _ROWS.items() for state, cell in zip(_COLUMNS, row, strict=True)
}
"""Every event in every state: total, so that nothing is left to a default."""


_INNER = (State.PROGRESSING, State.PAUSED, State.PROMOTING)
"""Drawn as one box, so that what leads out of all of them is one arrow."""
_BOX = "Running"


def diagram() -> str:
    """The table as a Mermaid state diagram: one arrow per pair of states, with the events that lead there."""
    arrows: dict[tuple[str, str], list[str]] = {("[*]", State.INITIALIZING): ["created"]}
    for (event, state), cell in TABLE.items():
        shared = isinstance(cell, Phase) and all(TABLE[event, inner] is cell for inner in _INNER)
        source = _BOX if shared and state in _INNER else state.value
        for target, words in _targets(cell, event).items():
            labels = arrows.setdefault((source, target), [])
            if target != state and words not in labels:
                labels.append(words)
    arrows[State.PROMOTING, State.HANDED_OVER] = ["handed over"]
    drawn = {pair: f"{pair[0]} --> {pair[1]}: {', '.join(words)}" for pair, words in arrows.items() if words}
    inner = [line for (source, target), line in drawn.items() if source in _INNER and target in _INNER]
    outer = [line for line in drawn.values() if line not in inner]
    lines = [f"state {_BOX} {{", *(f"    {line}" for line in inner), "}", *outer]
    return "".join(f"{line}\n" for line in ["stateDiagram-v2", *(f"    {line}" for line in lines)])


def _targets(cell: To, event: Event) -> dict[str, str]:
    """Where a cell leads, with the words on the arrow."""
    if isinstance(cell, Phase):
        return {cell.value: event.value}
    return {
        Cell.GONE: {"[*]": event.value},
        Cell.NEXT: {Phase.PROMOTING.value: f"last step {event.value}"},
        Cell.BY_TEMPLATE: {
            Phase.HEALTHY.value: "home, template back",
            Phase.REVERTED.value: "home, template unchanged",
            Phase.PROGRESSING.value: "home, new template",
            Phase.INVALID.value: "home, another's",
            "[*]": "home, deleted",
        },
    }.get(cell, {})

"""The protocol of a release: which event leads from where to where.

Events stand in order of priority. The first one that occurs and whose cell names a destination is taken;
STAY, NOTHING and REFUSE let later rows match. STAY means that the event changes nothing here, REFUSE that
the command is dropped with a Warning. A release that was handed over to the Deployment has a column of
its own: from there it is only finished.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from rollout_controller.core.model import Phase


class Event(StrEnum):
    """What can happen to a Rollout, in order of priority."""

    DELETED = "deleted"
    ABORT = "abort, or share lowered from outside"
    FAILED = "gate fails, pods lost, deadline passed"
    STABLE_GONE = "native roll, stable without endpoints"
    NATIVE_ROLL = "native roll"
    ERROR = "error finding"
    CURED = "no error finding"
    TEMPLATE_STABLE = "template is stable's"
    TEMPLATE_NEW = "template is new"
    HOLD = "pause, spec.paused, inconclusive limit, maxDuration"
    RESUME = "resume"
    CAUSE_GONE = "cause of the pause is gone"
    PROMOTE = "promote"
    PROMOTE_FULL = "promote full"
    RETRY = "retry"
    APPROVAL = "exit held, approval wanting"
    ADVANCE = "exit held or approved, next stage's pods there"
    EMPTY = "no replicas"
    HOME = "home, drained, un-pinned"
    FINISHED = "old version gone, un-pinned"


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
    BY_TEMPLATE = "by template: stable Healthy, canary Reverted, other Progressing; deleting gone"


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
    Event.ERROR:           (_INVALID, _S,     _INVALID, _HOLD,     _S,        _S,         _S,        _S,       _S),
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


def diagram() -> str:
    """The table as a Mermaid state diagram, one arrow per pair of states with the events that lead there."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (event, state), cell in TABLE.items():
        for target in _targets(cell):
            if target != state.value:
                arrows.setdefault((state.value, target), []).append(event.value)
    arrows.setdefault((State.PROMOTING.value, State.HANDED_OVER.value), []).append("ReplicaSet handed over")
    lines = ["stateDiagram-v2", "    [*] --> Initializing"]
    lines += [
        f"    {source} --> {target}: {' / '.join(events)}" for (source, target), events in arrows.items()
    ]
    return "\n".join(lines) + "\n"


def _targets(cell: To) -> tuple[str, ...]:
    if isinstance(cell, Phase):
        return (cell.value,)
    return {
        Cell.GONE: ("[*]",),
        Cell.NEXT: (Phase.PROGRESSING.value, Phase.PROMOTING.value),
        Cell.BY_TEMPLATE: ("Healthy", "Reverted", "Progressing", "[*]"),
    }.get(cell, ())

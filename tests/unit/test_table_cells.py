"""Each cell of the transition table, through `decide`: what an event does in a state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.events import DETECTORS
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy
from rollout_controller.core.table import TABLE, Event, State
from rollout_controller.core.world import Pods
from tests.builders import (
    AT_25,
    AT_50,
    ERROR,
    at_step,
    but,
    command,
    failing,
    handed_over,
    healthy,
    initializing,
    invalid,
    paused,
    pods,
    promoting,
    reverted,
    reverting,
    verdict,
)

Change = Callable[[Observed], Observed]

# Worlds in which nothing happens by itself: not adopted yet, too few readings, canary pods still to come.
IDLE: dict[str, Observed] = {
    "Initializing": but(initializing(), workload={"labelled": False}),
    "Invalid": invalid(),
    "Healthy": healthy(),
    "Progressing": at_step(AT_25),
    "Paused": paused(),
    "Promoting": but(promoting(), workload={"canary": {"available": 9}}),
    "HandedOver": handed_over(),
    "Reverting": reverting(),
    "Reverted": reverted(),
}


def asked(verb: str, value: str = "true") -> Change:
    return lambda o: but(o, command=command(verb, value))  # type: ignore[arg-type]  # the tables spell it right


def rolls_by_itself(o: Observed, stable: Pods | None) -> Observed:
    native = pods("native", 3, current=True)
    return but(
        o, workload={"paused": False, "held": False, "target": "third", "stable": stable, "others": (native,)}
    )


def stopped_halfway(o: Observed) -> Observed:
    return but(o, workload={"others": (pods("new", 1, current=True),), "target": "new"})


def home(o: Observed) -> Observed:
    nothing = {"canary_weight": (0, 0), "subsets": (None, None)}
    return but(o, workload={"canary": None, "labelled": True}, traffic=nothing)


def old_gone(o: Observed) -> Observed:
    stable = o.workload.stable if o.workload else None
    ended = but(stable, existing=0) if stable is not None else None
    return but(o, workload={"stable": ended, "held": False}, traffic={"subsets": (None, None)})


NOT_READY = but(pods("old", 3), ready_endpoints=0)
CAUSES: dict[str, Change] = {
    "deleted": lambda o: but(o, deleting=True),
    "abort": asked("abort"),
    "share lowered from outside": lambda o: but(o, traffic={"canary_weight": (1, 1)}),
    "gate fails": lambda o: but(o, verdict=failing()),
    "native roll, stable without endpoints": lambda o: rolls_by_itself(o, NOT_READY),
    "native roll": lambda o: rolls_by_itself(o, pods("old", 7)),
    "native roll stopped halfway": stopped_halfway,
    "error finding": lambda o: but(o, findings=(ERROR,)),
    "an older Rollout claims the same": lambda o: but(o, findings=(ERROR,), owner="other"),
    "no error finding": lambda o: but(o, findings=()),
    "template is stable's": lambda o: but(o, workload={"target": "old"}),
    "template is new": lambda o: but(o, workload={"target": "third", "paused": True, "held": True}),
    "pause": asked("pause"),
    "spec.paused": lambda o: but(o, policy={"paused": True}),
    "resume": asked("resume"),
    "promote": asked("promote"),
    "promote full": asked("promote", "full"),
    "retry": asked("retry"),
    "gate passes": lambda o: but(o, verdict=verdict("pass", AT_25)),
    "no replicas": lambda o: but(o, workload={"replicas": 0}),
    "home, drained, un-pinned": home,
    "old version gone, un-pinned, let go": old_gone,
}

# Columns as IDLE. "stay": the phase stays, and nobody is told no; "refuse": the command is dropped, with a
# Warning; "approved" and "next stage" as in the table.
EXPECTED = """
deleted                               | gone    | gone         | gone         | Reverting   | Reverting   | Reverting | stay    | stay         | gone
abort                                 | refuse  | refuse       | refuse       | Reverting   | Reverting   | Reverting | refuse  | stay         | refuse
share lowered from outside            | stay    | stay         | stay         | Reverting   | Reverting   | Reverting | stay    | stay         | stay
gate fails                            | stay    | stay         | stay         | Reverting   | Reverting   | Reverting | stay    | stay         | stay
native roll, stable without endpoints | stay    | stay         | Initializing | Initializing| Initializing| Initializing| stay  | Initializing | Initializing
native roll                           | stay    | stay         | Initializing | Reverting   | Reverting   | Reverting | stay    | stay         | Initializing
native roll stopped halfway           | stay    | stay         | Initializing | Reverting   | Reverting   | Reverting | stay    | stay         | Reverting
error finding                         | Invalid | stay         | Invalid      | Paused      | stay        | stay      | stay    | stay         | stay
an older Rollout claims the same      | Invalid | stay         | Invalid      | Paused      | stay        | stay      | stay    | stay         | Invalid
no error finding                      | stay    | Initializing | stay         | stay        | stay        | stay      | stay    | stay         | stay
template is stable's                  | stay    | stay         | stay         | Reverting   | Reverting   | Reverting | stay    | stay         | Healthy
template is new                       | stay    | stay         | Progressing  | Reverting   | Reverting   | Reverting | stay    | stay         | Progressing
pause                                 | refuse  | refuse       | refuse       | Paused      | refuse      | refuse    | refuse  | refuse       | refuse
spec.paused                           | stay    | stay         | stay         | Paused      | stay        | stay      | stay    | stay         | stay
resume                                | refuse  | refuse       | refuse       | refuse      | Progressing | refuse    | refuse  | refuse       | refuse
promote                               | refuse  | refuse       | refuse       | approved    | Progressing | refuse    | refuse  | refuse       | refuse
promote full                          | refuse  | refuse       | refuse       | approved    | Progressing | refuse    | refuse  | refuse       | refuse
retry                                 | refuse  | refuse       | refuse       | refuse      | refuse      | refuse    | refuse  | refuse       | Progressing
gate passes                           | stay    | stay         | stay         | next stage  | stay        | stay      | stay    | stay         | stay
no replicas                           | stay    | stay         | stay         | Promoting   | stay        | stay      | stay    | stay         | stay
home, drained, un-pinned              | Healthy | stay         | stay         | stay        | stay        | stay      | stay    | Reverted     | stay
old version gone, un-pinned, let go   | stay    | stay         | stay         | stay        | stay        | stay      | Healthy | stay         | stay
"""  # noqa: E501 - a table is read by its columns
CELLS = [
    (event.strip(), state, cell.strip())
    for line in EXPECTED.strip().splitlines()
    for event, *cells in [line.split("|")]
    for state, cell in zip(IDLE, cells, strict=True)
]


def outcome(o: Observed) -> str:
    d = decide(o)
    if d.gone:
        return "gone"
    if d.facts.phase is not o.facts.phase:
        return d.facts.phase.value
    if any(notice.reason == "CommandRefused" for notice in d.notices):
        return "refuse"
    if d.facts.stage != o.facts.stage:
        return "next stage"
    return "approved" if d.facts.approved != o.facts.approved else "stay"


@pytest.mark.parametrize("state", IDLE)
def test_nothing_happens_by_itself(state: str) -> None:
    assert outcome(IDLE[state]) == "stay"


@pytest.mark.parametrize(("event", "state", "expected"), CELLS)
def test_an_event_leads_where_the_table_says(event: str, state: str, expected: str) -> None:
    assert outcome(CAUSES[event](IDLE[state])) == expected


def test_a_stage_that_wants_approval_pauses_once_it_passed() -> None:
    d = decide(at_step(AT_50, "pass"))
    assert (d.facts.phase.value, d.facts.paused_by) == ("Paused", PausedBy.APPROVAL)


@pytest.mark.parametrize(
    ("o", "cured"),
    [
        (paused(PausedBy.SPEC), {"policy": {"paused": False}}),
        (paused(PausedBy.FINDING), {"findings": ()}),
        (paused(PausedBy.INCONCLUSIVE), {"verdict": verdict("pass", AT_25)}),
    ],
)
def test_a_pause_ends_with_its_cause(o: Observed, cured: dict[str, object]) -> None:
    assert outcome(o) == "stay"
    assert outcome(but(o, **cured)) == "Progressing"


def test_an_event_of_higher_priority_comes_first() -> None:
    everything = at_step(AT_25, "pass")
    order = ["error finding", "gate fails", "abort", "deleted"]
    reasons = []
    for event in order:
        everything = CAUSES[event](everything)
        reasons.append(decide(everything).facts.reason)
    gate = "error rate 5 % (limit 1 %)"
    assert reasons == [str(ERROR), gate, "aborted by command", "the Rollout is deleted"]


def test_the_table_has_every_cell_and_a_detector_for_every_row_in_its_order() -> None:
    assert set(TABLE) == {(event, state) for event in Event for state in State}
    assert list(DETECTORS) == list(Event) == list(dict.fromkeys(event for event, _ in TABLE))

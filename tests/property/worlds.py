"""Worlds for Hypothesis: near usual ones, any that the types allow, and toys that go on by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from hypothesis import strategies as st

from rollout_controller.core.commands import VERBS
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Observed
from rollout_controller.core.release import RUNNING, Facts, HeaderMatch, HeaderPin, PausedBy, Phase, StageKey
from rollout_controller.core.rollback import straight_back
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import Part, Pods, Traffic, Workload
from tests.builders import (
    BLUE_GREEN,
    FED_PLAN,
    NOW,
    PIN,
    PLAN,
    SINCE,
    at_step,
    blue_green,
    but,
    command,
    fed_step,
    handed_over,
    healthy,
    initializing,
    invalid,
    new_template,
    paused,
    pods,
    policy,
    preparing,
    promoting,
    reverted,
    reverting,
    seconds,
    stage,
)
from tests.toy import Set, Toy

FINDING = Finding("Broken", "error", "VirtualService shop/web", "spec.http", "no route", "add one")
RESULTS: tuple[Literal["pass", "fail", "inconclusive"], ...] = ("pass", "fail", "inconclusive")
PLANS = (
    PLAN,
    (stage(100),),
    (stage(0), stage(50, scale=80), stage(100, gate=False)),
    (stage(25), stage(25, approval=True), stage(100, min_duration=seconds(0))),
    FED_PLAN,
    BLUE_GREEN,
    (stage(0, mirror=100, scale=30, approval=True), stage(100, mirror=40, gate=False)),
)
HEADER_PINS: tuple[tuple[HeaderPin, ...], ...] = (
    (),
    (PIN,),
    (PIN, (HeaderMatch("x-region", "prefix", "eu"),)),
)
POLICIES = tuple(
    policy(
        stages=plan,
        drain=seconds(drain),
        inconclusive_then=then,
        paused=held,
        rollback_window=window,
        header_pins=pins,
    )
    for plan, drain, then, held, window, pins in zip(
        PLANS,
        (30, 0, 60, 30, 30, 0, 30),
        ("Pause", "Revert", "Pause", "Pause", "Pause", "Pause", "Revert"),
        (False, False, True, False, False, False, False),
        (3, 0, 1, 10, 3, 0, 3),
        ((), (), (), (), *HEADER_PINS[1:], ()),
        strict=True,
    )
)
MOMENTS = tuple(
    NOW - seconds(ago) for ago in (-5, 0, 1, 3, 9, 10, 33, 63, 123, 240, 303, 600, 601, 3600, 99999)
)
PERCENTS = (0, 1, 5, 24, 25, 26, 40, 50, 99, 100)
COUNTS = (0, 1, 2, 3, 5, 9, 10, 11)
PINS = (None, "old", "new", "left")
ROUTES: tuple[Literal["none", "ours", "other"], ...] = ("none", "ours", "other")
MIRRORS = ((0, 0), (20, 20), (0, 20), (10, 10), (100, 100), (40, 40))
COMMANDS = tuple(
    command(verb, value, claimed=claimed)
    for claimed in (True, False)
    for verb in VERBS
    for value in (("true", "full", "new/2", "third") if verb == "promote" else ("wait",))
)
NATIVE = pods("native", 3, current=True)
TWIN = pods("native", 0, current=True)
BEFORE = ((), ("native",), ("third", "native"), ("new", "third", "native", "left"))
LEFT = pods("left", 2, "us")
ENDED = pods("ended", 0)

BACK = but(
    new_template(),
    facts={"previous": ("native",)},
    workload={"others": (TWIN,)},
    policy={"rollback_window": 1},
)
"""The template of a version that was stable before."""

USUAL: tuple[Observed, ...] = (
    initializing(),
    invalid(),
    healthy(),
    new_template(),
    BACK,
    preparing(),
    *(at_step(index, result) for index in range(len(PLAN)) for result in (None, *RESULTS)),
    *(paused(by, index) for by in PausedBy for index in (0, 2)),
    *(fed_step(index, result) for index in range(len(FED_PLAN)) for result in (None, *RESULTS)),
    *(blue_green(index, result) for index in range(len(BLUE_GREEN)) for result in (None, *RESULTS)),
    but(fed_step(1, "pass"), facts={"phase": Phase.PAUSED, "paused_by": PausedBy.COMMAND}),
    but(fed_step(len(FED_PLAN) - 1, "pass"), facts={"phase": Phase.PROMOTING}),
    promoting(),
    but(promoting(), traffic={"subsets": ("new", "new")}),
    but(promoting(), traffic={"subsets": ("new", "new"), "canary_weight": (0, 0)}),
    handed_over(),
    reverting(),
    reverted(),
)

CHANGES: dict[tuple[str, ...], tuple[Any, ...]] = {
    ("facts", "stage"): (-1, 0, 1, 2, 3),
    ("facts", "since"): MOMENTS,
    ("facts", "plan"): (*PLANS, straight_back(PLAN)),
    ("facts", "previous"): BEFORE,
    ("facts", "reached"): PERCENTS,
    ("facts", "granted"): COUNTS,
    ("facts", "gate"): (None, *RESULTS),
    ("facts", "gate_since"): (None, *MOMENTS),
    ("facts", "approved"): (None, "step", "full"),
    ("facts", "waiting_since"): (None, *MOMENTS),
    ("facts", "lowered_to"): (None, *PERCENTS),
    ("facts", "shortages"): (0, 2, 3, 4),
    ("facts", "corrections"): (0, 2, 3, 4),
    ("facts", "corrected"): ("", "1", "2"),
    ("facts", "header_pins"): HEADER_PINS,
    ("facts", "fed"): (True, False),
    ("facts", "token"): ("", "pause=wait@7"),
    ("traffic",): (None,),
    ("traffic", "canary_weight"): (*((p, p) for p in PERCENTS), (5, 25), (0, 100), (25, 50)),
    ("traffic", "subsets"): tuple((one, other) for one in PINS for other in PINS),
    ("traffic", "pinned_routes"): ROUTES,
    ("traffic", "mirror"): MIRRORS,
    ("traffic", "weights_since"): MOMENTS,
    ("traffic", "subsets_since"): MOMENTS,
    ("traffic", "version"): ("1", "2"),
    ("workload",): (None,),
    ("workload", "replicas"): COUNTS,
    ("workload", "paused"): (True, False),
    ("workload", "held"): (True, False),
    ("workload", "labelled"): (True, False),
    ("workload", "synced"): (True, False),
    ("workload", "target"): ("old", "new", "third", "native"),
    ("workload", "others"): ((), (NATIVE,), (LEFT,), (ENDED,), (NATIVE, LEFT), (but(LEFT, spec=0),), (TWIN,)),
    ("workload", "stable"): (None, pods("old", 10), but(pods("old", 0), existing=2)),
    ("workload", "stable", "ready_endpoints"): COUNTS,
    ("workload", "canary"): (None, pods("new", 10, "us", current=True), pods("new", 10, current=True)),
    ("workload", "canary", "spec"): COUNTS,
    ("workload", "canary", "available"): COUNTS,
    ("workload", "canary", "ready_endpoints"): COUNTS,
    ("workload", "canary", "existing"): COUNTS,
    ("policy",): (None, *POLICIES),
    ("deleting",): (True, False),
    ("finalizer",): (True, False),
    ("command",): (None, *COMMANDS),
    ("verdict",): (None, *(Verdict(StageKey("new", i, SINCE), r, SINCE) for i in (0, 1, 3) for r in RESULTS)),
    ("findings",): ((), (FINDING,)),
    ("owner",): ("", "older"),
    ("holder",): ("", "another"),
    ("busy",): ({}, {"new": True}, {"new": False, "old": False, "left": False}, {"new": None}),
    ("absent",): tuple(frozenset({part}) for part in Part),
    ("unread",): tuple(frozenset({part}) for part in Part),
}
ONE_CHANGE = st.sampled_from([(path, value) for path, values in CHANGES.items() for value in values])


def changed(o: Observed, path: tuple[str, ...], value: Any) -> Observed:
    """The world with this field changed, the same if there is nothing that could have it."""
    parent: Any = o
    for name in path[:-1]:
        parent = getattr(parent, name)
        if parent is None:
            return o
    change = {path[-1]: value}
    for name in reversed(path[:-1]):
        change = {name: change}
    return but(o, **change)


@st.composite
def near(draw: st.DrawFn, *phases: Phase) -> Observed:
    """A usual world with up to six fields changed to anything."""
    usual = [o for o in USUAL if not phases or o.facts.phase in phases]
    o = draw(st.sampled_from(usual))
    for path, value in draw(st.lists(ONE_CHANGE, max_size=6)):
        o = changed(o, path, value)
    return o


def any_facts() -> st.SearchStrategy[Facts]:
    """Any status at all: edited by hand, cut, or of another version."""
    revisions, moments = st.sampled_from([None, "old", "new", "third"]), st.sampled_from([None, *MOMENTS])
    return st.builds(
        Facts,
        phase=st.sampled_from(Phase),
        stable=revisions,
        canary=revisions,
        stage=st.integers(-3, 4),
        since=moments,
        started=moments,
        plan=st.sampled_from([(), *PLANS]),
        reached=st.integers(0, 100),
        granted=st.integers(0, 11),
        gate=st.sampled_from([None, *RESULTS]),
        approved=st.sampled_from([None, "step", "full"]),
        paused_by=st.sampled_from([None, *PausedBy]),
        waiting_since=moments,
        lowered_to=st.none() | st.integers(0, 100),
        previous=st.sampled_from(BEFORE),
        header_pins=st.sampled_from(HEADER_PINS),
        fed=st.booleans(),
    )


@st.composite
def anything(draw: st.DrawFn) -> Observed:
    """Any world that the types allow, however little sense it makes."""
    count, flag, part = st.integers(0, 11), st.booleans(), st.frozensets(st.sampled_from(Part), max_size=2)
    owner = st.sampled_from(["deployment", "us"])

    def some_pods(revision: str) -> st.SearchStrategy[Pods]:
        return st.builds(Pods, st.just(revision), st.just(f"web-{revision}"), owner, *[count] * 4, flag)

    others = st.tuples() | st.tuples(some_pods("left")) | st.tuples(some_pods("left"), some_pods("native"))
    workload = st.builds(
        Workload,
        *(count, count, flag, flag, flag, flag, st.sampled_from(["old", "new", "third", ""])),
        st.none() | some_pods("old"),
        st.none() | some_pods("new"),
        others,
    )
    percent, pin, moment = st.integers(0, 100), st.sampled_from(PINS), st.sampled_from(MOMENTS)
    weights = st.tuples(percent, percent).map(lambda pair: (min(pair), max(pair)))
    traffic = st.builds(
        Traffic,
        *(weights, st.tuples(pin, pin), moment, moment),
        pinned_routes=st.sampled_from(ROUTES),
        mirror=st.sampled_from(MIRRORS),
    )
    return Observed(
        now=NOW,
        generation=1,
        facts=draw(any_facts()),
        policy=draw(st.sampled_from([None, *POLICIES])),
        workload=draw(st.none() | workload),
        traffic=draw(st.none() | traffic),
        deleting=draw(flag),
        finalizer=draw(flag),
        command=draw(st.sampled_from([None, *COMMANDS])),
        verdict=draw(st.sampled_from(CHANGES["verdict",])),
        findings=draw(st.sampled_from([(), (FINDING,)])),
        absent=draw(part),
        unread=draw(part),
        owner=draw(st.sampled_from(["", "older"])),
        holder=draw(st.sampled_from(["", "another"])),
    )


@st.composite
def toys(draw: st.DrawFn) -> Toy:
    """A toy world in any state, however it came about: a status, and a world that may be of another one."""
    facts = draw(near()).facts
    running: list[Set] = []
    for revision in draw(st.sets(st.sampled_from(["old", "new", "left"]), min_size=1).map(sorted)):
        of: Literal["deployment", "us"] = "deployment"
        if revision != "old" and draw(st.booleans()):
            of = "us"
        what = draw(st.sampled_from(["old", "new", "third"])) if revision == "left" else revision
        ready = draw(st.sampled_from([True, True, False]))
        running.append(Set(revision, what, of, draw(st.sampled_from(COUNTS)), ready))
    held = draw(st.booleans())
    return Toy(
        template=draw(st.sampled_from(["old", "new", "third"])),
        replicas=draw(st.sampled_from(COUNTS)),
        paused=held or draw(st.booleans()),
        held=held,
        labelled=held or draw(st.booleans()),
        sets=tuple(running),
        weight=draw(st.sampled_from(PERCENTS)),
        mirror=draw(st.sampled_from([0, 0, 10, 20, 100])),
        header_pins=draw(st.sampled_from(HEADER_PINS)),
        pins=draw(st.sampled_from(CHANGES["traffic", "subsets"])),
        facts=facts,
        policy=draw(st.sampled_from(POLICIES)),
        finalizer=facts.phase in RUNNING or draw(st.booleans()),
        deleting=draw(st.booleans()),
        command=draw(st.sampled_from([None, *COMMANDS])),
        findings=draw(st.sampled_from([(), (), (FINDING,)])),
        answer=draw(st.sampled_from([None, *RESULTS])),
    )


def passed(o: Observed, time: timedelta) -> Observed:
    """The same world, later."""
    return replace(o, now=o.now + time)

"""The closure over worlds: everything that can come of stopping a controller at any of its writes.

A state is a world together with what its controller remembers, before a pass. From each state lead
- the pass as it goes without trouble, and what the world then does until there is a reason for the next;
- for each write of that pass: a crash right after it (a controller that remembers nothing goes on), the
  write done but its answer lost, and the write neither done nor answered (the same controller goes on);
- a restart before the pass.
Crashes, restarts and lost answers may thus follow each other in any number. Equal states are explored once,
so the work is linear in the number of writes. The laws are checked on every write of every edge.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rollout_controller.controller.memory import Memory
from tests.support import environment
from tests.support.canonical import canonical, differences, shape
from tests.support.laws import Laws, check_pass
from tests.support.play import Run
from tests.support.simulation import Call, FaultAtWrite, Hook, Pass
from tests.support.world import World


@dataclass(slots=True)
class Exploration:
    """What was found. `ends` are the shapes of the worlds in which runs came to rest, with one run each."""

    states: int = 0
    edges: int = 0
    writes: int = 0
    ends: dict[Hashable, Run] = field(default_factory=dict)
    worlds: set[Hashable] = field(default_factory=set)

    def __str__(self) -> str:
        return f"{len(self.worlds)} worlds, {self.states} states, {self.edges} edges, {self.writes} writes"

    def all_ends(self, at_least: int) -> list[Run]:
        """One run for each different end; fewer edges than that have shown too little."""
        assert self.edges >= at_least, f"only {self}"
        assert self.ends, "nothing comes to an end"
        return list(self.ends.values())

    def the_end(self, at_least: int) -> Run:
        """The run that came to the one end that there is."""
        (end, *others) = self.all_ends(at_least)
        assert not others, f"{len(self.ends)} different ends:\n\n{differences(self.ends)}"
        return end


@dataclass(frozen=True, slots=True)
class _Onward:
    """Where a state leads without trouble: the run after its pass, and its state (None: at rest)."""

    run: Run
    key: Hashable | None
    wrote: bool
    took_time: bool


def explore(
    starts: Iterable[Run],
    *,
    until: Callable[[Run], bool] = lambda _: False,
    restarts: bool = True,
    limit: int = 20_000,
    laws: type[Laws] = Laws,
) -> Exploration:
    """Explore everything that can come of these runs. Raises BrokenLaw, or AssertionError for a live-lock.

    From a state for which `until` holds it goes on without trouble, for that is explored elsewhere. Without
    `restarts` a controller only crashes right after a write, not while it waits.
    """
    found = Exploration()
    onward: dict[Hashable, _Onward] = {}
    todo = deque(starts)
    while todo:
        run = todo.popleft()
        key = canonical(run.world, run.memory)
        if key in onward:
            continue
        assert len(onward) < limit, f"not closed after {limit} states: {found}"
        found.worlds.add(canonical(run.world))
        if until(run):
            onward[key] = _Onward(run, None, wrote=False, took_time=False)
            continue
        onward[key], others = _expand(run, found, laws)
        todo.extend(others)
        if restarts:
            todo.append(run.fork(memory=Memory()))
            found.edges += 1
        if onward[key].key is not None:
            todo.append(onward[key].run)
    found.states = len(onward)
    for rested in _rests(onward):
        if until(rested):
            rested.to_rest()
        found.ends.setdefault(shape(rested.world), rested)
    return found


def _expand(run: Run, found: Exploration, laws: type[Laws]) -> tuple[_Onward, list[Run]]:
    """What follows without trouble, and all the states that trouble leads to."""
    recorder = _Recorder(run.pace)
    after = run.fork()
    goes_on = _advance(after, recorder, laws)
    others = [run.fork(world=world, memory=Memory()) for world in recorder.worlds]
    for number in range(len(recorder.worlds)):
        for done in (True, False):
            troubled = run.fork()
            _advance(troubled, FaultAtWrite(number, done=done), laws)
            others.append(troubled)
    found.edges += len(others) + 1
    found.writes += len(recorder.worlds)
    key = canonical(after.world, after.memory) if goes_on else None
    return _Onward(after, key, bool(recorder.worlds), after.world.now > run.world.now), others


def _advance(run: Run, hook: Hook, laws: type[Laws]) -> bool:
    watching = laws(run.evidence, run.timing)
    watching.look(run.world)
    run.world.on_write = watching.watch
    try:
        return run.advance(hook, made=check_pass)
    finally:
        run.world.on_write = None


class _Recorder(Hook):
    """Keeps the world as it is after each write."""

    def __init__(self, pace: str) -> None:
        self._pace = pace
        self.worlds: list[World] = []

    def __call__(self, run: Pass, call: Call) -> Any:
        try:
            return run.make(call)
        finally:
            if call.writes:
                world = run.world.fork()
                world.on_write = None
                if self._pace == "prompt":
                    environment.settle(world)
                self.worlds.append(world)


def _rests(onward: dict[Hashable, _Onward]) -> Iterator[Run]:
    """The ends of untroubled runs: nothing more happens, or looks come round and round without a write."""
    settled: set[Hashable] = set()
    for start in onward:
        path: dict[Hashable, None] = {}
        at: Hashable | None = start
        while at is not None and at not in settled and at not in path:
            path[at] = None
            last, at = at, onward[at].key
        if at is None:
            yield onward[last].run
        elif at in path:
            loop = [onward[state] for state in list(path)[list(path).index(at) :]]
            assert not any(one.wrote for one in loop), f"a loop of {len(loop)} states that writes"
            assert any(one.took_time for one in loop), "passes at once, over and over, for nothing"
            yield loop[0].run
        settled.update(path)


def moments(run: Run, happens: Callable[[World], None], when: Callable[[Run], bool]) -> list[Run]:
    """An untroubled run, with something happening at each of its moments that differ in more than ages.

    Only at moments for which `when` holds. The native controllers see it before ours does.
    """
    found: list[Run] = []
    been: set[Hashable] = set()
    shapes: set[Hashable] = set()
    while (key := canonical(run.world, run.memory)) not in been:
        been.add(key)
        looks = shape(run.world)
        if when(run) and looks not in shapes:
            shapes.add(looks)
            other = run.fork()
            happens(other.world)
            environment.settle(other.world)
            found.append(other)
        if not run.advance():
            break
    return found

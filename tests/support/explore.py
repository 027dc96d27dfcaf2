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
from collections.abc import Hashable, Iterable, Iterator
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

    @property
    def end(self) -> Run:
        """The run that came to the one end that there is."""
        assert len(self.ends) == 1, f"{len(self.ends)} different ends:\n\n{differences(self.ends)}"
        return next(iter(self.ends.values()))


@dataclass(frozen=True, slots=True)
class _Next:
    """Where the run without trouble goes from a state: `None` if it rests."""

    key: Hashable | None
    wrote: bool
    took_time: bool


def explore(starts: Iterable[Run], limit: int = 20_000) -> Exploration:
    """Explore everything that can come of these runs. Raises BrokenLaw, or AssertionError for a live-lock."""
    found = Exploration()
    onward: dict[Hashable, _Next] = {}
    reached: dict[Hashable, Run] = {}
    todo = deque(starts)
    while todo:
        run = todo.popleft()
        key = canonical(run.world, run.memory)
        if key in onward:
            continue
        assert len(onward) < limit, f"not closed after {limit} states: {found}"
        reached[key] = run
        found.worlds.add(canonical(run.world))
        following, wrote, others = _expand(run, found)
        if following is None:
            onward[key] = _Next(None, wrote, took_time=False)
        else:
            took_time = following.world.now > run.world.now
            onward[key] = _Next(canonical(following.world, following.memory), wrote, took_time)
            todo.append(following)
        todo.extend(others)
    found.states = len(onward)
    for end in _rests(onward):
        rested = reached[end]
        found.ends.setdefault(shape(rested.world), rested)
    return found


def _expand(run: Run, found: Exploration) -> tuple[Run | None, bool, list[Run]]:
    """The state after an untroubled pass (None: at rest), whether it wrote, and all the troubled ones."""
    recorder = _Recorder(run.pace)
    onward = run.fork()
    goes_on = _advance(onward, recorder)
    others = [run.fork(world=world, memory=Memory()) for world in recorder.worlds]
    for number in range(len(recorder.worlds)):
        for done in (True, False):
            troubled = run.fork()
            _advance(troubled, FaultAtWrite(number, done=done))
            others.append(troubled)
    others.append(run.fork(memory=Memory()))
    found.edges += len(others) + 1
    found.writes += len(recorder.worlds)
    return (onward if goes_on else None), bool(recorder.worlds), others


def _advance(run: Run, hook: Hook) -> bool:
    laws = Laws(run.evidence, run.timing)
    laws.look(run.world)
    run.world.on_write = laws.watch
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


def _rests(onward: dict[Hashable, _Next]) -> Iterator[Hashable]:
    """The states in which untroubled runs end: no way on, or round and round without a write."""
    settled: set[Hashable] = set()
    for start in onward:
        path: dict[Hashable, None] = {}
        at: Hashable | None = start
        while at is not None and at not in settled and at not in path:
            path[at] = None
            last, at = at, onward[at].key
        if at is None:
            yield last
        elif at in path:
            loop = list(path)[list(path).index(at) :]
            assert not any(onward[state].wrote for state in loop), f"a loop of {len(loop)} states that writes"
            assert any(onward[state].took_time for state in loop), (
                "passes at once, over and over, for nothing"
            )
            yield at
        settled.update(path)

"""The controller's ports over a simulated world, and one pass over them, call by call.

Each call of a port yields once, as a `Call`, to whoever drives the coroutine with `send`: that is where a
test lets it through, throws a fault, or closes the coroutine, which is what a crash is.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from rollout_controller.api.names import FIELD_MANAGER
from rollout_controller.controller.memory import Memory
from rollout_controller.controller.observe import Sighting
from rollout_controller.controller.reconcile import Reconciler
from rollout_controller.controller.result import PassResult
from rollout_controller.controller.status import facts_of
from rollout_controller.core.release import Facts, Hash, StageKey
from rollout_controller.core.verdict import Verdict, Verification
from rollout_controller.core.world import Timing
from rollout_controller.ports import ClusterError, Json, Key, Kind, Ref, Unavailable
from tests.support.world import World, ref_of

KEY: Final = Key("shop", "web")
ROLLOUT: Final = Ref(Kind.ROLLOUT, *KEY)

Verb = Literal["get", "list", "create", "patch", "delete"]
CALL_LIMIT: Final = 500
TICK: Final = timedelta(seconds=5)
"""All that takes time here takes a multiple of this, so that few different ages can come together."""
TIMING: Final = Timing(settle=TICK, settle_relabel=2 * TICK, quiet_limit=6 * TICK)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to the API server, not yet made. `target` is what it is about, or the kind for a list."""

    verb: Verb
    target: Ref
    body: Any = None
    live: bool = True
    status: bool = False
    dry_run: bool = False
    manager: str = ""
    labels: str = ""
    uid: str = ""
    resource_version: str | None = None

    def __await__(self) -> Generator[Call, Any, Any]:
        return (yield self)

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.verb in {"create", "patch", "delete"} and not self.dry_run

    def make(self, world: World, cached: World) -> Any:
        """The answer; reads that are not live are answered by `cached`. Raises ClusterError."""
        match self.verb:
            case "get":
                return (world if self.live else cached).get(self.target)
            case "list":
                seen = world if self.live else cached
                return seen.every(self.target.kind, self.target.namespace, self.labels)
            case "create":
                return world.create(self.target.kind, self.body, FIELD_MANAGER)
            case "patch":
                manager = self.manager or FIELD_MANAGER
                return world.patch(self.target, self.body, manager, status=self.status, dry_run=self.dry_run)
            case "delete":
                world.delete(self.target, FIELD_MANAGER, uid=self.uid, resource_version=self.resource_version)
                return None


@dataclass(frozen=True, slots=True)
class SimulatedCluster:
    """`ports.Cluster`: every call goes to the driver, and `seen` is what watches know."""

    seen: World

    @property
    def watched(self) -> frozenset[str]:
        return frozenset({""})

    def known(self, kind: Kind, namespace: str = "") -> Sequence[Json] | None:
        return self.seen.every(kind, namespace)

    async def get(self, ref: Ref, *, live: bool) -> Json | None:
        found: Json | None = await Call("get", ref, live=live)
        return found

    async def list(self, kind: Kind, namespace: str, *, live: bool, labels: str = "") -> list[Json]:
        found: list[Json] = await Call("list", Ref(kind, namespace, ""), live=live, labels=labels)
        return found

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        ref = ref_of(kind, body)
        assert ref.namespace == namespace, f"{ref} is created in {namespace}"
        made: Json = await Call("create", ref, body=deepcopy(body))
        return made

    async def patch(
        self, ref: Ref, ops: Sequence[Json], *, status: bool = False, dry_run: bool = False, manager: str = ""
    ) -> Json:
        patched: Json = await Call(
            "patch", ref, body=list(ops), status=status, dry_run=dry_run, manager=manager
        )
        return patched

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        await Call("delete", ref, uid=uid, resource_version=resource_version)


@dataclass(slots=True)
class WorldClock:
    """`ports.Clock`: the world's time."""

    world: World

    def now(self) -> datetime:
        return self.world.now


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the evaluator will say: a pass `after` a stage settled; or a fail, or nothing, at some stages."""

    after: timedelta = TICK
    fails_at: frozenset[int] = frozenset()
    silent_at: frozenset[int] = frozenset()
    busy: bool | None = False
    strays: str | None = None
    """What is known of who still sends to a canary after a revert; None: nobody does."""
    off_at: frozenset[int] = frozenset()
    off: str = ""
    """At these stages the canary does not get its share, for this reason."""

    def passes(self, stage: int) -> bool:
        """Whether this stage will get a pass."""
        return stage not in self.silent_at | self.fails_at | self.off_at

    def due(self, world: World, timing: Timing, of: Key = KEY) -> datetime | None:
        """When the verdict on the present stage is there, None if there is none to come."""
        key = _facts(world, of).key
        if key is None or key.index in self.silent_at:
            return None
        return key.since + timing.settle + self.after


_FACTS: Final[dict[int, tuple[Json, Facts]]] = {}


def _facts(world: World, of: Key = KEY) -> Facts:
    """The facts in the status; remembered by identity, for objects are never changed."""
    rollout = world.get(Ref(Kind.ROLLOUT, *of))
    if rollout is None:
        return Facts()
    known = _FACTS.get(id(rollout))
    if known is None or known[0] is not rollout:
        known = _FACTS[id(rollout)] = rollout, facts_of(rollout.get("status") or {})
    return known[1]


@dataclass(slots=True)
class ScriptedJudges:
    """The evaluator's seat, taken by `Evidence`: what it says follows from the world alone."""

    world: World
    evidence: Evidence
    timing: Timing

    def verdict(self, key: Key) -> Verdict | None:
        stage, ready = _facts(self.world, key).key, self.evidence.due(self.world, self.timing, key)
        if stage is None or ready is None or ready > self.world.now:
            return None
        return self._say(stage, ready)

    def _say(self, stage: StageKey, since: datetime) -> Verdict:
        if stage.index in self.evidence.fails_at:
            return Verdict(stage, "fail", since, failures=2, sentence="error rate 5 % (limit 1 %)")
        if stage.index in self.evidence.off_at:
            off = Verification("False", "FarTooFew", self.evidence.off)
            return Verdict(stage, "inconclusive", since, sentence=self.evidence.off, traffic=off)
        right = Verification(
            "True", "AsRouted", "the canary got 50 % of 100 requests; the routes give it 50 %"
        )
        return Verdict(stage, "pass", since, sentence="error rate 0 % (limit 1 %)", traffic=right)

    def busy(self, key: Key) -> Mapping[Hash, bool | None]:
        facts = _facts(self.world, key)
        return {revision: self.evidence.busy for revision in (facts.stable, facts.canary) if revision}

    def strays(self, key: Key) -> Mapping[Hash, str]:
        canary, who = _facts(self.world).canary, self.evidence.strays
        return {canary: who} if canary and who is not None else {}

    def scrape_interval(self, key: Key) -> timedelta | None:
        return None

    def judge(self, key: Key, sighting: Sighting | None, facts: Facts | None) -> None:
        """What is to be judged is read from the world."""


@dataclass(slots=True)
class Told:
    """`ports.Notifier`: keeps what it was told."""

    notices: list[tuple[str, str, str]] = field(default_factory=list)

    def notify(self, rollout: Json, type_: str, reason: str, message: str) -> None:
        self.notices.append((type_, reason, message))


class Crashed(BaseException):
    """Raised by a driver's hook in the place of an answer: the controller is no more."""


@dataclass(slots=True)
class Pass:
    """One pass of the controller over a Rollout of a world, made call by call.

    `memory` is what this controller remembers, and is changed. `cached` answers the reads that are not live;
    without it they are as fresh as live ones.
    """

    world: World
    memory: Memory
    evidence: Evidence
    timing: Timing
    cached: World | None = None
    told: Told = field(default_factory=Told)
    calls: list[Call] = field(default_factory=list)
    key: Key = KEY

    def run(self, hook: Hook | None = None) -> PassResult | None:
        """The pass's result, None if the hook crashed it."""
        judges = ScriptedJudges(self.world, self.evidence, self.timing)
        clock = WorldClock(self.world)
        cluster = SimulatedCluster(self.cached or self.world)
        reconciler = Reconciler(cluster, clock, judges, self.told, self.timing)
        reconciler._memories[self.key] = self.memory
        coroutine = reconciler.run_pass(self.key)
        answer: Any = None
        try:
            while len(self.calls) < CALL_LIMIT:
                failed = isinstance(answer, ClusterError)
                call = coroutine.throw(answer) if failed else coroutine.send(answer)
                self.calls.append(call)
                answer = self._answer(call, hook)
        except StopIteration as done:
            result: PassResult = done.value
            return result
        except Crashed:
            coroutine.close()
            return None
        raise AssertionError(f"a pass made {CALL_LIMIT} calls without coming to an end")

    def _answer(self, call: Call, hook: Hook | None) -> Any:
        try:
            return hook(self, call) if hook is not None else self.make(call)
        except ClusterError as error:
            return error

    def make(self, call: Call) -> Any:
        """Make a call as the API server would. Raises ClusterError."""
        return call.make(self.world, self.cached or self.world)

    @property
    def writes(self) -> list[Call]:
        """The writes that were asked for so far."""
        return [call for call in self.calls if call.writes]


class Hook:
    """Stands between the controller and the world in one pass: lets every call through."""

    def __call__(self, run: Pass, call: Call) -> Any:
        return run.make(call)


class FaultAtWrite(Hook):
    """The n-th write (from 0) of a pass gets no answer; it was done, or it was not."""

    def __init__(self, number: int, *, done: bool) -> None:
        self._number = number
        self._done = done

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.writes and len(run.writes) == self._number + 1:
            if self._done:
                run.make(call)
            raise Unavailable(call.target, call.verb, "no answer in time")
        return run.make(call)

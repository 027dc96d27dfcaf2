"""Everybody at once: people, tools, native controllers, faults and crashes between any two calls of a pass.

Hypothesis draws what happens in which order. The laws are checked on every write; and once everybody leaves
the shop alone, it comes to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rollout_controller.api import names
from rollout_controller.controller.memory import Memory
from rollout_controller.core.release import Phase
from rollout_controller.ports import Kind, Unavailable
from tests.support import environment, mesh, people, releases, scene
from tests.support.laws import NATIVE, OURS, Laws, check_pass
from tests.support.play import Run
from tests.support.replicasets import TEMPLATE_HASH
from tests.support.simulation import ROLLOUT, TICK, TIMING, Call, Crashed, Evidence, Hook, Pass
from tests.support.world import World

DURATIONS: Final[dict[str, Any]] = {"progressDeadline": "60s", "maxDuration": "60s"}
REST: Final = timedelta(minutes=10)
"""So long without a write: longer than any wait of this shop."""

Deed = Callable[[Run], None]


def _in_stage(deed: Callable[[World], object]) -> Deed:
    """Mesh edits are of interest while the canary has a share; at rest the mesh is the user's own."""

    def do(run: Run) -> None:
        if releases.in_stage(run):
            deed(run.world)

    return do


def _anytime(deed: Callable[[World], object]) -> Deed:
    def do(run: Run) -> None:
        deed(run.world)

    return do


def _on_rollout(deed: Callable[[World], object]) -> Deed:
    """For what needs a Rollout that is there."""

    def do(run: Run) -> None:
        if run.world.get(ROLLOUT) is not None:
            deed(run.world)

    return do


def _command(**given: str) -> Deed:
    return _on_rollout(lambda world: scene.annotate(world, **given))


def _relabelled(run: Run) -> None:
    if releases.in_stage(run):
        people.relabel(run.world, run.facts.canary, run.facts.canary)


PEOPLE: Final[dict[str, Deed]] = {
    "set image 1": _anytime(lambda world: scene.set_image(world, scene.V1)),
    "set image 2": _anytime(lambda world: scene.set_image(world, scene.V2)),
    "set image 3": _anytime(lambda world: scene.set_image(world, scene.V3)),
    "scale to 2": _anytime(lambda world: scene.scale(world, 2)),
    "scale to 4": _anytime(lambda world: scene.scale(world, 4)),
    "abort": _command(abort="bad"),
    "pause": _command(pause="lunch"),
    "resume": _command(resume="true"),
    "promote": _command(promote="true"),
    "promote full": _command(promote="full"),
    "retry": _command(retry="true"),
    "pause and abort": _command(pause="lunch", abort="bad"),
    "spec.paused": _on_rollout(lambda world: scene.edit_spec(world, paused=True)),
    "spec not paused": _on_rollout(lambda world: scene.edit_spec(world, paused=False)),
    "un-pause by hand": _anytime(people.unpause),
    "strip the label": _anytime(people.strip_label),
}
"""What costs nobody a pod: here native controllers are held to the laws too."""

SABOTAGE: Final[dict[str, Deed]] = {
    "lower the share": _in_stage(lambda world: people.shift(world, 0)),
    "lower one share": _in_stage(lambda world: people.shift(world, 0, ("web-mesh",))),
    "raise the share": _in_stage(lambda world: people.shift(world, 80)),
    "apply git's rule": _in_stage(people.apply_git),
    "relabel": _relabelled,
    "delete the canary": _anytime(people.delete_canary),
    "scale the canary": _anytime(lambda world: people.scale_canary(world, 1)),
    "evict a pod": _anytime(lambda world: people.evict(world, 3)),
    "version 2 fails": _anytime(lambda world: scene.break_pods(world, scene.V2)),
    "version 3 fails": _anytime(lambda world: scene.break_pods(world, scene.V3)),
    "all is well": _anytime(lambda world: scene.break_pods(world)),
    "break the glass": _anytime(people.break_glass),
    "delete the Rollout": _anytime(people.delete_rollout),
}

FEEDING: Final[dict[str, Deed]] = {
    "apply git's routes": _in_stage(people.apply_routes),
    "copy more": _in_stage(lambda world: people.copy(world, 90)),
    "copy nothing": _in_stage(lambda world: people.copy(world, 0, ("web",))),
    "change the routes": _in_stage(people.retime),
}
"""What can be done to pinned routes and copies, and to the routes that they rest on."""

HEADER: Final = {"headers": {"x-canary": {"exact": "true"}}}
FED_STEPS: Final = [{"weight": 0}, {"weight": 50, "mirror": 30}, {"weight": 100}]
PLAIN: Final[tuple[dict[str, Any], ...]] = (
    {"canary": {"minPods": 1, "steps": [{"weight": 50}, {"weight": 100}]}},
)
FED: Final[tuple[dict[str, Any], ...]] = (
    {"canary": {"minPods": 1, "pin": [HEADER], "steps": FED_STEPS}},
    {"blueGreen": {"preview": [HEADER], "mirror": 20}},
)

FAULTS: Final = ("crash", "lost", "failed")
FOREIGN: Final = st.sampled_from(
    [(), (), (("legacy", 30),), (("legacy", 12), ("beta", 78)), (("legacy", 67),)]
)
"""What a route sends elsewhere, beside our two destinations."""
evidence = st.sampled_from(
    [
        Evidence(),
        Evidence(fails_at=frozenset({0})),
        Evidence(fails_at=frozenset({1})),
        Evidence(silent_at=frozenset({1})),
        Evidence(busy=True),
    ]
)


class _Between(Hook):
    """At one call of a pass somebody does something first, or it gets no answer, or it is the last one."""

    def __init__(self, shop: Shop, at: int, deed: str | None = None, fault: str | None = None) -> None:
        self._shop, self._at, self._deed, self._fault = shop, at, deed, fault

    def __call__(self, run: Pass, call: Call) -> Any:
        if len(run.calls) != self._at + 1:
            return self._make(run, call)
        if self._deed is not None:
            self._shop.laws.disturbed = True
            self._shop.do(self._deed)
        if self._fault == "failed":
            raise Unavailable(call.target, call.verb, "no connection")
        answer = self._make(run, call)
        if self._fault == "crash":
            raise Crashed
        if self._fault == "lost":
            raise Unavailable(call.target, call.verb, "no answer in time")
        return answer

    def _make(self, run: Pass, call: Call) -> Any:
        try:
            return run.make(call)
        finally:
            if call.writes:
                self._shop.own_write_enters_the_cache(call)


class Shop(RuleBasedStateMachine):
    """A controller with a cache that lags, in a world in which everybody acts."""

    deeds: ClassVar[dict[str, Deed]] = PEOPLE
    blamed: ClassVar[frozenset[str]] = NATIVE | {OURS}
    strategies: ClassVar[tuple[dict[str, Any], ...]] = PLAIN

    @initialize(
        evidence=evidence,
        replicas=st.integers(1, 4),
        begun=st.integers(0, 40),
        elsewhere=st.tuples(FOREIGN, FOREIGN),
    )
    def open(
        self, evidence: Evidence, replicas: int, begun: int, elsewhere: tuple[scene.Foreign, scene.Foreign]
    ) -> None:
        """Version 1 at rest, or version 2 somewhere on its way."""
        strategy = self.strategies[begun % len(self.strategies)]
        self.run = releases.at_rest(replicas=replicas, strategy=strategy, **DURATIONS)
        self.run.evidence = evidence
        for service, foreign in zip((scene.GATEWAY, scene.MESH), elsewhere, strict=True):
            scene.share_with(self.run.world, service, *foreign)
        if begun:
            scene.set_image(self.run.world, scene.V2)
        for _ in range(begun):
            self.run.advance()
        self.cached: World = self.run.world.fork()
        self.laws = Laws(evidence, TIMING, self.blamed)
        self.laws.look(self.run.world)
        self.run.world.on_write = self.laws.watch

    def do(self, deed: str) -> None:
        self.deeds[deed](self.run)

    def own_write_enters_the_cache(self, call: Call) -> None:
        kind, where = call.target.kind, (call.target.namespace, call.target.name)
        written = self.run.world.get(call.target)
        if written is None:
            self.cached.objects[kind].pop(where, None)
        else:
            self.cached.objects[kind][where] = written

    def look(self, hook: Hook) -> None:
        """One pass, by a controller whose watches may lag."""
        self.laws.disturbed = False
        self.cached.now = self.run.world.now
        made = Pass(self.run.world, self.run.memory, self.run.evidence, TIMING, self.cached, self.run.told)
        result = made.run(hook)
        check_pass(made)
        self.laws.disturbed = False
        if result is None:
            self.run.memory, self.cached = Memory(), self.run.world.fork()

    @rule(times=st.integers(1, 4))
    def passes(self, times: int) -> None:
        for _ in range(times):
            self.look(_Between(self, at=-1))

    @rule(at=st.integers(0, 25), fault=st.sampled_from(FAULTS))
    def pass_with_a_fault(self, at: int, fault: str) -> None:
        self.look(_Between(self, at, fault=fault))

    @rule(at=st.integers(8, 25), data=st.data())
    def pass_with_somebody_in_between(self, at: int, data: st.DataObject) -> None:
        self.look(_Between(self, at, deed=data.draw(st.sampled_from(sorted(self.deeds)))))

    @rule(data=st.data())
    def somebody(self, data: st.DataObject) -> None:
        self.do(data.draw(st.sampled_from(sorted(self.deeds))))

    @rule()
    def restart(self) -> None:
        self.run.memory, self.cached = Memory(), self.run.world.fork()

    @rule()
    def watches_catch_up(self) -> None:
        self.cached = self.run.world.fork()

    @rule(writes=st.integers(1, 6))
    def native_controllers(self, writes: int) -> None:
        for _ in range(writes):
            environment.step(self.run.world)

    @rule(ticks=st.integers(1, 3))
    def time(self, ticks: int) -> None:
        self.run.world.now += ticks * TICK
        self.cached = self.run.world.fork()

    @rule(steps=st.integers(5, 40))
    def undisturbed(self, steps: int) -> None:
        """As it mostly is: everything keeps up, so that later stages are come to."""
        for _ in range(steps):
            self.run.advance(made=check_pass)
        self.cached = self.run.world.fork()

    def teardown(self) -> None:
        if not hasattr(self, "run"):
            return
        run, world = self.run, self.run.world
        scene.break_pods(world)
        if world.get(ROLLOUT) is not None:
            scene.edit_spec(world, paused=False)
        environment.settle(world)
        leave_alone(run)
        assert_rests_well(run)


def leave_alone(run: Run) -> None:
    """Advance until nothing was written for a long time."""
    for _ in range(20):
        version = run.world.version
        run.wait(REST)
        if run.world.version == version:
            return
    raise AssertionError(f"still at work after hours: {run.facts}")


def assert_rests_well(run: Run) -> None:
    """Nobody waits in vain, nothing is left behind, and who is served is served by ready pods."""
    world, facts = run.world, run.facts
    replicas = world.need(scene.DEPLOYMENT)["spec"]["replicas"]
    assert releases.annotated(world) == {} if world.get(ROLLOUT) is not None else True
    if world.get(ROLLOUT) is None or facts.phase in {Phase.HEALTHY, Phase.REVERTED}:
        assert releases.pinned(world) == set()
        assert {row["canary"] for row in releases.weights(world)} == {0}
        assert not any(map(mesh.is_fed, world.every(Kind.VIRTUAL_SERVICE)))
        assert sum(releases.serving(world).values()) == replicas, releases.serving(world)
        assert len(releases.serving(world)) == 1
    else:
        assert facts.phase is Phase.PAUSED, f"{facts.phase}: {facts.reason}"
    if facts.phase is Phase.HEALTHY:
        releases.assert_at_rest(run, releases.image(world), replicas)
        assert names.FINALIZER not in world.need(ROLLOUT)["metadata"].get("finalizers", ())
    kinds = {rs["metadata"]["labels"][TEMPLATE_HASH] for rs in world.every(Kind.REPLICA_SET)}
    assert releases.pinned(world) <= kinds | {facts.canary or ""}


class Sabotaged(Shop):
    """Here people also take pods away and edit the mesh: only our own writes are blamed for the cost."""

    deeds: ClassVar[dict[str, Deed]] = {**PEOPLE, **SABOTAGE}
    blamed: ClassVar[frozenset[str]] = frozenset({OURS})


class Fed(Sabotaged):
    """Here the canary is sent pinned requests and copies too, and people edit those as well."""

    deeds: ClassVar[dict[str, Deed]] = {**PEOPLE, **SABOTAGE, **FEEDING}
    strategies: ClassVar[tuple[dict[str, Any], ...]] = FED


TestShop = Shop.TestCase
TestShop.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
TestSabotaged = Sabotaged.TestCase
TestSabotaged.settings = settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
TestFed = Fed.TestCase
TestFed.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)

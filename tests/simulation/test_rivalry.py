"""Rollouts that come, go and claim each other's Deployment and routes at random, in releases too."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rollout_controller.api import names
from rollout_controller.core.ownership import bears_marks, claims_of
from rollout_controller.core.release import RUNNING, Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import scene
from tests.support.rivals import OURS, Rivals
from tests.support.simulation import KEY, TICK, Evidence
from tests.support.world import World

NAMES: Final = ("alpha", "beta", "web", "zeta")
APART: Final = {
    "istio": {
        "virtualServices": [{"name": "web", "routes": ["other"]}],
        "destinationRule": {"name": "other", "stableSubset": "stable", "canarySubset": "canary"},
    }
}
CLAIMS: Final[dict[str, Any]] = {
    "everything": {},
    "everything again": {},
    "the routes": {"workload": {"deployment": "elsewhere"}},
    "the Deployment": {"traffic": APART},
    "something else": {"workload": {"deployment": "elsewhere"}, "traffic": APART},
}
names_of_rollouts = st.sampled_from(NAMES)
claims = st.sampled_from(sorted(CLAIMS))


class Rivalry(RuleBasedStateMachine):
    """Two releases never meet, and nobody takes the label twice."""

    @initialize(fails=st.sampled_from([frozenset(), frozenset({0})]), begun=st.integers(0, 60))
    def open(self, fails: frozenset[int], begun: int) -> None:
        """`web` at rest, or somewhere on its way to version 2."""
        self.rivals = Rivals(scene.shop(), Evidence(fails_at=fails)).to_rest()
        if begun:
            scene.set_image(self.rivals.world, scene.V2)
        for _ in range(begun):
            self.rivals.advance()
        self.watched = self.rivals.world.on_write
        self.rivals.world.on_write = self._written
        self.deed()

    def deed(self) -> None:
        """People did something: from now on each Rollout may take the label once."""
        self.taken: list[str] = []

    def _written(self, world: World, ref: Ref, old: Json | None, new: Json | None, manager: str) -> None:
        if ref.kind is Kind.ROLLOUT and new is not None and manager == OURS:
            begins = bears_marks(new) and (old is None or not bears_marks(old))
            met = [one for one in world.every(Kind.ROLLOUT) if bears_marks(one) and self._meet(one, new)]
            assert not (begins and met), f"the releases of {ref.name} and {self._name(met[0])} meet"
        if ref.kind is Kind.DEPLOYMENT and new is not None and manager == OURS:
            label = (new["metadata"].get("labels") or {}).get(names.LABEL)
            if label and label != ((old or {"metadata": {}})["metadata"].get("labels") or {}).get(
                names.LABEL
            ):
                assert label not in self.taken, f"{label} takes the label from {self.taken[-1]} again"
                self.taken.append(label)
        assert self.watched is not None
        self.watched(world, ref, old, new, manager)

    @staticmethod
    def _name(one: Json) -> str:
        return str(one["metadata"]["name"])

    def _meet(self, one: Json, other: Json) -> bool:
        apart = claims_of(one).shared_with(claims_of(other)) is None
        return self._name(one) != self._name(other) and not apart

    def _get(self, name: str) -> Json | None:
        return self.rivals.world.get(Ref(Kind.ROLLOUT, KEY.namespace, name))

    @rule(name=names_of_rollouts, what=claims, like=names_of_rollouts)
    def apply(self, name: str, what: str, like: str) -> None:
        """A Rollout is made, perhaps in the second in which another one was."""
        self.deed()
        if self._get(name) is None:
            same = like if self._get(like) is not None else ""
            scene.another_rollout(self.rivals.world, name, like=same, **CLAIMS[what])

    @rule()
    def older(self) -> None:
        """One that owns whatever `web` claims, whatever it is doing."""
        self.apply("alpha", "everything", "web")

    @rule(name=names_of_rollouts, what=claims)
    def respec(self, name: str, what: str) -> None:
        """Another claim, which the API server lets through at rest only."""
        self.deed()
        found = self._get(name)
        if found is not None and not bears_marks(found):
            ref = Ref(Kind.ROLLOUT, KEY.namespace, name)
            usual = scene.usual_claims()
            self.rivals.world.update(
                ref, {**found, "spec": {**found["spec"], **usual, **CLAIMS[what]}}, "kubectl"
            )

    @rule(name=names_of_rollouts, foreground=st.booleans())
    def delete(self, name: str, foreground: bool) -> None:
        self.deed()
        if self._get(name) is not None:
            ref = Ref(Kind.ROLLOUT, KEY.namespace, name)
            self.rivals.world.delete(ref, "kubectl", foreground=foreground)

    @rule(name=names_of_rollouts, verb=st.sampled_from(["abort", "retry", "promote"]))
    def command(self, name: str, verb: str) -> None:
        self.deed()
        self.annotate(name, verb)

    def annotate(self, name: str, verb: str) -> None:
        found = self._get(name)
        if found is not None:
            given = {**(found["metadata"].get("annotations") or {}), f"{names.GROUP}/{verb}": "true"}
            body = {**found, "metadata": {**found["metadata"], "annotations": given}}
            self.rivals.world.update(Ref(Kind.ROLLOUT, KEY.namespace, name), body, "kubectl")

    @rule(image=st.sampled_from([scene.V1, scene.V2, scene.V3]))
    def set_image(self, image: str) -> None:
        self.deed()
        scene.set_image(self.rivals.world, image)

    @rule(steps=st.integers(1, 12))
    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.rivals.advance()

    @rule(steps=st.integers(20, 60))
    def advance_far(self, steps: int) -> None:
        self.advance(steps)

    @precondition(lambda self: hasattr(self, "rivals"))
    @rule()
    def time(self) -> None:
        self.rivals.world.now += TICK

    def teardown(self) -> None:
        if hasattr(self, "rivals"):
            self.rivals.to_rest()
            self.assert_the_oldest_owns()
            self.deed()
            for name, phase in self.rivals.phases().items():
                if phase is Phase.PAUSED:
                    self.annotate(name, "abort")
            self.rivals.to_rest()
            self.assert_the_oldest_owns()
            assert Phase.PAUSED not in self.rivals.phases().values()

    def assert_the_oldest_owns(self) -> None:
        """Whoever meets an older one is Invalid, or Paused with its canary; nobody else is kept out."""
        every = self.rivals.world.every(Kind.ROLLOUT)
        phases = self.rivals.phases()
        for one in every:
            name, age = self._name(one), (one["metadata"]["creationTimestamp"], self._name(one))
            older = [
                o
                for o in every
                if self._meet(o, one) and (o["metadata"]["creationTimestamp"], self._name(o)) < age
            ]
            message = self.rivals.message(name)
            if older:
                assert phases[name] in {Phase.INVALID, Phase.PAUSED}, f"{name}: {phases}"
                assert "belongs to Rollout" in message
                assert bears_marks(one) == (phases[name] is Phase.PAUSED), f"{name} has not let go"
            elif not any(self._meet(o, one) and bears_marks(o) for o in every):
                assert "belongs to Rollout" not in message
                assert phases[name] not in RUNNING, f"{name}: {phases} {message}"
                if one["spec"]["workload"]["deployment"] == "web" and phases[name] is Phase.HEALTHY:
                    deployment = self.rivals.world.need(scene.DEPLOYMENT)
                    assert deployment["metadata"]["labels"][names.LABEL] == name


TestRivalry = Rivalry.TestCase
TestRivalry.settings = settings(max_examples=60, stateful_step_count=20, deadline=None, derandomize=True)

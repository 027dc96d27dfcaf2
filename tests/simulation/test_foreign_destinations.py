"""Beside destinations that are not ours: a release moves its part of each route, and nothing of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import mesh, people, scene
from tests.support.laws import Laws, check_pass
from tests.support.play import Run
from tests.support.releases import PASSES, serving
from tests.support.simulation import Crashed, Evidence, Hook, Pass
from tests.support.world import World

STEPS: Final = ({"weight": 2}, {"weight": 5}, {"weight": 33}, {"weight": 50}, {"weight": 100})
Shares = Mapping[Ref, scene.Foreign]
SHARES: Final[dict[str, Shares]] = {
    "30 % elsewhere": {scene.GATEWAY: (("legacy", 30),)},
    "two others": {scene.MESH: (("legacy", 12), ("beta", 78))},
    "different shares": {scene.GATEWAY: (("legacy", 30),), scene.MESH: (("beta", 67), ("legacy", 0))},
    "hardly anything of ours": {scene.GATEWAY: (("legacy", 97),), scene.MESH: (("legacy", 1),)},
}


def weights(world: World, service: Ref) -> list[int]:
    """The weights of the managed route, in its order."""
    routes = [route for route in world.need(service)["spec"]["http"] if route["name"] == mesh.ROUTE]
    return [destination["weight"] for destination in routes[0]["route"]]


def foreign(world: World, service: Ref) -> list[Json]:
    """The destinations of the managed route that are not ours."""
    routes = [route for route in world.need(service)["spec"]["http"] if route["name"] == mesh.ROUTE]
    return [destination for destination in routes[0]["route"] if not mesh.is_ours(destination)]


def shared(shares: Shares, evidence: Evidence = PASSES, **spec: Any) -> Run:
    """At rest, each VirtualService with these shares of others; then version 2 is asked for."""
    world = scene.shop(steps=STEPS, **spec)
    for service, others in shares.items():
        scene.share_with(world, service, *others)
    run = Run(world, evidence).to_rest()
    assert run.facts.phase is Phase.HEALTHY
    scene.set_image(run.world, scene.V2)
    laws = Laws(evidence)
    laws.look(run.world)
    run.world.on_write = laws.watch
    return run


def advance(run: Run, hook: Hook | None = None) -> bool:
    return run.advance(hook, made=check_pass)


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
def test_each_step_gives_the_canary_its_part_of_ours_and_leaves_theirs(
    shares: Shares,
) -> None:
    run = shared(shares)
    before = {service: foreign(run.world, service) for service in (scene.GATEWAY, scene.MESH)}
    seen: dict[int, set[int]] = {}
    while advance(run):
        converged = run.facts.reached == (run.facts.at.weight if run.facts.at else None)
        if run.facts.phase is Phase.PROGRESSING and converged:
            for service in before:
                canary = mesh.route_weights(run.world.need(service))["canary"]
                ours = 100 - sum(weight for _, weight in shares.get(service, ()))
                assert canary == mesh.clamped(ours, run.facts.reached)
            seen.setdefault(run.facts.stage, set()).add(run.facts.reached)
        assert {service: foreign(run.world, service) for service in before} == before
        assert all(sum(weights(run.world, service)) == 100 for service in before)
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert serving(run.world) == {scene.V2: 3}


class _CrashAfterStatus(Hook):
    """The controller dies right after it wrote that a stage begins, before any weight moved."""

    def __init__(self, stage: int) -> None:
        self.stage, self.crashed = stage, False

    def __call__(self, run: Pass, call: Any) -> Any:
        answer = run.make(call)
        if call.writes and call.status and not self.crashed:
            stage = (answer.get("status") or {}).get("stage") or {}
            if stage.get("index") == self.stage:
                self.crashed = True
                raise Crashed
        return answer


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_a_crash_between_a_step_and_its_weight_is_not_taken_for_somebodys_abort(
    shares: Shares, stage: int
) -> None:
    run, crash = shared(shares), _CrashAfterStatus(stage)
    while advance(run, crash):
        pass
    assert crash.crashed
    assert [line.outcome for line in run.facts.history] == ["Promoted"], run.facts.reason


def _in_step(shares: Shares, stage: int) -> Run:
    run = shared(shares)
    return run.until(lambda now: now.facts.stage == stage and now.facts.reached == STEPS[stage]["weight"])


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
def test_a_part_that_somebody_lowered_beside_foreign_shares_is_an_abort(shares: Shares) -> None:
    run = _in_step(shares, 3)
    run.world.on_write = None
    people.shift(run.world, 10, ("web-mesh",))
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    assert f'field manager "{people.GITOPS}" lowered' in run.facts.reason
    assert all(row["canary"] == 0 for row in map(mesh.route_weights, run.world.every(Kind.VIRTUAL_SERVICE)))


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
def test_a_part_that_somebody_raised_beside_foreign_shares_is_put_back(shares: Shares) -> None:
    run = _in_step(shares, 2)
    run.world.on_write = None
    people.shift(run.world, 80)
    run.advance()
    assert mesh.gives(run.world, run.facts.canary or "", STEPS[2]["weight"])
    assert run.facts.corrections == 1
    run.to_rest()
    assert [line.outcome for line in run.facts.history] == ["Promoted"]


@pytest.mark.parametrize("ours", [0, 1])
def test_without_anything_of_ours_on_any_route_nothing_is_released_and_it_is_told(ours: int) -> None:
    run = Run(scene.shop(steps=STEPS)).to_rest()
    for service in (scene.GATEWAY, scene.MESH):
        scene.share_with(run.world, service, ("legacy", 100 - ours))
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert run.facts.phase is Phase.INVALID
    assert f"stable and canary have {ours} % together" in run.facts.reason
    assert serving(run.world) == {scene.V1: 3}

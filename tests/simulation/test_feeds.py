"""Whole releases with header pins, mirrors, blue-green plans and two Services, without trouble."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind
from tests.support import mesh, scene
from tests.support.laws import Laws, check_pass
from tests.support.play import Run
from tests.support.releases import assert_at_rest, assert_mesh_is_as_in_git, releasing, serving
from tests.support.simulation import ROLLOUT, TIMING, Evidence

HEADER: Json = {"headers": {"x-canary": {"exact": "true"}}}
CANARY: Json = {
    "canary": {
        "minPods": 1,
        "pin": [HEADER],
        "steps": [{"weight": 0}, {"mirror": 40}, {"weight": 50}, {"weight": 100}],
    }
}
BLUE_GREEN: Json = {"blueGreen": {"preview": [HEADER], "mirror": 20}}
WAYS: list[dict[str, Any]] = [
    {"strategy": CANARY},
    {"strategy": BLUE_GREEN},
    {"hosts": True},
    {"hosts": True, "strategy": CANARY},
    {"hosts": True, "strategy": BLUE_GREEN},
]


def lawful(run: Run) -> Run:
    """To rest, every write held to the laws."""
    laws = Laws(run.evidence, TIMING)
    laws.look(run.world)
    run.world.on_write = laws.watch
    while run.advance(made=check_pass):
        pass
    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_good_version_becomes_the_deployments_own(way: dict[str, Any]) -> None:
    run = lawful(releasing(**way))
    assert run.facts.phase is Phase.HEALTHY
    assert_at_rest(run, scene.V2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stage", [0, 1])
def test_a_bad_version_is_taken_back(way: dict[str, Any], stage: int) -> None:
    run = lawful(releasing(Evidence(fails_at=frozenset({stage})), **way))
    assert (run.facts.phase, run.facts.reason) == (Phase.REVERTED, "error rate 5 % (limit 1 %)")
    assert_mesh_is_as_in_git(run.world)
    assert serving(run.world) == {scene.V1: 3}


def sent(run: Run) -> list[tuple[dict[str, int], float, int]]:
    """For each VirtualService: weights, copies, and the routes that pin."""
    return [
        (mesh.route_weights(one), mesh.copied(one), len(mesh.own_routes(one)))
        for one in run.world.every(Kind.VIRTUAL_SERVICE)
    ]


def test_each_step_sends_what_it_says() -> None:
    run = releasing(strategy=CANARY)
    seen: list[list[tuple[dict[str, int], float, int]]] = []
    while run.advance():
        if not seen or seen[-1] != sent(run):
            seen.append(sent(run))
    weights = [(rows[0][0]["canary"], *rows[0][1:]) for rows in seen]
    assert weights == [(0, 0, 0), (0, 0, 1), (0, 40, 1), (50, 0, 1), (100, 0, 1), (0, 0, 0)]
    assert all(rows[0] == rows[1] for rows in seen)


def test_the_users_own_mirror_stays_and_is_pinned_along() -> None:
    run = releasing(strategy=BLUE_GREEN).until(lambda now: sent(now)[0][1] > 0)
    gateway = run.world.need(scene.GATEWAY)
    hosts = [entry["destination"]["host"] for entry in mesh.managed_route(gateway)["mirrors"]]
    assert hosts == ["audit.example", "web"]
    (pinned,) = mesh.own_routes(gateway)
    assert [entry["destination"]["host"] for entry in pinned["mirrors"]] == ["audit.example"]


def test_in_host_mode_only_selectors_are_written_and_as_in_git_afterwards() -> None:
    run = releasing(hosts=True)
    services = [one["spec"] for one in run.world.every(Kind.SERVICE)]
    run.to_rest()
    assert [one["spec"] for one in run.world.every(Kind.SERVICE)] == services
    assert run.world.every(Kind.DESTINATION_RULE) == []


@pytest.mark.parametrize(("hosts", "what"), [(True, "the Services"), (False, "the subsets")])
def test_the_first_status_of_a_release_says_what_is_pinned(hosts: bool, what: str) -> None:
    run = releasing(hosts=hosts).until(lambda now: now.facts.canary is not None)
    message = run.world.need(ROLLOUT)["status"]["message"]
    pinned = f"pinning {what} to stable {run.facts.stable} and canary {run.facts.canary}"
    assert message == f"preparing the first step: {pinned}"

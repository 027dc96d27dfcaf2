"""Where a release is, in the words of the scenes: starts of runs, and what can be asked of one."""

from __future__ import annotations

from typing import Any

from rollout_controller.api import names
from rollout_controller.core.release import RUNNING, Phase
from rollout_controller.ports import Json, Kind
from tests.support import environment, mesh, scene
from tests.support.play import Pace, Run
from tests.support.replicasets import TEMPLATE_HASH, controller_of
from tests.support.simulation import ROLLOUT, Evidence
from tests.support.world import World

PASSES = Evidence()


def at_rest(pace: Pace = "prompt", **spec: Any) -> Run:
    """Version 1 is adopted, and nothing happens."""
    run = Run(scene.shop(**spec), pace=pace).to_rest()
    assert run.facts.phase is Phase.HEALTHY
    return run


def releasing(evidence: Evidence = PASSES, pace: Pace = "prompt", **spec: Any) -> Run:
    """Version 2 was just asked for."""
    run = at_rest(pace, **spec)
    run.evidence = evidence
    scene.set_image(run.world, scene.V2)
    environment.settle(run.world)
    return run


def handed_over(world: World) -> bool:
    """Whether a ReplicaSet that was made by us belongs to the Deployment."""
    ours = [rs for rs in world.every(Kind.REPLICA_SET) if names.LABEL in rs["metadata"]["labels"]]
    return any(controller_of(rs) for rs in ours)


def under_way(run: Run) -> bool:
    """Whether a release runs that can still go back."""
    return run.facts.phase in RUNNING and not handed_over(run.world)


def finishing(run: Run) -> bool:
    """Whether a release runs that can only be finished."""
    return run.facts.phase in RUNNING and handed_over(run.world)


def in_stage(run: Run) -> bool:
    """Whether the canary has, or is just given, a share."""
    return under_way(run) and run.facts.stage >= 0


def image(world: World) -> str:
    """The version that the Deployment's template asks for."""
    containers = world.need(scene.DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"])


def serving(world: World) -> dict[str, int]:
    """The pods of each version, ready or not, ending ones included."""
    found: dict[str, int] = {}
    for pod in world.every(Kind.POD):
        version = pod["spec"]["containers"][0]["image"]
        found[version] = found.get(version, 0) + 1
    return found


def pinned(world: World) -> set[str]:
    """The revisions that anything in the mesh still names."""
    return {pin for pin in mesh.pins(mesh.rules_now(world)).values() if pin}


def weights(world: World) -> list[dict[str, int]]:
    """What each VirtualService says."""
    return [mesh.route_weights(service) for service in world.every(Kind.VIRTUAL_SERVICE)]


def assert_mesh_is_as_in_git(world: World) -> None:
    """All that is ours of each route goes to stable; no hash in any label, no route of ours and no copies."""
    assert pinned(world) == set()
    assert not any(map(mesh.is_fed, world.every(Kind.VIRTUAL_SERVICE)))
    assert weights(world) == [{"stable": sum(row.values()), "canary": 0} for row in weights(world)]


def assert_at_rest(run: Run, version: str, replicas: int = 3) -> None:
    """Nothing of ours is in the way: an ordinary Deployment runs one version, and the mesh is as in git."""
    world, deployment = run.world, run.world.need(scene.DEPLOYMENT)
    assert_mesh_is_as_in_git(world)
    assert serving(world) == {version: replicas}
    assert image(world) == version
    assert not deployment["spec"].get("paused", False)
    assert names.HELD_BY not in (deployment["metadata"].get("annotations") or {})


def revisions(world: World) -> dict[str, str]:
    """The version that each revision runs."""
    return {
        rs["metadata"]["labels"][TEMPLATE_HASH]: rs["spec"]["template"]["spec"]["containers"][0]["image"]
        for rs in world.every(Kind.REPLICA_SET)
    }


def stable_version(run: Run) -> str | None:
    """The version that the status calls stable."""
    return revisions(run.world).get(run.facts.stable or "")


def annotated(world: World) -> Json:
    """What is annotated on the Rollout."""
    return dict((world.need(ROLLOUT)["metadata"].get("annotations")) or {})

"""The shop with two Deployments that serve in turn, `web-v1` and `web-v2`, and the laws of that mode."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from rollout_controller.api import names
from rollout_controller.api.quantities import parse_duration
from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import environment, mesh, scene
from tests.support.laws import _CHECKS, OURS, Laws, demand, needed, status_of
from tests.support.play import Pace, Run
from tests.support.replicasets import TEMPLATE_HASH, is_ready
from tests.support.simulation import KEY, Evidence
from tests.support.world import World, when

WEB_1: Final = Ref(Kind.DEPLOYMENT, "shop", "web-v1")
WEB_2: Final = Ref(Kind.DEPLOYMENT, "shop", "web-v2")
SUBSETS: Final = {"web-v1": "v1", "web-v2": "v2"}
RED, BLUE, GREEN, GREY = "shop/web:red", "shop/web:blue", "shop/web:green", "shop/web:grey"
PASSES: Final = Evidence()


def shop(replicas: int = 2, weights: tuple[int, int] = (100, 0), **spec: Any) -> World:
    """Red runs on the first side, blue on the second; the Rollout was just applied."""
    world = World()
    service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    world.create(Kind.SERVICE, _named("web", service), scene.KUBECTL)
    for ref, image in ((WEB_1, RED), (WEB_2, BLUE)):
        world.create(Kind.DEPLOYMENT, _deployment(ref.name, image, replicas), scene.KUBECTL)
    for name, host in (("web", "shop.example"), ("web-mesh", "web")):
        body = _named(name, {"hosts": [host], "http": [_primary(weights)]})
        world.create(Kind.VIRTUAL_SERVICE, body, scene.KUBECTL)
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    world.create(Kind.DESTINATION_RULE, _named("web", {"host": "web", "subsets": subsets}), scene.KUBECTL)
    environment.settle(world)
    world.now += world.readying
    environment.settle(world)
    world.create(Kind.ROLLOUT, _rollout(spec), scene.KUBECTL)
    return world


def _named(name: str, spec: Json) -> Json:
    return {"metadata": {"name": name, "namespace": KEY.namespace}, "spec": spec}


def _template(name: str, image: str) -> Json:
    return {
        "metadata": {"labels": {"app": "web", "version": SUBSETS[name]}},
        "spec": {"containers": [{"name": "web", "image": image}]},
    }


def _deployment(name: str, image: str, replicas: int) -> Json:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web", "version": SUBSETS[name]}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": _template(name, image),
    }
    return _named(name, spec)


def _primary(weights: tuple[int, int]) -> Json:
    route = [
        {"destination": {"host": "web", "subset": subset}, "weight": weight}
        for subset, weight in zip(("v1", "v2"), weights, strict=True)
    ]
    return {"name": "primary", "timeout": "3s", "route": route}


def _rollout(spec: Json) -> Json:
    wanted = {
        "workload": {"stable": {"deployment": "web-v1"}, "canary": {"deployment": "web-v2"}},
        "traffic": {
            "istio": {
                "virtualServices": [{"name": "web", "routes": ["primary"]}, {"name": "web-mesh"}],
                "destinationRule": {"name": "web", "stableSubset": "v1", "canarySubset": "v2"},
            }
        },
        "strategy": {"canary": {"minPods": 1, "steps": [{"weight": 50}, {"weight": 100}]}},
        "analysis": {
            "checks": [{"errorRate": {"max": "1%"}}],
            "inconclusive": {"after": "24h", "then": "Pause"},
        },
        "minDuration": "5s",
        "maxDuration": "24h",
        "bake": "5s",
        "drain": "5s",
        "progressDeadline": "24h",
        **spec,
    }
    return _named(KEY.name, deepcopy(wanted))


# -- what people do ---------------------------------------------------------------------------------------


def set_image(world: World, ref: Ref, image: str) -> None:
    """`kubectl set image`."""
    deployment = world.need(ref)
    spec = {**deployment["spec"], "template": _template(ref.name, image)}
    world.update(ref, {**deployment, "spec": spec}, scene.KUBECTL)


def scale(world: World, ref: Ref, replicas: int) -> None:
    """`kubectl scale`."""
    deployment = world.need(ref)
    spec = {**deployment["spec"], "replicas": replicas}
    world.update(ref, {**deployment, "spec": spec}, scene.KUBECTL)


def weigh(world: World, second: int) -> None:
    """Somebody else sets the weights of both VirtualServices: so much to the second side."""
    for service in world.every(Kind.VIRTUAL_SERVICE):
        spec = {**service["spec"], "http": [_primary((100 - second, second))]}
        ref = Ref(Kind.VIRTUAL_SERVICE, "shop", service["metadata"]["name"])
        world.update(ref, {**service, "spec": spec}, "argocd-controller")


def at_rest(pace: Pace = "prompt", **spec: Any) -> Run:
    """The first side is adopted as the one that serves, and nothing happens."""
    run = Run(shop(**spec), pace=pace).to_rest()
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v1")
    return run


def releasing(evidence: Evidence = PASSES, pace: Pace = "prompt", **spec: Any) -> Run:
    """The idle side was just asked for green."""
    run = at_rest(pace, **spec)
    run.evidence = evidence
    set_image(run.world, WEB_2, GREEN)
    environment.settle(run.world)
    return run


# -- what can be seen -------------------------------------------------------------------------------------


def weights(world: World) -> list[dict[str, int]]:
    """What each VirtualService says."""
    return [mesh.route_weights(service) for service in world.every(Kind.VIRTUAL_SERVICE)]


def everybody_on(world: World) -> str:
    """The subset that has all of every VirtualService, "" if none has."""
    return next((one for one in ("v1", "v2") if all(w[one] == 100 for w in weights(world))), "")


def image(world: World, ref: Ref) -> str:
    """The version that a Deployment asks for."""
    return str(world.need(ref)["spec"]["template"]["spec"]["containers"][0]["image"])


def unlabelled(world: World) -> bool:
    """Whether no Deployment, ReplicaSet or subset has anything of ours, a pause included."""
    deployments, sets = world.every(Kind.DEPLOYMENT), world.every(Kind.REPLICA_SET)
    marked = [
        obj
        for obj in (*deployments, *sets)
        if names.LABEL in (obj["metadata"].get("labels") or {})
        or names.HELD_BY in (obj["metadata"].get("annotations") or {})
    ]
    paused = [one for one in deployments if one["spec"].get("paused")]
    pinned = [rule for rule in world.every(Kind.DESTINATION_RULE) if any(mesh.pins([rule]).values())]
    return not marked and not paused and not pinned


# -- the laws ---------------------------------------------------------------------------------------------


def _share(world: World, subset: str) -> tuple[int, int]:
    found = [one[subset] for one in weights(world)]
    return min(found), max(found)


def _idle(status: Json) -> str:
    """The name of the side that does not serve."""
    (idle,) = SUBSETS.keys() - {status.get("stable")}
    return idle


@dataclass(slots=True)
class TwoDeploymentLaws(Laws):
    """Only the Rollout and weights are written; the idle side's weight rises onto its new pods alone."""

    weighed: dict[str, int] = field(default_factory=dict)

    def look(self, world: World) -> None:
        self.lost = mesh.lost(world)
        self.weighed = {subset: _share(world, subset)[1] for subset in SUBSETS.values()}

    def watch(self, world: World, ref: Ref, old: Json | None, new: Json | None, manager: str) -> None:
        if manager == OURS:
            allowed = ref.kind in {Kind.ROLLOUT, Kind.VIRTUAL_SERVICE} and old is not None
            demand(allowed, 12, f"{ref} is none of ours to write")
            self._check_own(world, ref, old, new)
        if ref.kind is Kind.VIRTUAL_SERVICE:
            self.weighed = {subset: _share(world, subset)[1] for subset in SUBSETS.values()}
        if ref.kind in {Kind.VIRTUAL_SERVICE, Kind.POD}:
            self._check_lost(world, new or old or {}, manager)

    def _check_own(self, world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
        if old is None or (new is None and ref.kind is Kind.ROLLOUT):
            return
        assert new is not None, f"{ref} is deleted"
        if ref.kind is Kind.ROLLOUT:
            _CHECKS[Kind.ROLLOUT](world, ref, old, new)
            self._check_left(world, old.get("status") or {}, new.get("status") or {})
        else:
            _check_weights(ref, old, new)
            self._check_raised(world)

    def _check_raised(self, world: World) -> None:
        """Laws 1, 5 and 6: what rises was granted by the status first, and is answered."""
        status = status_of(world)
        idle = _idle(status)
        for name, subset in SUBSETS.items():
            share = _share(world, subset)[1]
            if share <= self.weighed[subset]:
                continue
            pods = [
                pod
                for pod in world.every(Kind.POD)
                if is_ready(pod) and pod["metadata"]["labels"]["version"] == subset
            ]
            demand(bool(pods), 6, f"traffic goes to {name}, which has no ready pod")
            if name != idle:
                continue
            stage, plan = status.get("stage") or {}, status.get("plan") or []
            granted = plan[stage["index"]]["weight"] if plan and stage["index"] >= 0 else 0
            demand(share <= granted, 1, f"{name} gets {share} %, but the status grants {granted} %")
            revisions = {pod["metadata"]["labels"][TEMPLATE_HASH] for pod in pods}
            demand(revisions == {status["canary"]}, 5, f"{name} gets {share} % with pods of {revisions}")
            serving = world.get(Ref(Kind.DEPLOYMENT, "shop", status["stable"]))
            replicas = serving["spec"]["replicas"] if serving is not None else 1
            enough = min(needed(share, replicas), stage.get("granted", 0))
            demand(len(pods) >= enough, 5, f"{name} gets {share} % with {len(pods)} ready pods, not {enough}")

    def _check_left(self, world: World, old: Json, new: Json) -> None:
        """Laws 3 and 9: a stage is left from a settled world, on a pass, after its time; and the other side
        is called stable only once everybody is there."""
        if old.get("stable") and new.get("stable") and old["stable"] != new["stable"]:
            demand(
                everybody_on(world) == SUBSETS[new["stable"]], 3, f"{new['stable']} is home, but not for all"
            )
        was, now = old.get("stage") or {}, new.get("stage") or {}
        index = was.get("index", -1)
        promoted = new.get("phase") == "Promoting" and old.get("phase") == "Progressing"
        advanced = now.get("index", -1) > index and old.get("canary") == new.get("canary")
        if index < 0 or not (promoted or advanced):
            return
        plan, share = old["plan"][index], _share(world, SUBSETS[_idle(old)])
        demand(share == (plan["weight"],) * 2, 3, f"stage {index} is left at {share}, not {plan['weight']} %")
        if was.get("approved"):
            return
        demand(self.evidence.passes(index), 9, f"stage {index} is left without a pass")
        held = world.now - when(was["since"])
        least = self.timing.settle + max(parse_duration(plan["minDuration"]), self.evidence.after)
        demand(held >= least, 3, f"stage {index} is left after {held}, before {least}")


def _check_weights(ref: Ref, old: Json, new: Json) -> None:
    before, after = mesh.route_weights(old), mesh.route_weights(new)
    demand(sum(after.values()) == sum(before.values()) == 100, 4, f"{ref}: {before} became {after}")
    demand(_unweighted(old) == _unweighted(new), 12, f"{ref}: more than weights was changed")


def _unweighted(service: Json) -> Json:
    spec = deepcopy(service["spec"])
    spec["http"] = [route for route in spec["http"] if not route["name"].startswith("rollout-controller/")]
    for route in spec["http"]:
        route.pop("mirrors", None)  # the shop has none of its own
        for destination in route["route"]:
            destination.pop("weight")
    servers = {"resourceVersion", "managedFields", "generation"}
    return {"spec": spec, "metadata": {k: v for k, v in service["metadata"].items() if k not in servers}}

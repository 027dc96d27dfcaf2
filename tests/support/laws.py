"""The laws, checked on every single write to a simulated world.

`Laws.watch` is a world's `on_write`. The checks read raw objects only, so that a mistake in how the
controller reads them cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Final

from rollout_controller.api import names
from rollout_controller.api.quantities import parse_duration
from rollout_controller.core.world import Timing
from rollout_controller.ports import Json, Kind, Ref
from tests.support import mesh
from tests.support.deployments import same_but_hash
from tests.support.replicasets import KUBELET, TEMPLATE_HASH, alive, controller_of, images_of
from tests.support.simulation import ROLLOUT, TIMING, Evidence, Pass
from tests.support.world import START, Push, World, finalizers_of, when

OURS: Final = names.FIELD_MANAGER
NATIVE: Final = frozenset({"kube-controller-manager", "replicaset-controller", "garbage-collector", KUBELET})
_NO_MARKS: Final[dict[str, str | None]] = {"stable": None, "canary": None}
_ROUTING: Final = (Kind.VIRTUAL_SERVICE, Kind.DESTINATION_RULE, Kind.SERVICE)
"""What the proxies follow."""
_FEEDING: Final = frozenset({"Progressing", "Paused", "Promoting"})


class BrokenLaw(AssertionError):
    """A write that a law forbids."""


def demand(holds: bool, law: int, sentence: str) -> None:
    """Raise BrokenLaw unless it holds."""
    if not holds:
        raise BrokenLaw(f"law {law}: {sentence}")


def status_of(world: World) -> Json:
    """The stored status of the Rollout, {} without one."""
    status: Json = (world.get(ROLLOUT) or {}).get("status") or {}
    return status


def needed(share: int, replicas: int) -> int:
    """ceil(share x replicas)"""
    return -(-share * replicas // 100)


@dataclass(slots=True)
class Laws:
    """Checks writes one after the other.

    `blamed` are the managers whose writes may cost no request and no capacity. While `disturbed`, the pass
    has looked at another world than the one it writes to: it cannot know of ready pods what it did not see.
    """

    evidence: Evidence
    timing: Timing = TIMING
    blamed: frozenset[str] = frozenset({OURS, *NATIVE})
    lost: dict[str, int] = field(default_factory=dict)
    shares: dict[str, mesh.Share] = field(default_factory=dict)
    disturbed: bool = False

    def look(self, world: World) -> None:
        """Begin here: what is so already is nobody's fault."""
        self.lost, self.shares = mesh.lost(world), mesh.shares_now(world)

    def watch(self, world: World, ref: Ref, old: Json | None, new: Json | None, manager: str) -> None:
        """A write was stored."""
        if manager == OURS:
            check = _CHECKS.get(ref.kind)
            demand(check is not None, 12, f"{ref} is none of ours to write")
            assert check is not None
            check(world, ref, old, new)
            if ref.kind is Kind.ROLLOUT and old is not None and new is not None:
                self._check_advance(world, old.get("status") or {}, new.get("status") or {})
        if ref.kind in _ROUTING:
            shares = mesh.shares_now(world)
            if manager == OURS and not self.disturbed:
                _check_rise(world, self.shares, shares, ref)
                _check_fed(world, ref, old, new)
            self.shares = shares
        if ref.kind is Kind.REPLICA_SET and manager in self.blamed and not self.disturbed:
            self._check_scale(world, old, new)
        if ref.kind in {*_ROUTING, Kind.POD}:
            self._check_lost(world, new or old or {}, manager)

    def _check_lost(self, world: World, obj: Json, manager: str) -> None:
        """Nobody's requests come to nothing who was answered before, unless people or pods made it so."""
        lost = mesh.lost(world)
        failing = manager == KUBELET and obj.get("kind") == "Pod" and images_of(obj) & world.broken
        blamed = manager in self.blamed and not failing and not self.disturbed
        if blamed and mesh.ready_pods(world):
            more = {name: (self.lost.get(name, 0), now) for name, now in lost.items()}
            more = {name: change for name, change in more.items() if change[1] > change[0]}
            demand(not more, 6, f"{manager}'s write of {obj['kind']} loses requests (percent): {more}")
        self.lost = lost

    def _check_scale(self, world: World, old: Json | None, new: Json | None) -> None:
        """Nothing is scaled below ceil(share x replicas), as any proxy may still believe the share."""
        if old is None:
            return
        before = old["spec"].get("replicas", 1)
        after = 0 if new is None else new["spec"].get("replicas", 1)
        deployment = world.get(Ref(Kind.DEPLOYMENT, old["metadata"]["namespace"], "web"))
        if after >= before or deployment is None:
            return
        revision = old["spec"]["template"]["metadata"]["labels"].get(TEMPLATE_HASH, "")
        share, replicas = mesh.highest_share(world, revision), deployment["spec"].get("replicas", 1)
        demand(
            after >= needed(share, replicas),
            7,
            f"{old['metadata']['name']} is scaled from {before} to {after}, but may be sent {share} % of the"
            f" requests with {replicas} replicas",
        )
        fed = after == 0 and replicas > 0 and mesh.may_be_fed(world, revision)
        demand(not fed, 7, f"{old['metadata']['name']} goes, but may be sent pinned requests or copies")

    def _check_advance(self, world: World, old: Json, new: Json) -> None:
        """Laws 3 and 9: a stage is left for the next one from a settled world, on a pass, after its time.

        Its time begins with `since`, but not before its share was granted to the proxies.
        """
        was, now = old.get("stage") or {}, new.get("stage") or {}
        index = was.get("index", -1)
        promoted = new.get("phase") == "Promoting" and old.get("phase") == "Progressing"
        advanced = now.get("index", -1) > index and old.get("canary") == new.get("canary")
        if index < 0 or not (promoted or advanced):
            return
        plan = old["plan"][index]
        if not self.disturbed:
            _check_sent(world, old, index)
        if was.get("approved"):
            return
        demand(self.evidence.passes(index), 9, f"stage {index} is left without a pass")
        held = world.now - max(when(was["since"]), _raised_to(world, plan["weight"]))
        least = self.timing.settle + max(parse_duration(plan["minDuration"]), self.evidence.after)
        demand(held >= least, 3, f"stage {index} is left after {held}, before {least}")


def _check_sent(world: World, status: Json, index: int) -> None:
    """A stage is left with the share, the copies and the pinned routes that it wants."""
    plan = status["plan"][index]
    share = mesh.shares_now(world).get(status["canary"], (0, 0))
    as_asked = mesh.gives(world, status["canary"], plan["weight"])
    demand(as_asked, 3, f"stage {index} is left at {share}, not {plan['weight']} %")
    for service in world.every(Kind.VIRTUAL_SERVICE):
        copies, routes = mesh.copied(service), len(mesh.own_routes(service))
        demand(copies == plan.get("mirror", 0), 3, f"stage {index} is left with copies of {copies} %")
        demand(routes == bool(status.get("pins")), 3, f"stage {index} is left with {routes} pinned routes")


def _check_rise(world: World, before: dict[str, mesh.Share], after: dict[str, mesh.Share], ref: Ref) -> None:
    """Law 5 for the canary and 6 for stable: a share rises only onto ready endpoints. Law 1: status first."""
    status = status_of(world)
    deployment = world.get(Ref(Kind.DEPLOYMENT, ref.namespace, "web"))
    replicas = deployment["spec"].get("replicas", 1) if deployment else 0
    for revision, (_, share) in after.items():
        if share <= before.get(revision, (0, 0))[1] or replicas == 0:
            continue
        ready = mesh.ready_pods(world, revision)
        if revision != status.get("canary"):
            others = mesh.ready_pods(world) - ready
            demand(ready > 0 or others == 0, 6, f"traffic goes to {revision}, which has no ready pod")
            continue
        stage = status.get("stage") or {}
        plan = status.get("plan") or []
        index = stage.get("index", -1)
        granted = plan[index]["weight"] if 0 <= index < len(plan) else 0
        demand(share <= granted, 1, f"{revision} gets {share} %, but the status grants {granted} %")
        enough = min(needed(share, replicas), stage.get("granted", 0))
        demand(ready >= max(enough, 1), 5, f"{revision} gets {share} % with {ready} ready pods, not {enough}")
        settled = ref.kind is not Kind.VIRTUAL_SERVICE or _sides_are_known(world)
        demand(settled, 3, f"{revision} gets {share} % before the proxies know its subset")


def _raised_to(world: World, weight: int) -> datetime:
    """When the canary subset was last given a share of at least this in every VirtualService."""
    lowest = [
        min((mesh.route_weights(s).get("canary", 0) for s in push.services), default=0)
        for push in world.pushes
    ]
    raises = [
        push.at
        for (before, now), push in zip(pairwise(lowest), world.pushes[1:], strict=True)
        if before < weight <= now
    ]
    return max(raises, default=START)


def _check_fed(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    """Laws 1, 3 and 5 for what the canary is sent beside its share."""
    if ref.kind is not Kind.VIRTUAL_SERVICE or old is None or new is None:
        return
    copies, pinned_routes = mesh.copied(new), bool(mesh.own_routes(new))
    if copies <= mesh.copied(old) and pinned_routes <= bool(mesh.own_routes(old)):
        return
    status = status_of(world)
    stage, plan = status.get("stage") or {}, status.get("plan") or []
    index = stage.get("index", -1)
    granted = plan[index].get("mirror", 0) if 0 <= index < len(plan) else 0
    demand(copies <= granted, 1, f"{ref}: copies of {copies} %, but the status grants {granted} %")
    demand(
        not pinned_routes or (index >= 0 and bool(status.get("pins"))), 1, f"{ref}: pinned without a status"
    )
    demand(status.get("phase") in _FEEDING, 1, f"{ref}: more is sent while {status.get('phase')}")
    ready = mesh.ready_pods(world, status.get("canary"))
    demand(ready > 0, 5, f"{ref}: more is sent to a canary without ready pod")
    known = mesh.pins(mesh.rules_now(world)).get("canary") == status.get("canary") and _sides_are_known(world)
    demand(known, 3, f"{ref}: more is sent to the canary before the proxies know its subset")


def _sides_are_known(world: World) -> bool:
    """Whether every proxy knows what the sides are pinned to."""
    relabelled = next((p.at for p in reversed(_relabels(world))), None)
    return relabelled is None or world.now - relabelled >= mesh.SUBSETS_LAG


def _relabels(world: World) -> list[Push]:
    """The pushes that changed a pin."""
    pushes = world.pushes
    return [later for earlier, later in pairwise(pushes) if pinned(earlier.rules) != pinned(later.rules)]


def pinned(rules: Iterable[Json]) -> dict[str, str | None]:
    """What our two sides are pinned to."""
    return {name: pin for name, pin in mesh.pins(rules).items() if name in _NO_MARKS}


# -- what is ours in each kind of object (laws 4 and 12), and what each write rests on ---------------------


def _check_virtual_service(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    assert old is not None
    demand(new is not None, 12, f"{ref} is deleted")
    assert new is not None
    before, after = mesh.route_weights(old), mesh.route_weights(new)
    demand(sum(before.values()) == sum(after.values()), 4, f"{ref}: {before} became {after}")
    demand(min(after.values()) >= 0, 4, f"{ref}: {after}")
    total, status = sum(after.values()), status_of(world)
    asked = {0, *(stage["weight"] for stage in status.get("plan") or [])}
    asked |= {(status.get("stage") or {}).get("loweredTo", 0)}
    allowed = {mesh.clamped(total, percent) for percent in asked}
    demand(
        after["canary"] in allowed, 4, f"{ref}: of {total} the canary gets {after['canary']}, not {allowed}"
    )
    demand(_unweighted(old) == _unweighted(new), 12, f"{ref}: more than our weights was changed")
    demand(
        mesh.copied(new) == 0 or _copies_alike(new), 12, f"{ref}: copies go to more than one entry of ours"
    )
    if mesh.own_routes(new) and mesh.own_routes(new) != mesh.own_routes(old):
        routes, wanted = new["spec"]["http"], _pinned_route(world, new)
        at = next(index for index, route in enumerate(routes) if route.get("name") == mesh.ROUTE)
        demand(mesh.own_routes(new) == [wanted], 12, f"{ref}: {mesh.own_routes(new)} instead of {wanted}")
        demand(routes[at - 1] == wanted, 12, f"{ref}: the pinned route is not directly before its base")


def _copies_alike(service: Json) -> bool:
    """Whether there is one entry of ours, which names the destination as the route does."""
    route = mesh.managed_route(service)
    entries = [e["destination"] for e in route["mirrors"] if mesh.side_of(e["destination"]) == "canary"]
    return entries == [d["destination"] for d in route["route"] if mesh.side_of(d["destination"]) == "canary"]


def _pinned_route(world: World, service: Json) -> Json:
    """The route that the status's pins ask for: the managed one's own, with a match, to the canary alone."""
    base = _unfed(deepcopy(mesh.managed_route(service)))
    pins: list[Json] = status_of(world).get("pins") or []
    matches = [{"headers": {h["name"]: {h["how"]: h["value"]} for h in pin["headers"]}} for pin in pins]
    to = [d["destination"] for d in base["route"] if mesh.side_of(d["destination"]) == "canary"]
    route = [{"destination": target} for target in to]
    return {**base, "name": f"{mesh.OWN}pin/{mesh.ROUTE}", "match": matches, "route": route}


def _unfed(route: Json) -> Json:
    """A route without copies of ours."""
    theirs = [e for e in route.pop("mirrors", []) if mesh.side_of(e["destination"]) != "canary"]
    return {**route, "mirrors": theirs} if theirs else route


def _unweighted(service: Json) -> Json:
    spec = deepcopy(service["spec"])
    ours = mesh.own_routes(service)
    spec["http"] = [_unfed(route) for route in spec["http"] if route not in ours]
    for route in spec["http"]:
        for destination in route["route"] if route.get("name") == mesh.ROUTE else []:
            if mesh.side_of(destination["destination"]) in _NO_MARKS:
                destination.pop("weight")
    return {"spec": spec, "metadata": _others_metadata(service)}


def _others_metadata(obj: Json) -> Json:
    """The metadata that writes must leave alone."""
    servers = {"resourceVersion", "managedFields", "generation"}
    return {key: value for key, value in obj["metadata"].items() if key not in servers}


def _check_rule(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    assert old is not None
    demand(new is not None, 12, f"{ref} is deleted")
    assert new is not None
    demand(_unpinned(old) == _unpinned(new), 12, f"{ref}: more than our pins was changed")
    _check_pins(world, ref, is_pinned=pinned([new]) != _NO_MARKS)


def _check_service(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    assert old is not None
    demand(new is not None, 12, f"{ref} is deleted")
    assert new is not None
    ours = ref.name in {mesh.HOST, mesh.CANARY_HOST} and not world.every(Kind.DESTINATION_RULE)
    demand(ours, 12, f"{ref} is none of ours to write")
    demand(_unselected(old) == _unselected(new), 12, f"{ref}: more than our pin was changed")
    _check_pins(world, ref, is_pinned=TEMPLATE_HASH in new["spec"]["selector"])


def _unselected(service: Json) -> Json:
    selector = {k: v for k, v in service["spec"]["selector"].items() if k != TEMPLATE_HASH}
    return {"spec": {**service["spec"], "selector": selector}, "metadata": _others_metadata(service)}


def _check_pins(world: World, ref: Ref, *, is_pinned: bool) -> None:
    """Our marks are there with our finalizer only, and go when pods of one version are left."""
    if is_pinned:
        rollout = world.need(ROLLOUT)
        demand(names.FINALIZER in finalizers_of(rollout), 11, f"{ref} is pinned without our finalizer")
    elif status_of(world).get("phase") in {"Promoting", "Reverting"}:
        # A subset that selects every pod selects those that are ending, too.
        versions = {pod["metadata"]["labels"].get(TEMPLATE_HASH) for pod in world.every(Kind.POD)}
        demand(len(versions) <= 1, 7, f"{ref} is un-pinned while pods of {sorted(versions)} exist")


def _unpinned(rule: Json) -> Json:
    spec = deepcopy(rule["spec"])
    for subset in spec["subsets"]:
        if subset["name"] in _NO_MARKS:
            labels = subset.setdefault("labels", {})
            labels.pop(TEMPLATE_HASH, None)
    return {"spec": spec, "metadata": _others_metadata(rule)}


def _check_deployment(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    assert old is not None
    demand(new is not None, 12, f"{ref} is deleted")
    assert new is not None
    demand(_unheld(old) == _unheld(new), 12, f"{ref}: more than label, mark and pause was changed")
    if old["spec"].get("paused", False) and not new["spec"].get("paused", False):
        same = any(
            same_but_hash(rs["spec"]["template"], new["spec"]["template"])
            for rs in world.every(Kind.REPLICA_SET)
            if _was_released(world, rs, old)
        )
        demand(same, 1, f"{ref} is un-paused although its template was not released")


def _was_released(world: World, rs: Json, deployment: Json) -> bool:
    """Whether it is stable's, or the canary's after the hand-over."""
    version = rs["spec"]["template"]["metadata"]["labels"].get(TEMPLATE_HASH)
    owned = any(
        o["uid"] == deployment["metadata"]["uid"] for o in rs["metadata"].get("ownerReferences") or ()
    )
    status = status_of(world)
    return version is not None and (
        version == status.get("stable") or (owned and version == status.get("canary"))
    )


def _unheld(deployment: Json) -> Json:
    metadata = deepcopy(_others_metadata(deployment))
    for field_name, key in (("labels", names.LABEL), ("annotations", names.HELD_BY)):
        metadata.setdefault(field_name, {}).pop(key, None)
    spec = {key: value for key, value in deployment["spec"].items() if key != "paused"}
    return {"metadata": metadata, "spec": spec}


def _check_replica_set(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    status = status_of(world)
    if old is None:
        assert new is not None
        demand(status.get("phase") == "Progressing", 1, f"{ref} is made while {status.get('phase')}")
        demand(
            status.get("canary") == new["metadata"]["labels"][TEMPLATE_HASH], 1, f"{ref} is not the canary"
        )
        demand(
            names.FINALIZER in finalizers_of(world.need(ROLLOUT)), 11, f"{ref} is made without our finalizer"
        )
        return
    if new is None:
        ended = not old["spec"].get("replicas", 1) and not (old.get("status") or {}).get("replicas", 0)
        demand(ended, 7, f"{ref} is deleted with pods")
        return
    if controller_of(old) is None and controller_of(new) is not None:
        deployment = world.need(Ref(Kind.DEPLOYMENT, ref.namespace, "web"))
        demand(status.get("phase") == "Promoting", 1, f"{ref} is handed over while {status.get('phase')}")
        demand(deployment["spec"].get("paused", False), 1, f"{ref} is handed over to a Deployment that rolls")
    else:
        same = _others_metadata(old) == _others_metadata(new)
        demand(same and _unscaled(old) == _unscaled(new), 12, f"{ref}: more than its size was changed")
    if new["spec"]["replicas"] == 0 and old["spec"]["replicas"] > 0:
        _check_drained(world, ref, old)


def _unscaled(replica_set: Json) -> Json:
    return {key: value for key, value in replica_set["spec"].items() if key != "replicas"}


def _check_drained(world: World, ref: Ref, old: Json) -> None:
    """Canary pods go only after they had no share for `drain`."""
    if controller_of(old) is not None:
        return
    revision = old["metadata"]["labels"][TEMPLATE_HASH]
    drain = parse_duration(world.need(ROLLOUT)["spec"]["drain"])
    since = None
    for push in reversed(world.pushes):
        share = mesh.shares(push.services, push.rules).get(revision, (0, 0))[1]
        if share > 0 or mesh.feeds(push.services, push.rules, revision):
            break
        since = push.at
    else:
        return
    demand(since is not None, 7, f"{ref} goes while it has a share")
    assert since is not None
    waited = world.now - since
    demand(waited >= drain, 7, f"{ref} goes {waited} after its share, before drain ({drain})")


def _check_rollout(world: World, ref: Ref, old: Json | None, new: Json | None) -> None:
    assert old is not None
    if new is None:
        return
    demand(old["spec"] == new["spec"], 12, f"{ref}: its spec was changed")
    ours = {"annotations", "finalizers"}
    meta = [{k: v for k, v in _others_metadata(o).items() if k not in ours} for o in (old, new)]
    demand(meta[0] == meta[1], 12, f"{ref}: more than commands and finalizer was changed")
    theirs = [[f for f in finalizers_of(o) if f != names.FINALIZER] for o in (old, new)]
    demand(theirs[0] == theirs[1], 12, f"{ref}: somebody else's finalizer was changed")
    _check_commands(ref, old, new)


def _check_commands(ref: Ref, old: Json, new: Json) -> None:
    """Law 8: a command leaves its annotation only for a claim, and a claim only once the status has it.

    An abort takes the place of any other claim; a Rollout that is deleted keeps no account.
    """
    before = old["metadata"].get("annotations") or {}
    after = new["metadata"].get("annotations") or {}
    claim = before.get(names.CLAIM)
    if claim is not None and names.CLAIM not in after and alive(new):
        done = (old.get("status") or {}).get("command")
        demand(done == claim, 8, f"{ref}: {claim} is dropped while the last command done is {done}")
    gone = [key for key in before if key not in after and key != names.CLAIM]
    if gone:
        token = after.get(names.CLAIM, "")
        rests = token.endswith(f"@{old['metadata']['resourceVersion']}")
        first = claim is None or token.startswith("abort=")
        demand(rests and first, 8, f"{ref}: {gone} became {token!r}, where {claim!r} was claimed")
    rest = [{k: v for k, v in a.items() if k not in {names.CLAIM, *gone}} for a in (before, after)]
    demand(rest[0] == rest[1], 12, f"{ref}: somebody else's annotation was changed")


_CHECKS: Final[dict[Kind, Callable[[World, Ref, Json | None, Json | None], None]]] = {
    Kind.ROLLOUT: _check_rollout,
    Kind.DEPLOYMENT: _check_deployment,
    Kind.REPLICA_SET: _check_replica_set,
    Kind.VIRTUAL_SERVICE: _check_virtual_service,
    Kind.DESTINATION_RULE: _check_rule,
    Kind.SERVICE: _check_service,
}


def check_pass(made: Pass) -> None:
    """Law 2 on the calls of one pass: every write comes after a live look, and says what it rests on."""
    looked: set[Kind] = set()
    for call in made.calls:
        if call.verb in {"get", "list"} and call.live:
            looked.add(call.target.kind)
        if not call.writes:
            continue
        orphans = call.target.kind is Kind.DEPLOYMENT and made.world.get(ROLLOUT) is None
        demand(Kind.ROLLOUT in looked or orphans, 2, f"{call.verb} {call.target} without a live look")
        demand(
            call.target.kind in looked or orphans, 2, f"{call.verb} {call.target}, which was not read live"
        )
        if call.verb == "patch":
            tests = [op["path"] for op in call.body if op["op"] == "test"]
            demand(bool(tests), 2, f"patch of {call.target} rests on nothing")
        elif call.verb == "delete":
            rests = bool(call.uid) and call.resource_version is not None
            demand(rests, 2, f"delete of {call.target} without preconditions")

"""Which of several Rollouts owns what they claim: Deployment, routes, subsets or Services.

Of two that claim the same the older owns it: the one created first, of those of one second the first by name.
This is asked of each pair: a Rollout that an older one keeps from working still keeps a newer one from it, or
who works would change with whoever comes and goes. The younger is Invalid, or Paused while it has a canary;
the older waits until the younger has taken back what it has in the cluster.

Claims are read from what is stored, whether or not today's rules accept it: a Rollout whose spec has become
wrong in the middle of a release still owns what it claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rollout_controller.api import names
from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json

CLAIMED: Final = "ClaimedByAnother"
NOT_LET_GO: Final = "NotLetGo"

_ISTIO: Final = ("traffic", "istio")
_SINGLE: Final = (
    (("workload", "deployment"), "Deployment", "another Deployment"),
    (("workload", "stable", "deployment"), "Deployment", "another Deployment"),
    (("workload", "canary", "deployment"), "Deployment", "another Deployment"),
    ((*_ISTIO, "services", "stable"), "Service", "two Services of its own"),
    ((*_ISTIO, "services", "canary"), "Service", "two Services of its own"),
)
"""What one field names: the field, the kind, and what to name instead."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a Rollout claims: as people call it, the field that says so, what to name instead."""

    what: str
    path: str
    instead: str


@dataclass(frozen=True, slots=True)
class Claims:
    """All that a Rollout claims: by what it is called; `routes` are, by VirtualService, those chosen (None:
    whatever it finds).
    """

    single: Mapping[str, Claim] = field(default_factory=dict)
    routes: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def shared_with(self, other: Claims) -> Claim | None:
        """The first thing that both claim, None if there is none."""
        if not self.single.keys().isdisjoint(other.single):
            return next(claim for what, claim in self.single.items() if what in other.single)
        return None if self.routes.keys().isdisjoint(other.routes) else self._route(other)

    def _route(self, other: Claims) -> Claim | None:
        for index, (service, mine) in enumerate(self.routes.items()):
            if service in other.routes:
                theirs = other.routes[service]
                both = mine & theirs if mine is not None and theirs is not None else None
                if both is None or both:
                    what = f"{min(both)} of VirtualService {service}" if both else f"VirtualService {service}"
                    path = f"spec.traffic.istio.virtualServices[{index}]"
                    return Claim(what, path, "different routes in both Rollouts")
        return None


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who stands in the way: `owner` is the oldest Rollout that claims the same and is older, `holder` one of
    whichever age that has marks of a release in the cluster ("": nobody).
    """

    owner: str = ""
    holder: str = ""
    findings: tuple[Finding, ...] = ()


def ownership(
    rollout: Json, others: Iterable[Json], claims: Callable[[Json], Claims] | None = None
) -> Ownership:
    """What the Rollouts of its namespace leave to this one. It may be among the others itself.

    `claims` is `claims_of`, or what remembers its answers: there may be thousands of others.
    """
    of = claims or claims_of
    me, mine = _age(rollout), of(rollout)
    found = [(other, shared) for other in others if (shared := mine.shared_with(of(other))) is not None]
    rivals = sorted((r for r in found if _name(r[0]) != _name(rollout)), key=lambda rival: _age(rival[0]))
    older = [(other, shared) for other, shared in rivals if _age(other) < me]
    marked = [other for other, _ in rivals if bears_marks(other)]
    findings = [_claimed(rollout, other, shared) for other, shared in older]
    if not older:
        findings = [_not_let_go(other) for other in marked]
    return Ownership(
        owner=_name(older[0][0]) if older else "",
        holder=_name(marked[0]) if marked else "",
        findings=tuple(findings),
    )


def bears_marks(rollout: Json) -> bool:
    """Whether something of its release may be in mesh and cluster: our finalizer is on it just as long."""
    return names.FINALIZER in _listed(rollout["metadata"], "finalizers")


def claims_of(rollout: Json) -> Claims:
    """What a Rollout's spec claims; whatever is not of the right shape claims nothing."""
    spec = rollout.get("spec")
    named = [
        Claim(f"{kind} {name}", ".".join(("spec", *path)), instead)
        for path, kind, instead in _SINGLE
        if isinstance(name := _at(spec, *path), str)
    ]
    services = _at(spec, *_ISTIO, "virtualServices")
    routes = {
        str(one["name"]): _chosen(one)
        for one in (services if isinstance(services, list) else ())
        if isinstance(one, dict) and isinstance(one.get("name"), str)
    }
    named += _subsets(_at(spec, *_ISTIO, "destinationRule"))
    return Claims({claim.what: claim for claim in named}, routes)


def _subsets(rule: Any) -> Iterator[Claim]:
    for side in ("stableSubset", "canarySubset"):
        name, subset = _at(rule, "name"), _at(rule, side)
        if isinstance(name, str) and isinstance(subset, str):
            path = f"spec.traffic.istio.destinationRule.{side}"
            yield Claim(f"subset {subset} of DestinationRule {name}", path, "two subsets of its own")


def _chosen(service: Mapping[str, Any]) -> frozenset[str] | None:
    """The routes that are chosen, as people call them; None where none is: any may be one's own then."""
    found = [f"route {name}" for name in _listed(service, "routes") if isinstance(name, str)]
    found += [f"the tcp route of port {_at(one, 'port')}" for one in _listed(service, "tcpRoutes")]
    found += [
        f"the tls route of {', '.join(sorted(map(str, _listed(one, 'sniHosts'))))}"
        for one in _listed(service, "tlsRoutes")
    ]
    return frozenset(found) or None


def _claimed(rollout: Json, other: Json, claim: Claim) -> Finding:
    """Objects that were never created, as in files, have no age yet."""
    owner = _name(other)
    both = f"{claim.what} belongs to Rollout {owner}, which claims it as well and is older"
    then = f"; this one begins once {owner} has let go"
    if not all(one["metadata"].get("creationTimestamp") for one in (rollout, other)):
        both = f"Rollout {owner} claims {claim.what} as well, and only the one that is created first gets it"
        then = ""
    return Finding(
        code=CLAIMED,
        severity="error",
        object=f"Rollout {rollout['metadata'].get('namespace')}/{_name(rollout)}",
        path=claim.path,
        sentence=both,
        fix=f"Delete one of the two, or name {claim.instead}{then}.",
    )


def _not_let_go(other: Json) -> Finding:
    return Finding(
        code=NOT_LET_GO,
        severity="warning",
        object=f"Rollout {other['metadata'].get('namespace')}/{_name(other)}",
        path="",
        sentence="is newer and claims the same, but has not taken its release back",
        fix=f"Abort it (annotate {names.ABORT}) or delete it: nothing is begun here before that.",
    )


def _age(rollout: Json) -> tuple[str, str]:
    """Sorts the oldest first: times are written alike, and in UTC."""
    return str(rollout["metadata"].get("creationTimestamp") or ""), _name(rollout)


def _name(rollout: Json) -> str:
    return str(rollout["metadata"]["name"])


def _listed(value: Any, name: str) -> list[Any]:
    found = _at(value, name)
    return found if isinstance(found, list) else []


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

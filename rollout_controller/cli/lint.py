"""Rollouts and the objects beside them, judged from files: the same findings as in a cluster.

Files are part of the truth: what is not among them may well exist. So nothing is called missing; the objects
that a Rollout names, and that are not there, are told as not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rollout_controller.api.parse import SpecError, parse_spec
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.cli.forms import GROUPS, NAMELESS, form_findings, is_rollout, title_of
from rollout_controller.cli.manifests import Manifest, Manifests
from rollout_controller.controller.inventory import in_force
from rollout_controller.controller.policy import compile_policy
from rollout_controller.controller.status import facts_of
from rollout_controller.core.finding import Finding
from rollout_controller.core.ownership import ownership
from rollout_controller.core.patch import Json
from rollout_controller.core.spec_findings import spec_findings
from rollout_controller.core.world import Part
from rollout_controller.istio import Inventory, Known, Routing, preflight
from rollout_controller.istio.finding import DEPLOYMENT, error, guess, title, warning
from rollout_controller.istio.gateway_findings import MESH, gateways_of
from rollout_controller.istio.routing import Side
from rollout_controller.istio.shapes import WRONG_TYPE
from rollout_controller.istio.sides import idle_findings, oriented

NOT_AMONG_FILES: Final = "NotAmongFiles"
GIVEN_TWICE: Final = "GivenTwice"
NOT_AN_OBJECT: Final = "NotAnObject"
EXPLICIT_PAUSED: Final = "ExplicitPaused"

_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Report:
    """A finding, and where its field stands or, if its object is in no file, where the Rollout does."""

    file: str
    line: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Linting:
    """What was found, in the order of the files; how many Rollouts and files there were."""

    reports: tuple[Report, ...]
    rollouts: int
    files: int

    def count(self, severity: str) -> int:
        """How many findings are errors, or warnings."""
        return sum(report.finding.severity == severity for report in self.reports)


def lint(read: Manifests, namespace: str | None = None, scrape: timedelta | None = None) -> Linting:
    """Findings about all Rollouts among these objects.

    `namespace` is that of objects which name none; without it they are beside every Rollout.
    """
    reports = [
        Report(s.file, s.line, Finding(NOT_AN_OBJECT, s.severity, s.title, s.path, s.sentence, s.fix))
        for s in read.strays
    ]
    sound: list[Manifest] = []
    for manifest in read.objects:
        found = list(form_findings(manifest, namespace or _DEFAULT))
        reports += [Report(manifest.file, manifest.line(f.path), f) for f in found]
        if not any(finding.code in {WRONG_TYPE, NAMELESS} for finding in found):
            sound.append(manifest)
    reports += _twice(read, namespace)
    rollouts = [manifest for manifest in sound if is_rollout(manifest)]
    for rollout in rollouts:
        reports += _rollout_reports(rollout, sound, namespace, scrape)
        reports += _rival_reports(rollout, rollouts, namespace or _DEFAULT)
    files = list(dict.fromkeys([m.file for m in read.objects] + [s.file for s in read.strays]))
    ordered = sorted(dict.fromkeys(reports), key=lambda r: (files.index(r.file), r.line))
    return Linting(tuple(ordered), sum(map(is_rollout, read.objects)), len(files))


def _twice(read: Manifests, namespace: str | None) -> Iterator[Report]:
    """Objects that stand in two places, of which one is lost: whichever is applied first."""
    seen: dict[tuple[str, str, str | None, str], Manifest] = {}
    for one in read.objects:
        known = is_rollout(one) or one.kind in GROUPS.get(one.group, ())
        key = (one.group, one.kind, one.namespace or namespace, one.name)
        before = seen.setdefault(key, one)
        if before is one or not known or not one.name or not read.together(before.file, one.file):
            continue
        sentence = f"it stands in {before.file}:{before.line('')} as well, and the one applied last counts"
        found = error(GIVEN_TWICE, title_of(one, namespace or _DEFAULT), "", sentence, "Keep one of the two.")
        yield Report(one.file, one.line(""), found)


def _rival_reports(rollout: Manifest, rollouts: Sequence[Manifest], default: str) -> Iterator[Report]:
    """What another Rollout of the same namespace claims as well."""
    home = rollout.namespace or default
    others = [_placed(one, default) for one in rollouts if (one.namespace or default) == home]
    for finding in ownership(_placed(rollout, default), others).findings:
        yield Report(rollout.file, rollout.line(finding.path), finding)


def _rollout_reports(
    rollout: Manifest, manifests: Sequence[Manifest], given: str | None, scrape: timedelta | None
) -> Iterator[Report]:
    namespace = rollout.namespace or given or _DEFAULT
    me = title_of(rollout, namespace)
    try:
        spec = parse_spec(rollout.obj.get("spec") or {})
    except SpecError as wrong:
        for finding in spec_findings(me, wrong):
            yield Report(rollout.file, rollout.line(finding.path), finding)
        return
    beside = _Beside(namespace, manifests, given or namespace)
    known = _inventory(rollout, spec, beside)
    found = (
        *_not_among(me, known, beside),
        *preflight(replace(known, scrape=scrape)),
        *idle_findings(known.routing, known.sides[1]),
        *_paused_findings(known),
    )
    for finding in found:
        place = rollout if finding.object == me else beside.origin(finding.object)
        line = 0 if place is None else place.line(finding.path)
        yield Report((place or rollout).file, line or rollout.line(""), finding)


class _Beside:
    """The objects beside a Rollout. `default` is the namespace of those that name none."""

    def __init__(self, namespace: str, manifests: Sequence[Manifest], default: str) -> None:
        self.namespace = namespace
        self._default = default
        # One that names the namespace counts before one that names none.
        self._manifests = sorted(manifests, key=lambda manifest: manifest.namespace is None)

    def of(self, kind: str) -> list[Json]:
        """The objects of a kind, of every namespace, each with its namespace."""
        found = [m for m in self._manifests if m.kind == kind and m.kind in GROUPS.get(m.group, ())]
        return [_placed(m, self._default) for m in found]

    def get(self, kind: str, name: str) -> Json | None:
        """The object of the Rollout's namespace that has this name."""
        return Known(tuple(self.of(kind))).get(self.namespace, name)

    def names(self, kind: str) -> list[str]:
        """The names of the objects of a kind in the Rollout's namespace."""
        return Known(tuple(self.of(kind))).names(self.namespace)

    def origin(self, title: str) -> Manifest | None:
        """Where an object stands that a finding names like `Service shop/web`; of several the first one."""
        first = title.partition(", ")[0]
        return next((m for m in self._manifests if title_of(m, self._default) == first), None)


def _placed(manifest: Manifest, namespace: str) -> Json:
    """The object with its namespace; a Namespace is in itself."""
    place = manifest.name if manifest.kind == "Namespace" else manifest.namespace or namespace
    metadata = {**manifest.metadata, "name": manifest.name, "namespace": place}
    return {**manifest.obj, "metadata": metadata, "spec": manifest.obj.get("spec") or {}}


def _not_among(title: str, known: Inventory, beside: _Beside) -> Iterator[Finding]:
    """What the Rollout rests on and the files do not have, with the name that was probably meant.

    Services and Gateways may well be somewhere else: they are told only if others of theirs are here.
    """
    routing = known.routing
    istio = "spec.traffic.istio"
    named = [("Deployment", routing.deployment, "spec.workload.deployment")]
    sides: tuple[Side, Side] = ("stable", "canary")
    if routing.deployments is not None:
        named = [
            ("Deployment", name, f"spec.workload.{routing.named(side)}.deployment")
            for side, name in zip(sides, routing.deployments, strict=True)
        ]
    if routing.services is None:
        named += [("DestinationRule", routing.destination_rule, f"{istio}.destinationRule.name")]
    for side, name in zip(sides, routing.services or (), strict=False):
        named.append(("Service", name, f"{istio}.services.{routing.named(side)}"))
    named += [
        ("VirtualService", managed.name, f"{istio}.virtualServices[{index}].name")
        for index, managed in enumerate(routing.virtual_services)
    ]
    for kind, name, path in named:
        if beside.get(kind, name) is None:
            yield _unchecked(title, path, kind, name, beside)
    host, _, rest = (known.host or "").partition(".")
    here = routing.services is None and rest.startswith(f"{beside.namespace}.svc.")
    if here and not known.our_services and beside.names("Service"):
        rule = f"DestinationRule {beside.namespace}/{routing.destination_rule}"
        yield _unchecked(rule, "spec.host", "Service", host, beside)
    for name, service in known.virtual_services.items():
        for index, gateway in enumerate(gateways_of(service, beside.namespace)):
            place, _, short = gateway.partition("/")
            here = gateway != MESH and place == beside.namespace
            if here and beside.names("Gateway") and beside.get("Gateway", short) is None:
                obj = f"VirtualService {beside.namespace}/{name}"
                yield _unchecked(obj, f"spec.gateways[{index}]", "Gateway", short, beside)


def _paused_findings(known: Inventory) -> Iterator[Finding]:
    """`paused: false` in a file, which nobody needs, and the gate refuses in the middle of a release."""
    if known.deployment is not None and known.deployment["spec"].get("paused") is False:
        yield warning(
            EXPLICIT_PAUSED,
            title(DEPLOYMENT, known.routing, known.routing.deployment),
            "spec.paused",
            "false is refused while a release holds the Deployment, so this file cannot be applied then",
            "Leave the field out: it is false by default.",
        )


def _unchecked(obj: str, path: str, kind: str, name: str, beside: _Beside) -> Finding:
    sentence = f"{kind} {beside.namespace}/{name} is not among the files, so it is not checked"
    fix = f"{guess(name, beside.names(kind))}Give its file as well, or correct the name."
    return warning(NOT_AMONG_FILES, obj, path, sentence, fix)


def _inventory(rollout: Manifest, spec: RolloutSpec, beside: _Beside) -> Inventory:
    namespace = rollout.namespace or beside.namespace
    routing = Routing.of(namespace, rollout.name, spec)
    facts = facts_of(rollout.obj.get("status") or {})  # a Rollout as the cluster has it may be releasing
    stages, header_pins, at_rest = in_force(facts, compile_policy(spec))
    services = {
        managed.name: found
        for managed in routing.virtual_services
        if (found := beside.get("VirtualService", managed.name)) is not None
    }
    rule = beside.get("DestinationRule", routing.destination_rule)
    routing = oriented(routing, facts.stable, services, rule)
    one = beside.get("Deployment", routing.deployment)
    sides = tuple(beside.get("Deployment", name) for name in routing.deployments or ("", ""))
    return Inventory(
        routing=routing,
        rollout=rollout.name,
        stages=stages,
        header_pins=header_pins,
        at_rest=at_rest,
        rollback_window=spec.rollback_window,
        window=spec.analysis.window,
        deployment=one if routing.deployments is None else None,
        sides=(sides[0], sides[1]),
        virtual_services=services,
        destination_rule=rule,
        unread=frozenset(Part),
        namespace=beside.get("Namespace", namespace),
        services=Known(tuple(beside.of("Service"))),
        service_entries=Known(tuple(beside.of("ServiceEntry"))),
        gateways=Known(tuple(beside.of("Gateway"))),
        routes=Known(tuple(beside.of("VirtualService"))),
        rules=Known(tuple(beside.of("DestinationRule"))),
        peer_authentications=Known(tuple(beside.of("PeerAuthentication"))),
        autoscalers=Known(tuple(beside.of("HorizontalPodAutoscaler"))),
    )

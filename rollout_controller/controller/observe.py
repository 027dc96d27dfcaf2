"""From raw objects to one `Observed`: everything a decision rests on, read in one go.

Plain coroutines over ports: each await is one call, so that a test can stop, fault or crash between any two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from rollout_controller.api import names
from rollout_controller.api.parse import Places, SpecError, parse_places, parse_spec
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.controller.gate import check_gate
from rollout_controller.controller.inventory import confirmed, take_inventory
from rollout_controller.controller.memory import KnownClaims, Memory
from rollout_controller.controller.policy import compile_policy
from rollout_controller.controller.sides import read_sides
from rollout_controller.controller.snapshot import Snapshot, take
from rollout_controller.controller.status import facts_of, findings_of
from rollout_controller.controller.workload import read_workload
from rollout_controller.core import commands, strays
from rollout_controller.core.conditions import desired_weight
from rollout_controller.core.finding import WRITE_FAILS, Finding
from rollout_controller.core.model import Observed
from rollout_controller.core.ownership import ownership
from rollout_controller.core.release import RUNNING, Facts, Hash, Phase, Policy
from rollout_controller.core.rollback import as_begun
from rollout_controller.core.spec_findings import spec_findings
from rollout_controller.core.template import HASH_LABEL, same_template, template_hash
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import Part, Timing, Traffic, Workload
from rollout_controller.istio.preflight import preflight
from rollout_controller.istio.reading import read_traffic
from rollout_controller.istio.sides import idle_findings
from rollout_controller.ports import Clock, Cluster, Json, Key, Kind, Ref


class Verdicts(Protocol):
    """Where the evaluator leaves what it found."""

    def verdict(self, key: Key) -> Verdict | None: ...

    def busy(self, key: Key) -> Mapping[Hash, bool | None]: ...

    def strays(self, key: Key) -> Mapping[Hash, str]: ...

    def scrape_interval(self, key: Key) -> timedelta | None: ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a Rollout; no snapshot if its spec does not say of what."""

    observed: Observed
    snapshot: Snapshot | None
    rollout: Json


class Observer:
    """Reads Rollouts. `cluster` is asked, `clock` read once a look, `verdicts` looked up."""

    def __init__(self, cluster: Cluster, clock: Clock, verdicts: Verdicts, timing: Timing) -> None:
        self._cluster = cluster
        self._clock = clock
        self._verdicts = verdicts
        self._timing = timing
        self._claims = KnownClaims()

    async def look(self, key: Key, memory: Memory, *, live: bool) -> Sighting | None:
        """Everything about this Rollout, None if it does not exist.

        Raises Unavailable, Refused or NotFound only if the Rollout itself cannot be read; other parts that
        cannot are `unread`.
        """
        rollout = await self._cluster.get(Ref(Kind.ROLLOUT, *key), live=live)
        if rollout is None:
            return None
        facts = facts_of(rollout.get("status") or {})
        raw, policy, wrong = rollout.get("spec") or {}, None, tuple[Finding, ...]()
        spec: RolloutSpec | Places | None
        try:
            spec = parse_spec(raw)
            policy = compile_policy(spec)
        except SpecError as error:
            spec, wrong = parse_places(raw), spec_findings(_title(rollout), error)
        if spec is None:
            return self._unusable(rollout, facts, wrong)
        snapshot = await take(self._cluster, rollout, spec, live=live)
        now = self._clock.now()
        gate = await check_gate(self._cluster, snapshot.deployment, key, memory, now)
        workload, traffic = _workload(snapshot, facts), _traffic(snapshot, facts, memory, now)
        metadata = rollout["metadata"]
        given = metadata.get("annotations") or {}
        owned = ownership(rollout, snapshot.rollouts, self._claims.of)
        told = findings_of(rollout.get("status") or {})
        scrape = self._verdicts.scrape_interval(key)
        known = take_inventory(self._cluster, snapshot, facts, policy, scrape, traffic)
        if live and facts.phase not in RUNNING:  # there a pass has no time to lose, and watches know by then
            known = await confirmed(self._cluster, known)
        findings = (
            *_unwritten(memory),
            *owned.findings,
            *wrong,
            *snapshot.findings,
            *preflight(known),
            *gate,
            *_altered_canary(snapshot, facts),
            *_idle_findings(snapshot, workload),
            *commands.strangers(_title(rollout), given),
        )
        observed = Observed(
            now=now,
            policy=policy,
            generation=metadata.get("generation", 0),
            facts=facts,
            workload=workload,
            traffic=traffic,
            timing=self._timing,
            deleting="deletionTimestamp" in metadata,
            finalizer=names.FINALIZER in metadata.get("finalizers", ()),
            command=commands.parse(given, metadata["resourceVersion"], facts),
            verdict=self._verdicts.verdict(key),
            findings=findings + (_standing(told, findings) if snapshot.unread else ()),
            told=frozenset(finding.key for finding in told),
            busy=self._verdicts.busy(key),
            strays=self._verdicts.strays(key),
            absent=frozenset(snapshot.absent),
            unread=frozenset(snapshot.unread),
            edited=_edited(rollout, facts, policy, memory),
            owner=owned.owner,
            holder=owned.holder,
            waits=commands.waiting(given, facts),
        )
        return Sighting(observed, snapshot, rollout)

    def _unusable(self, rollout: Json, facts: Facts, wrong: tuple[Finding, ...]) -> Sighting:
        """A spec that does not say where the release takes place: nothing is read, and nothing moves."""
        metadata = rollout["metadata"]
        given = metadata.get("annotations") or {}
        observed = Observed(
            now=self._clock.now(),
            policy=None,
            generation=metadata.get("generation", 0),
            facts=facts,
            workload=None,
            traffic=None,
            timing=self._timing,
            deleting="deletionTimestamp" in metadata,
            finalizer=names.FINALIZER in metadata.get("finalizers", ()),
            command=commands.parse(given, metadata["resourceVersion"], facts),
            findings=(*wrong, *commands.strangers(_title(rollout), given)),
            unread=frozenset(Part),
        )
        return Sighting(observed, None, rollout)


def _edited(rollout: Json, facts: Facts, policy: Policy | None, memory: Memory) -> bool:
    """Whether an edit of the spec that no status tells of yet changed what the running release began with."""
    seen = (rollout.get("status") or {}).get("observedGeneration")
    if policy is None or facts.phase not in RUNNING or seen == rollout["metadata"].get("generation"):
        return False
    if memory.strategy == (policy.stages, policy.header_pins):
        return False
    return not (as_begun(facts, policy.stages) and facts.header_pins == policy.header_pins)


def _title(rollout: Json) -> str:
    return f"Rollout {rollout['metadata']['namespace']}/{rollout['metadata']['name']}"


def _unwritten(memory: Memory) -> tuple[Finding, ...]:
    unwritten = memory.unwritten
    return (unwritten.finding,) if unwritten is not None and unwritten.told else ()


def _standing(told: tuple[Finding, ...], findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The warnings that stand while a part cannot be read: they would be told anew when it can.

    Those that are not about objects come and go by themselves.
    """
    known = {finding.key for finding in findings}
    stand = (f for f in told if f.severity == "warning" and f.code not in {WRITE_FAILS, strays.CODE})
    return tuple(f for f in stand if f.key not in known)


def _traffic(snapshot: Snapshot, facts: Facts, memory: Memory, now: datetime) -> Traffic | None:
    """What the routes say, None while there is nothing to read it from."""
    if Part.VIRTUAL_SERVICE in snapshot.unread:
        return None
    if not snapshot.virtual_services and snapshot.destination_rule is None and not snapshot.selectors:
        return None
    if Part.DESTINATION_RULE in snapshot.unread and snapshot.destination_rule is None:
        return None
    if Part.SERVICE in snapshot.unread:
        return None
    expected = 0 if facts.phase is Phase.REVERTING else desired_weight(facts)
    pair = [snapshot.selectors.get(name) for name in snapshot.routing.services or ("", "")]
    reading = read_traffic(
        snapshot.routing,
        snapshot.virtual_services,
        snapshot.destination_rule,
        expected,
        facts.reached,
        header_pins=facts.header_pins,
        selectors=(pair[0], pair[1]),
        whole_routes=bool(facts.header_pins) or any(stage.mirror for stage in facts.plan),
    )
    objects = [
        *snapshot.virtual_services.values(),
        snapshot.destination_rule or {"metadata": {}},
        *snapshot.selectors.values(),
    ]
    version = "/".join(str(o["metadata"].get("resourceVersion", "-")) for o in objects)
    if Part.DESTINATION_RULE in snapshot.absent and reading.canary_weight != (0, 0):
        # Without any weight of ours it may be that our host is not known any more: nobody lowered anything.
        reading = replace(reading, lacks=(True, True))
    elif snapshot.routing.services is not None and Part.SERVICE not in snapshot.unread:
        reading = replace(reading, lacks=(pair[0] is None, pair[1] is None))
    traffic = memory.sight(reading, version, now)
    if snapshot.routing.services is not None:
        traffic = replace(traffic, services=True)
    if snapshot.routing.deployments is None:
        return traffic
    return replace(traffic, subsets=(facts.stable, facts.canary), fixed=True)


def _workload(snapshot: Snapshot, facts: Facts) -> Workload | None:
    if snapshot.routing.deployments is None:
        return read_workload(snapshot, facts)
    return read_sides(snapshot, facts)


def _idle_findings(snapshot: Snapshot, workload: Workload | None) -> Iterator[Finding]:
    """What keeps the idle one of two Deployments from making a ReplicaSet of its template."""
    if workload is not None and not workload.target:
        yield from idle_findings(snapshot.routing, snapshot.sides[1])


def _altered_canary(snapshot: Snapshot, facts: Facts) -> tuple[Finding, ...]:
    """A canary whose template somebody's policy changed on its way in is not what would be promoted."""
    deployment = snapshot.deployment
    if deployment is None or facts.canary is None or facts.phase not in {Phase.PROGRESSING, Phase.PAUSED}:
        return ()
    wanted = deployment["spec"]["template"]
    for raw in snapshot.replica_sets.values():
        mine = (raw["metadata"].get("labels") or {}).get(HASH_LABEL) == facts.canary
        if (
            mine
            and template_hash(wanted) == facts.canary
            and not same_template(raw["spec"]["template"], wanted)
        ):
            name = f"ReplicaSet {raw['metadata']['namespace']}/{raw['metadata']['name']}"
            sentence = "the API server stored another pod template than the Deployment's"
            fix = f"Exempt ReplicaSets labelled {names.LABEL} from the policy that changes them."
            return (Finding("AlteredCanary", "error", name, "spec.template", sentence, fix),)
    return ()

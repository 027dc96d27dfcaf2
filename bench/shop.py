"""One service under release: a namespace with Deployment, Service, routes and Rollout, and watches on it."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.audit import Call
from bench.errors import BenchError
from bench.history import Object, shares
from bench.lab import Lab
from bench.recorder import Recorder
from e2e.load import Answer, Load
from e2e.tests.support import (
    Namespace,
    deployment,
    destination_rule,
    route,
    service,
    virtual_service,
    wait_for,
)

NAME = "web"
MANAGER = "bench"
SERVED = 20
"""Requests per second, and how many of them in a row must be answered, before a service is used."""
SETTLED = frozenset({"Healthy", "Reverted", "Paused", "Invalid"})
"""Phases in which nothing goes on by itself."""


@dataclass(frozen=True)
class Plan:
    """What a service is to be like; `rollout` is the Rollout's spec beyond workload and traffic."""

    replicas: int
    rollout: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Shop:
    """The service. Versions are named by the caller; v1 is there at the start."""

    lab: Lab
    plan: Plan
    namespace: Namespace
    records: Recorder

    @property
    def name(self) -> str:
        return self.namespace.name

    @property
    def status(self) -> Mapping[str, Any]:
        """The Rollout's status as last seen."""
        status: Mapping[str, Any] = self.records.one("rollouts", NAME).get("status") or {}
        return status

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    def share(self, revision: str) -> int:
        """The revision's percent of requests, as VirtualService and DestinationRule were last seen."""
        mesh = self.records.one("virtualservices", NAME), self.records.one("destinationrules", NAME)
        return shares(*mesh).get(revision, 0) if all(mesh) else 0

    def load(self, rate: float) -> Load:
        """Requests through Envoy to this service, while the block runs."""
        return self.namespace.load(rate)

    async def release(self, version: str, **env: str) -> None:
        """Give the Deployment a new template, as `kubectl set env` does, and wait until its release began."""
        before = self.status.get("canary") or self.status.get("stable")
        await self._change(version, env)

        def began() -> bool:
            return self.phase == "Progressing" and self.status.get("canary") != before

        await self.records.until(f"the release of {version} to begin", began, 15)

    async def _change(self, version: str, env: Mapping[str, str]) -> None:
        path = self.namespace.path("deployments", NAME, "apps/v1")
        variables = {"VERSION": version, "ERROR_RATE": "0", **self.plan.env, **env}
        container = {"name": "app", "env": [{"name": k, "value": v} for k, v in variables.items()]}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.lab.kube.patch(path, body, "strategic", fieldManager=MANAGER)

    async def settled(self, *wanted: str, within: float) -> None:
        """Wait until the release has ended in one of these phases. BenchError if it ended in another."""

        def done() -> str | None:
            return self.phase if self.phase in SETTLED and self.at_rest() else None

        phase = await self.records.until(f"a release to end {' or '.join(wanted)}", done, within)
        if phase not in wanted:
            raise BenchError(
                f"a release in {self.name} ended {phase} and not {' or '.join(wanted)}:"
                f" {self.status.get('message')}"
            )

    def at_rest(self) -> bool:
        """Whether nothing of the controller's is in the mesh, or the Rollout waits for a person."""
        rule = self.records.one("destinationrules", NAME)
        return self.phase in ("Paused", "Invalid") or not any(
            "pod-template-hash" in subset.get("labels", {})
            for subset in rule.get("spec", {}).get("subsets", ())
        )

    async def reached(self, weight: int, within: float) -> str:
        """Wait until the canary has this share; its revision."""

        def there() -> str | None:
            canary = self.status.get("canary")
            return canary if canary and self.share(canary) == weight else None

        return await self.records.until(f"the canary to get {weight} %", there, within)

    async def sent_home(self, within: float = 600.0) -> None:
        """Wait until a release that goes back has taken the canary's share away."""

        def home() -> bool:
            canary = self.status.get("canary")
            going_back = self.phase in ("Reverting", "Reverted")
            return bool(canary) and going_back and self.share(str(canary)) == 0

        await self.records.until("the canary's share to be taken away", home, within)

    async def home_write(self, since: float) -> Call:
        """The controller's first write to the VirtualService after `since` (Unix time) that took the share
        to 0."""
        seen = [
            change.wall
            for change in self.records.changes
            if change.kind == "virtualservices" and change.wall > since and canary_weight(change.item) == 0
        ]
        if not seen:
            raise BenchError(f"no VirtualService at weight 0 was seen in {self.name}")

        def matches(call: Call) -> bool:
            ours = call.by_controller and call.is_write and call.code == 200
            mine = call.resource == "virtualservices" and call.namespace == self.name
            return ours and mine and since < call.received < seen[0]

        return await self.lab.audit.find(matches, f"a write of the VirtualService in {self.name}")


@contextlib.asynccontextmanager
async def opened(lab: Lab, plan: Plan, *, rollout: bool = True) -> AsyncIterator[Shop]:
    """A service at rest with v1, and Healthy if it has a Rollout; its namespace is emptied in the end."""
    async with (
        Namespace.make(lab.cluster, lab.kube, "bench") as namespace,
        Recorder(lab.kube, namespace.name) as records,
    ):
        shop = Shop(lab, plan, namespace, records)
        await namespace.apply(*_objects(namespace, plan))
        await namespace.rolled_out(NAME, within=60)
        await _served(namespace)
        try:
            if rollout:
                await namespace.apply(rollout_of(plan))
                await shop.settled("Healthy", within=60)
            yield shop
        finally:
            await _remove(shop)


async def _served(namespace: Namespace) -> None:
    """Wait until Envoy has known the service for a second: what fails before is no release's fault."""
    async with namespace.load(SERVED) as load:

        async def steadily() -> bool:
            last = load.answers[-SERVED:]
            return len(last) == SERVED and all(answer.status == 200 for answer in last)

        await wait_for(steadily, f"a second of answers from {namespace.name} through Envoy")


def failures_by_kind(failed: Iterable[Answer]) -> dict[str, int]:
    """How many failed by which status, or for which reason that there was none."""
    return dict(Counter(str(answer.status or answer.error) for answer in failed))


def canary_weight(item: Object) -> int:
    """The weight of the subset `canary` in the first route."""
    route = item["spec"]["http"][0]["route"]
    return sum(int(one.get("weight", 0)) for one in route if one["destination"]["subset"] == "canary")


def _objects(namespace: Namespace, plan: Plan) -> list[Object]:
    weighted = route({"stable": 100, "canary": 0}, host=NAME)
    web = deployment(NAME, replicas=plan.replicas, env=plan.env)
    # Kubernetes' default: on a busy machine one late answer to a probe is no lost pod.
    web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["failureThreshold"] = 3
    return [
        web,
        service(NAME),
        virtual_service(namespace.host, [weighted]),
        destination_rule(NAME, {"stable": {"app": NAME}, "canary": {"app": NAME}}),
    ]


def rollout_of(plan: Plan, name: str = NAME) -> Object:
    """The Rollout for the objects of that name."""
    return {
        "apiVersion": "rollout-controller.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name},
        "spec": {
            "workload": {"deployment": name},
            "traffic": {
                "istio": {
                    "virtualServices": [{"name": name}],
                    "destinationRule": {"name": name, "stableSubset": "stable", "canarySubset": "canary"},
                }
            },
            **plan.rollout,
        },
    }


async def _remove(shop: Shop) -> None:
    """Delete the Rollout while its controller still runs, or its finalizer would hold it."""
    path = f"/apis/rollout-controller.dev/v1alpha1/namespaces/{shop.name}/rollouts/{NAME}"
    if shop.records.one("rollouts", NAME):
        await shop.lab.kube.delete(path)

        def gone() -> bool:
            return not shop.records.one("rollouts", NAME)

        await shop.records.until("the Rollout to be gone", gone, 60)

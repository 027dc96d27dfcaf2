"""What a controller does while there is nothing to do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from bench import shop
from bench.audit import WATCHES
from bench.figures import BY_NAME, Figure
from bench.history import Object
from bench.lab import Lab
from bench.recorder import Recorder
from bench.shop import Plan
from e2e.tests.support import Namespace, destination_rule, route, service, virtual_service

NAMES = ("idle_calls_per_minute",)
COUNT = 100
CALM = 30.0
MINUTE = 60.0
PLAN = Plan(1, {"strategy": {"canary": {}}, "analysis": {"checks": [{"errorRate": {"max": "1%"}}]}})


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """idle_calls_per_minute: the controller's calls in the API server's audit log over 60 s, 30 s after the
    last of 100 Rollouts had become Healthy, each with Deployment, pod, Service, VirtualService and
    DestinationRule of its own; watches apart.
    """
    del wanted
    count = lab.runs(COUNT, 20)
    names = [f"{shop.NAME}-{number}" for number in range(count)]
    async with lab.controller() as controller, _services(lab, names) as records:

        def healthy() -> bool:
            found = [
                item for item in records.of("rollouts") if item.get("status", {}).get("phase") == "Healthy"
            ]
            return len(found) == count

        await records.until(f"{count} Rollouts to be Healthy", healthy, 180)
        lab.say(f"{count} Rollouts are Healthy; {CALM:g} s of calm")
        await asyncio.sleep(CALM)
        lab.say(f"counting calls for {MINUTE:g} s")
        since, counted = len(lab.audit.read()), await controller.calls()
        burnt = await controller.metric("process_cpu_seconds_total")
        await asyncio.sleep(MINUTE)
        calls = [call for call in lab.audit.read()[since:] if call.by_controller]
        later = await controller.calls()
        own = sum(value - counted.get(key, 0) for key, value in later.items() if key[0] not in WATCHES)
        burnt = await controller.metric("process_cpu_seconds_total") - burnt
        memory = await controller.metric("process_resident_memory_bytes")
        controller.check()
    made = Counter(f"{call.verb} {call.resource}" for call in calls if call.verb not in WATCHES)
    return [
        Figure(
            BY_NAME["idle_calls_per_minute"],
            sum(made.values()),
            f"API server's audit log of the controller's calls over {MINUTE:g} s, {count} Rollouts at rest;"
            f" the controller's own count says {own:g}",
            {
                "kinds": dict(made),
                "watches_reopened": sum(call.verb in WATCHES for call in calls),
                "cpu_percent_of_a_core": round(100 * burnt / MINUTE, 2),
                "resident_mib": round(memory / 2**20),
            },
        )
    ]


@asynccontextmanager
async def _services(lab: Lab, names: list[str]) -> AsyncIterator[Recorder]:
    async with (
        Namespace.make(lab.cluster, lab.kube, "idle") as namespace,
        Recorder(lab.kube, namespace.name) as records,
    ):
        for name in names:
            await namespace.apply(*_objects(namespace, name))
        lab.say(f"applied {len(names)} services with a Rollout each")
        try:
            yield records
        finally:
            await _remove(lab, namespace, records)


def _objects(namespace: Namespace, name: str) -> list[Object]:
    weighted = route({"stable": 100, "canary": 0}, host=name)
    host = f"{name}.{namespace.host}"
    return [
        _sleeper(name),
        service(name),
        virtual_service(host, [weighted], name),
        destination_rule(name, {"stable": {"app": name}, "canary": {"app": name}}, name),
        shop.rollout_of(PLAN, name),
    ]


def _sleeper(name: str) -> Object:
    """A Deployment of the smallest process there is: nobody sends it anything."""
    container = {"name": "app", "image": "sleep", "command": ["sleep", "100000"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": PLAN.replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
            },
        },
    }


async def _remove(lab: Lab, namespace: Namespace, records: Recorder) -> None:
    """Delete the Rollouts while their controller still runs."""
    await lab.kube.delete(namespace.path("rollouts", group="rollout-controller.dev/v1alpha1"))
    await records.until("the Rollouts to be gone", lambda: not records.of("rollouts"), 120)

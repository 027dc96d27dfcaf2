"""What people and tools see of a release: columns, sentences, conditions, Events, metrics."""

import asyncio
import re

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, World

pytestmark = pytest.mark.real


async def table(world: World, *arguments: str) -> dict[str, str]:
    """The Rollout's line of `kubectl get rlt`, by column."""
    head, line = (await world.kubectl("get", "rlt", "web", *arguments)).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", head)]
    ends = [*starts[1:], len(line) + 1]
    return {head[start:end].strip(): line[start:end].strip() for start, end in zip(starts, ends, strict=True)}


def conditions(status: Object) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status["conditions"]}


READY = {
    "Ready": "True",
    "Reconciling": "False",
    "Stalled": "False",
    "Paused": "False",
    "TrafficVerified": "Unknown",
}
GOING = {
    "Ready": "False",
    "Reconciling": "True",
    "Stalled": "False",
    "Paused": "False",
    "TrafficVerified": "True",
}


async def test_a_release_is_followed_in_columns_sentences_and_conditions(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    seen = await table(world)
    assert list(seen) == ["NAME", "PHASE", "STEP", "WEIGHT", "VERDICT", "AGE"]
    assert (seen["PHASE"], seen["STEP"], seen["WEIGHT"], seen["VERDICT"]) == ("Healthy", "", "", "")
    assert conditions(await world.status()) == READY
    async with world.load(100):
        await world.release("v2")
        await world.at(25)
        status = await world.until(
            lambda s: (
                (s.get("verdict") or {}).get("result") == "pass"
                and "p99" in s["message"]
                and conditions(s)["TrafficVerified"] != "Unknown"
            ),
            "a verdict in the status, and whether the traffic is verified",
        )
        assert re.match(
            r"step 1/2 at 25 %: error rate 0 % \(limit 4 %\), p99 [\d.]+ ms \(limit 5000 ms\)",
            status["message"],
        )
        assert conditions(status) == GOING
        assert {one["check"]: one["limit"] for one in status["readings"]} == {
            "errorRate": "4%",
            "latency p99": "5000ms",
        }
        seen = await table(world, "-o", "wide")
        assert list(seen) == [
            "NAME",
            "PHASE",
            "STEP",
            "WEIGHT",
            "VERDICT",
            "AGE",
            "STABLE",
            "CANARY",
            "MESSAGE",
        ]
        assert [seen[column] for column in ("PHASE", "STEP", "WEIGHT", "VERDICT", "STABLE", "CANARY")] == [
            "Progressing",
            "1/2",
            "25",
            "pass",
            status["stable"],
            status["canary"],
        ]
        assert seen["MESSAGE"].startswith("step 1/2 at 25 %")
        await world.command("pause", "a look")
        paused = await world.phase("Paused")
        assert conditions(paused) == {**GOING, "Paused": "True"}
        waiting = asyncio.create_task(
            world.kubectl("wait", "rlt/web", "--for=condition=Ready", "--timeout=60s")
        )
        await world.command("promote", "full")
        await waiting
    status = await world.phase("Healthy")
    assert conditions(status) == READY
    assert status["message"] == f"stable {status['stable']} serves everybody; promoted from canary"
    assert status["observedGeneration"] == (await world.get("rollouts"))["metadata"]["generation"]


async def test_a_revert_is_told_as_stalled_with_its_reason_and_the_way_out(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await world.command("abort", "wrong colour")
    status = await world.phase("Reverted")
    assert conditions(status) == {
        "Ready": "False",
        "Reconciling": "False",
        "Stalled": "True",
        "Paused": "False",
        "TrafficVerified": "Unknown",
    }
    assert "wrong colour" in status["message"]
    assert "retry" in status["message"]
    (past,) = status["history"]
    assert (past["revision"], past["outcome"]) == (status["canary"], "Reverted")
    assert "wrong colour" in past["reason"]


async def test_each_transition_is_one_event_that_kubectl_shows(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await world.command("promote", "full")
    await world.phase("Healthy")
    await world.event("Promoted")
    reasons = [event.partition(":")[0] for event in await world.events()]
    assert reasons == [
        "Healthy",
        "Started",
        "StepStarted",
        "Approved",
        "StepStarted",
        "Promoting",
        "Promoted",
    ]
    shown = (await world.kubectl("events", "--for=rlt/web", "--no-headers")).splitlines()
    assert sorted(line.split()[2] for line in shown) == sorted(reasons)
    assert "Promoted" in await world.kubectl("describe", "rlt", "web")


async def test_metrics_tell_phase_and_weight_of_each_rollout(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)

    async def told() -> bool:
        lines = [line for line in (await controller.metrics()).splitlines() if 'rollout="web"' in line]
        weight = any("weight" in line and line.endswith(" 25.0") for line in lines)
        return weight and any('phase="Progressing"' in line and line.endswith(" 1.0") for line in lines)

    await wait_for(told, "phase Progressing and weight 25 in the metrics", 5)
    text = await controller.metrics()
    for name in ("passes", "queue", "api_calls", "prometheus_queries", "event_loop_lag"):
        assert f"rollout_controller_{name}" in text
    await world.kubectl("delete", "rlt", "web", "--timeout=20s")

    async def forgotten() -> bool:
        return 'rollout="web"' not in await controller.metrics()

    await wait_for(forgotten, "a deleted Rollout to leave the metrics", 5)


async def test_a_rollout_at_rest_is_written_no_more(namespace: Namespace, controller: Controller) -> None:
    world = await World.begin(namespace, controller)
    await world.event("Healthy")  # the last that adopting writes
    await world.pods_told()
    plurals = ("rollouts", "deployments", "virtualservices", "destinationrules")
    before = {plural: (await world.get(plural))["metadata"]["resourceVersion"] for plural in plurals}
    calls = await api_calls(controller)
    assert calls, "the metrics count no calls"
    until = asyncio.get_running_loop().time() + 3
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(0.5)
        assert await api_calls(controller) == calls
    after = {plural: (await world.get(plural))["metadata"]["resourceVersion"] for plural in plurals}
    assert after == before


async def api_calls(controller: Controller) -> dict[str, str]:
    """Calls so far by verb and resource, watches apart."""
    lines = [line.rpartition(" ") for line in (await controller.metrics()).splitlines()]
    return {
        name: count
        for name, _, count in lines
        if name.startswith("rollout_controller_api_calls_total{") and 'verb="watch"' not in name
    }

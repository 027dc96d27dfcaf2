"""All canary pods become unready at once: what users notice."""

import asyncio
import time
from collections.abc import Collection
from typing import Any

from bench import shop
from bench.errors import BenchError
from bench.figures import BY_NAME, Figure
from bench.lab import Lab
from bench.shop import Plan, Shop
from e2e.load import Load
from e2e.tests.support import wait_for

NAMES = ("pods_lost_errors",)
RATE = 100
WEIGHT = 25
REPLICAS = 4
METRICS_PORT = 15020
PLAN = Plan(
    REPLICAS,
    {
        "strategy": {"canary": {"steps": [{"weight": WEIGHT}, {"weight": 100}]}},
        "analysis": {
            "interval": "5s",
            "window": "15s",
            "warmup": "5s",
            "checks": [{"errorRate": {"max": "1%"}}],
        },
        "minDuration": "10m",
        "bake": "10m",
        "drain": "5s",
    },
)


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """pods_lost_errors: failed requests at 100 requests/s from the moment at which all canary pods are told
    to fail their readiness probe (1 s period, three failures) at 25 % to the end of the revert; the largest
    of five releases. Until Envoy has learnt that they are gone the pods still answer; afterwards it answers
    503 itself for as long as they have a share.
    """
    del wanted
    runs = lab.runs(5, 2)
    counts: list[int] = []
    seconds: list[float] = []
    async with lab.controller() as controller, shop.opened(lab, PLAN) as web:
        for turn in range(1, runs + 1):
            errors, taken = await _run(web, f"lost{turn}")
            counts.append(errors)
            seconds.append(round(taken, 2))
            lab.say(
                f"pods lost {turn}/{runs}: {errors} failed, weight 0 {taken:.2f} s after the first unready"
            )
        controller.check()
    return [
        Figure(
            BY_NAME["pods_lost_errors"],
            max(counts),
            f"the largest of {runs} releases, {RATE} requests/s, {REPLICAS} replicas, /healthz of all canary"
            " pods answers 503",
            {"each": counts, "seconds_from_first_unready_to_zero": seconds},
        )
    ]


async def _run(web: Shop, version: str) -> tuple[int, float]:
    async with web.load(RATE) as load:
        begun = time.time()
        await web.release(version)
        canary = await web.reached(WEIGHT, within=60)
        await _answers(load, version)
        await asyncio.sleep(1)
        if load.failures():
            raise BenchError(f"{len(load.failures())} requests failed before any pod was lost")
        lost = time.time()
        await asyncio.gather(*(_unready(web, pod) for pod in _pods(web, canary)))
        await web.sent_home(within=60)
        await web.settled("Reverted", within=60)
        await asyncio.sleep(1)
    write = await web.home_write(since=begun)
    first = min(
        change.wall
        for change in web.records.changes
        if change.kind == "pods" and change.wall > lost and not _ready(change.item)
    )
    return len(load.failures()), write.answered - first


async def _answers(load: Load, version: str) -> None:
    async def any_yet() -> bool:
        return load.first(version) is not None

    await wait_for(any_yet, f"an answer by {version}", within=10)


def _pods(web: Shop, revision: str) -> list[dict[str, Any]]:
    return [
        pod
        for pod in web.records.of("pods")
        if pod["metadata"]["labels"].get("pod-template-hash") == revision
        and "deletionTimestamp" not in pod["metadata"]
    ]


async def _unready(web: Shop, pod: dict[str, Any]) -> None:
    answer = await web.lab.cluster.pod_request(
        pod["status"]["podIP"], METRICS_PORT, "/-/unready", method="POST"
    )
    if answer.status != 200:
        raise BenchError(f"{pod['metadata']['name']} would not become unready: {answer.status}")


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

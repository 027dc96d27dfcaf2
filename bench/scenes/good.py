"""Good releases under load: what users notice of them, how many pods they take, how many calls they make."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

from bench import audit, shop
from bench.controller import Controller
from bench.figures import BY_NAME, Figure
from bench.history import Capacity, capacity
from bench.lab import Lab
from bench.shop import Plan, Shop, failures_by_kind
from e2e.load import Answer

NAMES = ("good_release_failed_requests", "min_ready_ratio", "max_pods_ratio", "writes_per_canary")
RATE = 200
REPLICAS = 10
CALM = 3.0
"""Seconds without load or calls worth counting that end a release."""
PLAN = Plan(
    REPLICAS,
    {
        "strategy": {"canary": {"steps": [{"weight": weight} for weight in (5, 10, 25, 50, 100)]}},
        "analysis": {
            "interval": "5s",
            "window": "15s",
            "warmup": "5s",
            "minRequests": 20,
            "failureLimit": 2,
            "checks": [{"errorRate": {"max": "1%"}}, {"latency": {"quantile": 0.99, "max": "500ms"}}],
        },
        "minDuration": "10s",
        "bake": "10s",
        "drain": "5s",
    },
)


@dataclass(frozen=True)
class Release:
    """One release: its seconds, and the controller's writes by kind, and by its own count in all."""

    seconds: float
    writes: dict[str, int]
    counted: float


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """good_release_failed_requests: answers of 500 and above and requests without an answer, from 2 s before
    the first of 10 releases to 3 s after the last, at 200 requests/s through Envoy with route retries off, to
    10 replicas whose pods serve on for 1 s after they are told to end.

    min_ready_ratio, max_pods_ratio: see history.capacity; over the same releases.

    writes_per_canary: calls by the controller that may change something, in the API server's audit log, from
    the new template to 3 s after the release has come to rest; the largest of the releases. Status refreshes
    (numbers and sentences alone), commands and Events are counted apart.
    """
    only_writes = set(wanted) <= {"writes_per_canary"}
    runs = 1 if only_writes else lab.runs(10, 2)
    async with lab.controller() as controller, shop.opened(lab, PLAN) as web:
        await asyncio.sleep(CALM)  # the end of the installation is no part of a release
        since = web.records.version
        async with web.load(RATE) as load:
            await asyncio.sleep(2)
            releases = []
            for number in range(1, runs + 1):
                releases.append(await _release(lab, controller, web, f"v{number + 1}"))
                controller.check()
                failed = len(load.failures())
                lab.say(
                    f"good release {number}/{runs}: {releases[-1].seconds:.0f} s,"
                    f" {len(load.answers)} requests so far, {failed} failed"
                )
        web.records.check()
        room = capacity(web.records.changes, since)
        figures = [
            _failed(load.answers, load.sent, releases),
            *_capacity(room, runs),
            _writes(releases),
        ]
    return [figure for figure in figures if figure.key.name in wanted]


async def _release(lab: Lab, controller: Controller, web: Shop, version: str) -> Release:
    begun, offset, before = time.monotonic(), len(lab.audit.read()), await _written(controller)
    await web.release(version)
    await web.settled("Healthy", within=600)
    seconds = time.monotonic() - begun
    await asyncio.sleep(CALM)
    calls = [call for call in lab.audit.read()[offset:] if call.namespace == web.name]
    return Release(seconds, dict(audit.writes_by_kind(calls)), await _written(controller) - before)


async def _written(controller: Controller) -> float:
    calls = await controller.calls()
    return sum(count for (verb, _), count in calls.items() if verb in ("create", "patch", "delete"))


def _failed(answers: list[Answer], sent: int, releases: list[Release]) -> Figure:
    failed = [answer for answer in answers if answer.failed]
    lost = sent - len(answers)
    seconds = sorted(release.seconds for release in releases)
    return Figure(
        BY_NAME["good_release_failed_requests"],
        len(failed) + lost,
        f"{len(releases)} releases of {REPLICAS} replicas, {RATE} requests/s without route retries,"
        f" {sent} requests",
        {
            "requests": sent,
            "kinds": failures_by_kind(failed),
            "release_seconds": {"shortest": round(seconds[0], 1), "longest": round(seconds[-1], 1)},
        },
    )


def _capacity(room: Capacity, runs: int) -> list[Figure]:
    how = (
        f"{room.moments} states through {runs} releases of {REPLICAS} replicas: watches of pods,"
        " EndpointSlices, VirtualService and DestinationRule, put in order by resourceVersion"
    )
    return [
        Figure(BY_NAME["min_ready_ratio"], room.min_ready_ratio, how, {"worst": room.worst_ready}),
        Figure(BY_NAME["max_pods_ratio"], room.max_pods_ratio, how, {"worst": room.worst_pods}),
    ]


def _writes(releases: list[Release]) -> Figure:
    split = [audit.counted_apart(release.writes) for release in releases]
    worst = max(range(len(releases)), key=lambda index: split[index][0])
    return Figure(
        BY_NAME["writes_per_canary"],
        split[worst][0],
        f"API server's audit log of the controller's calls, the largest of {len(releases)} releases of"
        f" {REPLICAS} replicas in 5 steps; apart: {split[worst][1]} status refreshes, commands and Events",
        {
            "kinds": releases[worst].writes,
            "each": [own for own, _ in split],
            "all_by_the_controllers_own_count": releases[worst].counted,
        },
    )

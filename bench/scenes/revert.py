"""How long it takes from a failing verdict until the VirtualService says 0."""

import time
from collections.abc import Collection
from datetime import datetime
from statistics import median

from bench import shop
from bench.controller import Controller
from bench.errors import BenchError
from bench.figures import BY_NAME, Figure, percentile
from bench.lab import Lab, side_by_side
from bench.shop import Plan, Shop

NAMES = ("revert_write_ms_p99",)
SIDE_BY_SIDE = 5
RATE = 20
PLAN = Plan(
    1,
    {
        "strategy": {"canary": {"steps": [{"weight": 50}, {"weight": 100}], "minPods": 1}},
        "analysis": {
            "interval": "1s",
            "window": "3s",
            "warmup": "0s",
            "minRequests": 5,
            "failureLimit": 1,
            "checks": [{"errorRate": {"max": "1%"}}],
        },
        "minDuration": "60s",
        "bake": "60s",
        "drain": "0s",
    },
)
VERDICT = "verdict"
"""The event of the line in the controller's log that tells of a verdict's new result."""


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """revert_write_ms_p99: from the moment at which the evaluator's verdict became `fail`, as its line in the
    controller's log says, to the API server's answer to the write that took the VirtualService to 0, as its
    audit log says; one clock. 50 reverts by one controller, five services side by side; short windows, steps
    and settling times, which come before the verdict or after the write.
    """
    del wanted
    turns = lab.runs(10, 2)
    async with lab.controller(settle="1s", settle_relabel="1s") as controller:
        series = await side_by_side(_series(lab, controller, turns, n) for n in range(SIDE_BY_SIDE))
        controller.check()
    taken = [milliseconds for one in series for milliseconds in one]
    return [
        Figure(
            BY_NAME["revert_write_ms_p99"],
            percentile(taken, 0.99),
            f"{len(taken)} reverts, {SIDE_BY_SIDE} services side by side: line of the verdict in the"
            " controller's log → answer to the write in the API server's log",
            {"p50": round(median(taken), 1), "each": [round(value, 1) for value in taken]},
        )
    ]


async def _series(lab: Lab, controller: Controller, turns: int, number: int) -> list[float]:
    async with shop.opened(lab, PLAN) as web, web.load(RATE):
        taken = []
        for turn in range(1, turns + 1):
            taken.append(await _revert(web, controller, f"bad{turn}"))
            lab.say(f"revert {number + 1}.{turn}/{turns}: {taken[-1]:.0f} ms from verdict to write")
        return taken


async def _revert(web: Shop, controller: Controller, version: str) -> float:
    begun = time.time()
    await web.release(version, ERROR_RATE="1")
    await web.sent_home(within=120)
    await web.settled("Reverted", within=60)
    write = await web.home_write(since=begun)
    return (write.answered - _failed_at(web, controller, begun, write.answered)) * 1000


def _failed_at(web: Shop, controller: Controller, since: float, until: float) -> float:
    """When the verdict on this release became `fail`, in Unix time."""
    times = [
        datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()
        for line in controller.lines()
        if line.get("event") == VERDICT and line.get("result") == "fail" and line.get("namespace") == web.name
    ]
    found = [moment for moment in times if since < moment < until]
    if not found:
        raise BenchError(
            f"the controller's log tells of no failing verdict in {web.name} before it went back"
        )
    return found[0]

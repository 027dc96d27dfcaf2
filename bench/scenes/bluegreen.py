"""Blue-green releases under load: what the one write costs users, how sharp it is, and whether pins hold."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench import shop
from bench.figures import BY_NAME, Figure
from bench.history import Change
from bench.lab import Lab
from bench.shop import Plan, Shop, failures_by_kind
from e2e.load import Answer, Load
from rollout_controller.istio.routing import is_own

NAMES = ("bluegreen_failed_requests", "bluegreen_skew_ms", "pin_wrong_version")
RATE = 200
PINNED_RATE = 50
REPLICAS = 4
LIVE_AFTER = 0.5
"""Seconds from a pinned route that was seen in the VirtualService until every proxy must follow it."""
HEADER = {"x-canary": "true"}
PLAN = Plan(
    REPLICAS,
    {
        "strategy": {"blueGreen": {"preview": [{"headers": {"x-canary": {"exact": "true"}}}]}},
        "analysis": {
            "interval": "2s",
            "window": "6s",
            "warmup": "2s",
            "minRequests": 10,
            "failureLimit": 2,
            "checks": [{"errorRate": {"max": "1%"}}],
        },
        "minDuration": "5s",
        "bake": "5s",
        "drain": "3s",
    },
)


@dataclass(frozen=True)
class Switch:
    """One release: how long both versions answered requests without the header, and what pins were given."""

    skew_ms: float
    pinned: int
    wrong: int


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """bluegreen_failed_requests: answers of 500 and above and requests without an answer, from 2 s before the
    first of 10 blue-green releases to 3 s after the last, at 200 requests/s through Envoy with route retries
    off, and 50/s more with the previewed header.

    bluegreen_skew_ms: of each switch, the last answer by the old version less the first by the new one, of
    requests without the header; the median.

    pin_wrong_version: requests with the header, sent while our route for it was in the VirtualService, that
    another version than the new one answered.
    """
    runs = lab.runs(10, 2)
    async with lab.controller() as controller, shop.opened(lab, PLAN) as web:
        with_header = web.namespace.load(PINNED_RATE, headers=HEADER)
        async with web.load(RATE) as load, with_header as pinned:
            await asyncio.sleep(2)
            switches = []
            for number in range(1, runs + 1):
                switches.append(await _switch(web, load, pinned, f"v{number}", f"v{number + 1}"))
                controller.check()
                failed = len(load.failures()) + len(pinned.failures())
                lab.say(
                    f"blue-green {number}/{runs}: skew {switches[-1].skew_ms:.0f} ms, {failed} failed so far,"
                    f" {switches[-1].wrong} of {switches[-1].pinned} pinned requests to the old version"
                )
            await asyncio.sleep(3)
        web.records.check()
    figures = [_failed((load, pinned), runs), _skew(switches), _wrong(switches)]
    return [figure for figure in figures if figure.key.name in wanted]


async def _switch(web: Shop, load: Load, pinned: Load, old: str, new: str) -> Switch:
    offset = len(web.records.changes)
    await web.release(new)
    await web.settled("Healthy", within=300)
    await asyncio.sleep(1)  # answers that are under way
    last, first = load.last(old), load.first(new)
    skew = (last.done - first.done) * 1000 if last is not None and first is not None else float("nan")
    during = sent_while_pinned(pinned.answers, web.records.changes[offset:])
    return Switch(skew, len(during), sum(answer.version != new for answer in during))


def sent_while_pinned(answers: Iterable[Answer], changes: Sequence[Change]) -> list[Answer]:
    """The answers to requests that were sent while a route of ours was there, and known to the proxies."""
    marks = [
        (change.seen, any(is_own(route) for route in change.item["spec"]["http"]))
        for change in changes
        if change.kind == "virtualservices"
    ]
    since = next((at + LIVE_AFTER for at, there in marks if there), None)
    if since is None:
        return []
    until = next((at for at, there in marks if not there and at > since), float("inf"))
    return [answer for answer in answers if since <= answer.sent < until]


def _failed(loads: Sequence[Load], runs: int) -> Figure:
    failed = [answer for load in loads for answer in load.answers if answer.failed]
    sent = sum(load.sent for load in loads)
    lost = sent - sum(len(load.answers) for load in loads)
    how = f"{runs} switches of {REPLICAS} replicas, {RATE} + {PINNED_RATE} requests/s, {sent} requests"
    return Figure(
        BY_NAME["bluegreen_failed_requests"],
        len(failed) + lost,
        how,
        {"requests": sent, "kinds": failures_by_kind(failed)},
    )


def _skew(switches: Sequence[Switch]) -> Figure:
    each = [round(switch.skew_ms, 1) for switch in switches]
    how = f"median of {len(each)} switches: last answer by the old version less first by the new one"
    return Figure(BY_NAME["bluegreen_skew_ms"], median(each), how, {"each": each})


def _wrong(switches: Sequence[Switch]) -> Figure:
    asked = sum(switch.pinned for switch in switches)
    how = (
        f"{asked} requests with the header through {len(switches)} releases, from {LIVE_AFTER:g} s after the"
    )
    return Figure(
        BY_NAME["pin_wrong_version"],
        sum(switch.wrong for switch in switches) if asked else float("nan"),
        f"{how} route for it was seen",
        {"requests": asked},
    )

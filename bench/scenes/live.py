"""How long it takes until Envoy routes as a VirtualService says."""

import asyncio
import json
import random
import time
from collections.abc import Collection
from statistics import median
from typing import Any

import aiohttp

from bench import shop
from bench.errors import BenchError
from bench.figures import BY_NAME, Figure, percentile
from bench.lab import Lab
from bench.shop import NAME, Plan, Shop

NAMES = ("weight_live_ms_p50",)
POLL = 0.003
WITHIN = 15.0
PLAN = Plan(1, {})


async def measure(lab: Lab, wanted: Collection[str]) -> list[Figure]:
    """weight_live_ms_p50: from the API server's answer to a write of a VirtualService's weights to the moment
    at which Envoy's admin page shows them in its dynamic routes, asked every 3 ms; istiod's default debounce,
    a quiet mesh, the write in no rhythm with anything.
    """
    del wanted
    taken: list[float] = []
    async with shop.opened(lab, PLAN, rollout=False) as web, aiohttp.ClientSession() as session:
        for number in range(lab.runs(50, 10)):
            await asyncio.sleep(0.5 + random.random() / 2)
            taken.append(await _change(lab, web, session, 1 + number % 99))
        lab.say(f"{len(taken)} writes: live after {median(taken):.0f} ms (median)")
    return [
        Figure(
            BY_NAME["weight_live_ms_p50"],
            median(taken),
            f"{len(taken)} writes: answer in the API server's log → Envoy's admin page, asked every 3 ms",
            {"p99": round(percentile(taken, 0.99), 1), "largest": round(max(taken), 1)},
        )
    ]


async def _change(lab: Lab, web: Shop, session: aiohttp.ClientSession, weight: int) -> float:
    path = web.namespace.path("virtualservices", NAME, "networking.istio.io/v1")
    route = "/spec/http/0/route"
    ops = [
        {"op": "replace", "path": f"{route}/0/weight", "value": 100 - weight},
        {"op": "replace", "path": f"{route}/1/weight", "value": weight},
    ]
    begun = time.time()
    await lab.kube.patch(path, ops, "json", fieldManager="bench")
    live = await _live(lab, web, session, weight)
    write = await lab.audit.find(
        lambda call: (
            call.resource == "virtualservices"
            and call.namespace == web.name
            and call.verb == "patch"
            and call.received >= begun - 0.001
        ),
        "the write of the weights",
    )
    return (live - write.answered) * 1000


async def _live(lab: Lab, web: Shop, session: aiohttp.ClientSession, weight: int) -> float:
    """The Unix time at which Envoy was seen to have this weight for the canary."""
    page = f"{lab.cluster.envoy_admin_url}/config_dump?resource=dynamic_route_configs"
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        async with session.get(page, timeout=aiohttp.ClientTimeout(total=5)) as answer:
            text = await answer.text()
        now = time.time()
        if weights_in(json.loads(text), web.namespace.host) == [100 - weight, weight]:
            return now
        await asyncio.sleep(POLL)
    raise BenchError(f"Envoy had not taken up a weight of {weight} within {WITHIN:g} s")


def weights_in(dump: Any, host: str) -> list[int]:
    """The weights of a host's first route in Envoy's dump of its dynamic routes; [] if there is none."""
    for config in dump.get("configs", ()):
        for virtual_host in config.get("route_config", {}).get("virtual_hosts", ()):
            if host in virtual_host.get("domains", ()):
                clusters = virtual_host["routes"][0]["route"].get("weighted_clusters", {}).get("clusters", ())
                return [int(cluster["weight"]) for cluster in clusters]
    return []

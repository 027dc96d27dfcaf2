"""What the controller does with a Rollout, put together from its parts: the one place where they meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rollout_controller.api.names import LABEL
from rollout_controller.app.metrics import Instruments
from rollout_controller.app.settings import Settings
from rollout_controller.controller.judging import Judging
from rollout_controller.controller.queue import Pass
from rollout_controller.controller.reconcile import Reconciler
from rollout_controller.controller.result import PassResult
from rollout_controller.core.world import Timing
from rollout_controller.istiod.client import Istiod, IstiodSettings
from rollout_controller.ports import Cluster, Key, Kind, Notifier, Ref
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings
from rollout_controller.prometheus.promql import Labels


async def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Parts:
    """What there is to work with. `wake` brings a Rollout's next pass, `rollouts` lists those known."""

    settings: Settings
    cluster: Cluster
    notifier: Notifier
    instruments: Instruments
    wake: Callable[[Key], None]
    rollouts: Callable[[], list[Key]]


@dataclass(frozen=True)
class Work:
    """What is to be done.

    `prepare` runs once, when the caches are filled, before the first pass; `run_pass` whenever a Rollout is
    woken; `tasks` beside it, until they are cancelled: one that ends by itself ends the controller.
    """

    run_pass: Pass
    tasks: Sequence[Callable[[], Awaitable[None]]] = ()
    prepare: Callable[[], Awaitable[None]] = nothing


Build = Callable[[Parts], Work]


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def _istiod(settings: Settings) -> Istiod | None:
    """istiod's debug pages, where the settings say how to reach them."""
    if not settings.istiod:
        return None
    token = Path(settings.istiod_token_file) if settings.istiod_token_file else None
    return Istiod(IstiodSettings(settings.istiod, token_file=token))


def build(parts: Parts) -> Work:
    """The work of this controller."""
    settings = parts.settings
    token = Path(settings.prometheus_token_file) if settings.prometheus_token_file else None
    prometheus = Prometheus(
        PrometheusSettings(settings.prometheus, token_file=token), count=parts.instruments.queried
    )
    clock = SystemClock()
    labels = Labels(pod=settings.pod_label)
    judging = Judging(prometheus, clock, labels, settings.settle, parts.wake, _istiod(settings))
    timing = Timing(settle=settings.settle, settle_relabel=settings.settle_relabel)
    reconciler = Reconciler(parts.cluster, clock, judging, parts.notifier, timing)

    async def run_pass(key: Key) -> PassResult:
        result = await reconciler.run_pass(key)
        rollout = await parts.cluster.get(Ref(Kind.ROLLOUT, *key), live=False)
        if result.gone or rollout is None:
            parts.instruments.gone(key)
        else:
            status = rollout.get("status") or {}
            parts.instruments.rollout(key, status.get("phase") or "Initializing", status.get("weight") or 0)
        return result

    async def sweep() -> None:
        """Deployments that bear the label of a Rollout that went while nobody watched are given back."""
        for deployment in await parts.cluster.list(Kind.DEPLOYMENT, "", live=False, labels=LABEL):
            metadata = deployment["metadata"]
            parts.wake(Key(metadata["namespace"], metadata["labels"][LABEL]))

    async def judge() -> None:
        """The evaluator has tasks of its own; this one ends them, and the queries, with the controller."""
        try:
            await asyncio.Event().wait()
        finally:
            await judging.close()
            prometheus.close()

    return Work(run_pass, tasks=(judge,), prepare=sweep)

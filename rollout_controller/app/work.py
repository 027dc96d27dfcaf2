"""What the controller does with a Rollout, put together from its parts: the one place where they meet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rollout_controller.app.metrics import Instruments
from rollout_controller.app.settings import Settings
from rollout_controller.controller.queue import Pass
from rollout_controller.controller.result import PassResult
from rollout_controller.ports import Cluster, Key, Kind, Notifier, Ref


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


def build(parts: Parts) -> Work:
    """The work of this controller."""

    async def run_pass(key: Key) -> PassResult:
        rollout = await parts.cluster.get(Ref(Kind.ROLLOUT, *key), live=False)
        if rollout is None:
            parts.instruments.gone(key)
            return PassResult(gone=True)
        status = rollout.get("status") or {}
        parts.instruments.rollout(key, status.get("phase") or "Initializing", status.get("weight") or 0)
        return PassResult()

    return Work(run_pass)

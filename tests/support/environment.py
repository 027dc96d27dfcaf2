"""Everything in the simulated world that moves by itself, and the virtual time in which it does."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime

from tests.support.deployments import deployment_step
from tests.support.endpoints import endpoints_step
from tests.support.replicasets import garbage_step, kubelet_due, kubelet_step, replicaset_step
from tests.support.world import World

_CONTROLLERS = (deployment_step, replicaset_step, garbage_step, kubelet_step, endpoints_step)
LIMIT = 2000


def step(world: World) -> bool:
    """One write by the native controllers; False if they are content."""
    return any(controller(world) for controller in _CONTROLLERS)


def settle(world: World) -> None:
    """Let the native controllers work until they are content; no time passes."""
    if world.calm == _moment(world):
        return
    for _ in range(LIMIT):
        if not step(world):
            world.calm = _moment(world)
            return
    raise AssertionError(f"the native controllers made {LIMIT} writes without coming to an end")


def _moment(world: World) -> Hashable:
    return world.version, world.now, world.broken


def due(world: World) -> datetime | None:
    """When something will happen by itself, None if nothing will."""
    return min(kubelet_due(world), default=None)

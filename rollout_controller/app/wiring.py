"""From settings to a running controller, and from SIGTERM to its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, TypeVar

import structlog
from kubernetes_asyncio.client import Configuration

from rollout_controller.api.names import API_VERSION, KIND
from rollout_controller.app.health import Health
from rollout_controller.app.metrics import Instruments
from rollout_controller.app.settings import Settings, unknown_settings
from rollout_controller.app.work import Build, Parts, Work, build
from rollout_controller.controller.loop import Loop
from rollout_controller.kube.cache import Cache
from rollout_controller.kube.client import KubeCluster
from rollout_controller.kube.config import load
from rollout_controller.kube.events import Events
from rollout_controller.kube.rest import NoAnswer, Request, Rest
from rollout_controller.kube.watch import collection
from rollout_controller.ports import Key, Kind

# Together with closing connections less than the 5 s in which a SIGTERM is obeyed.
_PASSES_END_WITHIN: Final = 2.5
_EVENTS_END_WITHIN: Final = 0.5

T = TypeVar("T")
log = structlog.get_logger(__name__)


class StartError(Exception):
    """The controller cannot begin to work; the message is a sentence for whoever started it."""


@dataclass(frozen=True)
class _Machine:
    """What runs from the first watch to the last pass."""

    cache: Cache
    events: Events
    instruments: Instruments
    loop: Loop
    work: Work


async def run(settings: Settings, build: Build = build) -> None:
    """Run a controller until SIGTERM or SIGINT. Raises ConfigError, HealthError, StartError."""
    stop = _stopped_by_signals()
    log.info("starting", version=version("rollout-controller"), namespaces=settings.namespace or "all")
    for name in unknown_settings(os.environ):
        log.warning("this environment variable sets nothing: misspelt?", variable=name)
    configuration = await _unless(stop, load(settings.kubeconfig, settings.context))
    if configuration is not None:
        await _run(settings, build, configuration, stop)
    log.info("stopped")


async def _run(settings: Settings, build: Build, configuration: Configuration, stop: asyncio.Event) -> None:
    instruments = Instruments()
    async with _rest(configuration, instruments) as calls, _rest(configuration, instruments) as watches:
        if not await _unless(stop, _expect_rollouts(calls, configuration.host, settings.namespaces[0])):
            return
        machine = _assemble(settings, build, instruments, calls, watches)
        health = Health(machine.cache.missing, instruments.page)
        await health.start(*settings.health)
        try:
            await _operate(machine, stop)
        finally:
            await health.stop()


def _assemble(
    settings: Settings, build: Build, instruments: Instruments, calls: Rest, watches: Rest
) -> _Machine:
    cache = Cache(watches, settings.namespaces)
    events = Events(calls, instruments.event)
    # The work wakes through the loop, and the loop runs the work: the one that is called first comes last.
    wakes: list[Loop] = []

    def wake(key: Key) -> None:
        wakes[0].wake(key)

    cluster = KubeCluster(calls, cache)
    work = build(Parts(settings, cluster, events, instruments, wake, cache.rollouts))
    loop = Loop(work.run_pass, watcher=instruments, workers=settings.workers)
    wakes.append(loop)
    instruments.queue(lambda: loop.queue.depth, loop.queue.oldest)
    return _Machine(cache, events, instruments, loop, work)


async def _operate(machine: _Machine, stop: asyncio.Event) -> None:
    """Fill the caches, work until `stop`, and end in order."""
    beside = [asyncio.create_task(machine.instruments.measure_lag(), name="lag")]
    machine.events.start()
    machine.cache.start(machine.loop.wake)
    try:
        if not await _unless(stop, _prepare(machine)):
            return
        beside += [asyncio.ensure_future(task()) for task in machine.work.tasks]
        machine.loop.start()
        if await _first(stop, *beside):
            raise RuntimeError("a task that runs as long as the controller ended by itself")
    finally:
        cut = await machine.loop.stop(_PASSES_END_WITHIN)
        if cut:
            log.warning("passes were cut at the end; the next controller finishes them", passes=cut)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await machine.cache.stop()
        await machine.events.stop(_EVENTS_END_WITHIN)


async def _prepare(machine: _Machine) -> bool:
    await machine.cache.synced()
    log.info("caches are filled", rollouts=len(machine.cache.rollouts()))
    await machine.work.prepare()
    return True


async def _unless(stop: asyncio.Event, beginning: Coroutine[Any, Any, T]) -> T | None:
    """The result of something, None if told to stop before it was there."""
    task = asyncio.create_task(beginning)
    try:
        return task.result() if await _first(stop, task) else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first(stop: asyncio.Event, *tasks: asyncio.Task[Any]) -> bool:
    """Wait until told to stop (False) or until a task ends (True); a task's error is raised."""
    told = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {told}:
            task.result()
        return told not in done
    finally:
        told.cancel()


@asynccontextmanager
async def _rest(configuration: Configuration, instruments: Instruments) -> AsyncIterator[Rest]:
    rest = Rest(configuration, instruments.called)
    try:
        yield rest
    finally:
        await rest.close()


async def _expect_rollouts(rest: Rest, host: str, namespace: str) -> bool:
    """Find out in one call whether there is an API server, knows Rollouts and lets us read them."""
    path = collection(Kind.ROLLOUT, namespace)
    request = Request("list", Kind.ROLLOUT.plural, "GET", path, {"limit": "1"})
    try:
        answer = await rest.call(request)
    except NoAnswer as error:
        raise StartError(
            f"no answer from the API server at {host}: {error}; check --kubeconfig and --context"
        ) from error
    if answer.code == 404:
        raise StartError(
            f"the API server at {host} does not know {API_VERSION} {KIND};"
            " apply crds/rollouts.yaml (or the output of `rollout-controller crd`) first"
        )
    if answer.code in (401, 403):
        raise StartError(
            f"the API server at {host} does not let us in: {answer.body.get('message') or answer.code};"
            " check the user of the kubeconfig, or the ServiceAccount and its roles (deploy/controller.yaml)"
        )
    if not answer.ok:
        raise StartError(
            f"the API server at {host} answered {answer.code}: {answer.body.get('message') or 'no reason'}"
        )
    return True


def _stopped_by_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the program as usual."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        log.info("told to stop", signal=number.name)
        stop.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, on_signal, each)
    return stop

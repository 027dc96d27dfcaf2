"""The life of one container: start, probe, restart, stop."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.localcluster.kubelet.backoff import Backoff
from e2e.localcluster.kubelet.environment import Address, ConfigError, Lookup, command_line, resolve
from e2e.localcluster.kubelet.probe import parse
from e2e.localcluster.kubelet.process import Process
from e2e.localcluster.kubelet.status import Container, Running, Terminated, Waiting
from e2e.localcluster.layout import REPOSITORY

MISSING_TAG = "missing"
LEAST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL even where preStop has used up the grace period."""
PULL_RETRY = 1.0
CONFIG_RETRY = 2.0


@dataclass(frozen=True)
class Surroundings:
    """What a container needs to know of its pod and node."""

    pod: Mapping[str, Any]
    address: Address
    logs: Path
    crash_backoff: float
    lookup: Callable[[], Awaitable[Lookup]]
    """Reads the ConfigMaps and Secrets that the pod names."""
    changed: Callable[[], None]
    """To be called whenever the container's state has changed."""


class ContainerRun:
    """Drives one container; `state` is what the pod's status says of it."""

    def __init__(self, spec: Mapping[str, Any], around: Surroundings, restarts: int = 0) -> None:
        self.spec = spec
        self.around = around
        self.state = Container(spec["name"], spec.get("image", ""), restarts=restarts)
        self.stopping = False
        self._process: Process | None = None
        self._environment: dict[str, str] = {}
        self._first = restarts

    async def run(self) -> None:
        """Keep the container as its pod's restartPolicy wants it; returns when it has ended for good."""
        if self.state.image.rsplit(":", 1)[-1] == MISSING_TAG:
            await self._never_pull()
        policy = self.around.pod["spec"].get("restartPolicy", "Always")
        backoff = Backoff(self.around.crash_backoff)
        while not self.stopping:
            end = await self._once()
            backoff = backoff.after((end.finished - end.started).total_seconds())
            again = policy == "Always" or (policy == "OnFailure" and end.code != 0)
            if self.stopping or not again:
                break
            if backoff.delay:
                message = f"back-off {backoff.delay:g}s restarting failed container={self.state.name}"
                self._set(state=Waiting("CrashLoopBackOff", message), last=end)
                await asyncio.sleep(backoff.delay)
            self._set(last=end, restarts=self.state.restarts + 1)
        self._set(final=True)

    async def stop(self, deadline: float) -> None:
        """preStop, then SIGTERM, then SIGKILL at `deadline` (event loop time), as Kubernetes orders them.

        The container serves on during preStop; if that uses up the time, LEAST_GRACE is left for SIGTERM.
        """
        loop = asyncio.get_running_loop()
        self.stopping = True
        if self._process is None or not self._process.running:
            return
        await self._pre_stop(max(0.0, deadline - loop.time()))
        await self._process.terminate(max(LEAST_GRACE, deadline - loop.time()))

    async def kill(self) -> None:
        """End at once."""
        self.stopping = True
        if self._process is not None:
            await self._process.terminate(0.0)

    async def _pre_stop(self, grace: float) -> None:
        hook = self.spec.get("lifecycle", {}).get("preStop", {})
        assert self._process is not None
        waiting: Awaitable[Any] | None = None
        if "sleep" in hook:
            waiting = asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            with contextlib.suppress(OSError):  # a hook that cannot run does not keep a pod from ending
                waiting = self._spawn(hook["exec"]["command"]).wait()
        if waiting is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await _either(waiting, self._process.wait())

    async def _once(self) -> Terminated:
        """Start the process and wait for its end."""
        started = datetime.now(UTC)
        try:
            self._process = await self._start()
        except OSError as error:
            reason = "StartError"
            end = Terminated(128, started, datetime.now(UTC), reason)
            self._log_line(f"{reason}: {error}")
            self.state = self.state.ended(end)
            self.around.changed()
            return end
        probes = self._probes()
        started = datetime.now(UTC)
        self._set(state=Running(started), ready=not self.spec.get("readinessProbe"))
        try:
            code = await self._process.wait()
        finally:
            for probe in probes:
                probe.cancel()
        end = Terminated(code, started, datetime.now(UTC))
        self.state = self.state.ended(end)
        self.around.changed()
        return end

    async def _start(self) -> Process:
        while True:
            try:
                lookup = await self.around.lookup()
                wanted = resolve(self.around.pod, self.spec, self.around.address, lookup)
                self._environment = {
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": os.environ.get("HOME", "/"),
                    **wanted,
                }
                return self._spawn(command_line(self.spec, self._environment))
            except ConfigError as error:
                self._set(state=Waiting("CreateContainerConfigError", str(error)))
                await asyncio.sleep(CONFIG_RETRY)

    def _spawn(self, argv: list[str]) -> Process:
        directory = Path(self.spec.get("workingDir") or REPOSITORY)
        return Process(argv, self._environment, directory, self._log_path())

    def _probes(self) -> list[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        tasks = []
        for kind, hear in (("readinessProbe", self._on_readiness), ("livenessProbe", self._on_liveness)):
            probe = parse(self.spec.get(kind), self.spec, self.around.address.pod)
            if probe is not None:
                tasks.append(loop.create_task(probe.run(hear)))
        return tasks

    def _on_readiness(self, good: bool) -> None:
        self._set(ready=good)

    def _on_liveness(self, good: bool) -> None:
        if not good and self._process is not None:
            grace = self.around.pod["spec"].get("terminationGracePeriodSeconds", 30)
            self._ending = asyncio.get_running_loop().create_task(self._process.terminate(grace))

    async def _never_pull(self) -> None:
        image = self.state.image
        message = f'failed to pull image "{image}": not found'
        self._set(state=Waiting("ErrImagePull", message))
        await asyncio.sleep(PULL_RETRY)
        self._set(state=Waiting("ImagePullBackOff", f'Back-off pulling image "{image}": {message}'))
        await asyncio.Event().wait()

    def _set(self, **changes: Any) -> None:
        after = replace(self.state, **changes)
        if after != self.state:
            self.state = after
            self.around.changed()

    def _log_path(self) -> Path:
        return self.around.logs / self.state.name / f"{self.state.restarts}.log"

    def _log_line(self, text: str) -> None:
        path = self._log_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            log.write(text + "\n")


async def _either(first: Awaitable[Any], second: Awaitable[Any]) -> None:
    """Wait for the first of two; the other is cancelled."""
    tasks = {asyncio.ensure_future(first), asyncio.ensure_future(second)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

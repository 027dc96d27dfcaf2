"""Starting, watching and stopping the parts. Runs in the launcher, which is process 1 of the namespace."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import REPOSITORY, Layout
from e2e.localcluster.netns import die_with_parent
from e2e.localcluster.parts import STOP_ORDER, Part

POLL = 0.03
STANDS_WITHIN = 5.0
"""Seconds in which all threads of a part that is paused stand still."""


@dataclass
class _Child:
    process: "subprocess.Popen[bytes]"
    ended: asyncio.Future[int]
    paused: bool = False
    starts: int = 1


@dataclass
class Supervisor:
    """Holds one child process per started part."""

    layout: Layout
    parts: Mapping[str, Part]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What all parts find in theirs."""
    _children: dict[str, _Child] = field(default_factory=dict)

    def reap(self) -> None:
        """Collect ended children, orphans of the namespace among them: process 1 inherits those."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if child.process.pid == pid and not child.ended.done():
                    child.process.returncode = os.waitstatus_to_exitcode(status)
                    child.ended.set_result(child.process.returncode)

    def running(self, name: str) -> bool:
        child = self._children.get(name)
        return child is not None and not child.ended.done()

    async def start(self, name: str) -> None:
        """Start a part unless it runs, and wait until it is ready."""
        part = self._part(name)
        if not self.running(name):
            self._spawn(part)
        child = self._children[name]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + part.ready_within
        while not await part.ready():
            if child.ended.done():
                raise LocalClusterError(
                    f"{name} ended with status {child.ended.result()} before it was ready; the end of "
                    f"{self.layout.log(name)} says: {self.log_tail(name)}"
                )
            if loop.time() > deadline:
                raise LocalClusterError(
                    f"{name} was not ready within {part.ready_within:.0f} s; "
                    f"see {self.layout.log(name)}: {self.log_tail(name)}"
                )
            await asyncio.sleep(POLL)

    async def stop(self, name: str, grace: float | None = None) -> None:
        """Ask a part to stop; kill it after its grace. A paused part is woken for it."""
        part, child = self._part(name), self._children.get(name)
        if child is None or child.ended.done():
            return
        self.send(name, signal.SIGCONT)
        self.send(name, signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(child.ended), part.grace if grace is None else grace)
        except TimeoutError:
            self.send(name, signal.SIGKILL)
            await child.ended

    async def kill(self, name: str) -> None:
        """End a part at once, as a crash would."""
        self._part(name)
        if self.running(name):
            self.send(name, signal.SIGKILL)
            await self._children[name].ended

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a running part."""
        self._part(name)
        if not self.running(name):
            raise LocalClusterError(f"{name} is not running: start it first")
        child = self._children[name]
        os.kill(child.process.pid, number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            child.paused = number == signal.SIGSTOP

    async def pause(self, name: str) -> None:
        """Stop a running part where it is, and wait until all its threads stand: each is stopped by
        itself, and on a busy machine some go on answering for a while."""
        if self.running(name) and self._children[name].paused:
            return
        self.send(name, signal.SIGSTOP)
        child = self._children[name]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STANDS_WITHIN
        while not _stands(child.process.pid):
            if child.ended.done() or loop.time() > deadline:
                raise LocalClusterError(
                    f"{name} was told to stand still, and did not within {STANDS_WITHIN:g} s"
                )
            await asyncio.sleep(0.005)

    async def stop_all(self) -> None:
        for name in STOP_ORDER:
            if name in self.parts:
                await self.stop(name)

    def describe(self) -> dict[str, Any]:
        """Part name -> state (running, paused, stopped, or exited with its status) and number of starts."""
        result = {}
        for name in self.parts:
            child = self._children.get(name)
            if child is None:
                state = "not started"
            elif child.ended.done():
                state = f"exited ({child.ended.result()})"
            else:
                state = "paused" if child.paused else "running"
            result[name] = {"state": state, "starts": child.starts if child else 0}
        return result

    def log_tail(self, name: str, size: int = 600) -> str:
        try:
            text = self.layout.log(name).read_text(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return " / ".join(text[-size:].strip().splitlines()[-4:]) or "(empty)"

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            raise LocalClusterError(f"there is no part {name!r}: choose one of {', '.join(self.parts)}")
        return self.parts[name]

    def _spawn(self, part: Part) -> None:
        environment = {
            "PATH": f"{self.layout.bin}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.layout.data),
            "TMPDIR": str(self.layout.data),
            **self.environment,
            **part.environment,
        }
        with self.layout.log(part.name).open("ab") as log:
            process = subprocess.Popen(
                part.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,  # safe: the launcher has one thread
            )
        before = self._children.get(part.name)
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._children[part.name] = _Child(process, ended, starts=before.starts + 1 if before else 1)


def _stands(pid: int) -> bool:
    """Whether a child of ours was stopped; the kernel tells its parent once the last thread stands."""
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
    except ChildProcessError:
        return False  # it has ended, and was collected

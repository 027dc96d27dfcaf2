"""The controller as its users run it: a process of its own, `rollout-controller run`, its log in a file."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from types import TracebackType

from e2e.localcluster import http
from e2e.localcluster.layout import LOCAL
from e2e.localcluster.netns import die_with_parent

READY_WITHIN = 30.0
ENDS_WITHIN = 5.0
"""Seconds after SIGTERM in which a controller promises to end."""


class ControllerError(Exception):
    """The controller did not come up, did not stay, or wrote an error."""


class Controller:
    """The running controller, in `async with`.

    Raises ControllerError if it is not ready within 30 s. Afterwards `status` is its exit status.
    """

    def __init__(self, kubeconfig: Path, prometheus: str, namespace: str, log: Path) -> None:
        self.log = log
        self.status: int | None = None
        self.ended_after = 0.0
        """Seconds from SIGTERM to its end."""
        self._port = _free_port()
        self._checked = 0
        """Bytes of the log in which no error was found."""
        self._command = [
            str(Path(sys.executable).with_name("rollout-controller")),
            "run",
            f"--kubeconfig={kubeconfig}",
            f"--prometheus={prometheus}",
            f"--namespace={namespace}",
            # One gateway on the same machine: what was written is live in it after 0.1 s.
            "--settle=1s",
            "--settle-relabel=2s",
            f"--health-address={LOCAL}:{self._port}",
            "--log-format=json",
        ]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Controller":
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # What the person at the keyboard set for a controller of theirs is not meant for this one.
                env={k: v for k, v in os.environ.items() if not k.startswith("ROLLOUT_CONTROLLER_")},
                start_new_session=True,  # Ctrl-C is for the demo, which then ends the controller in order
                preexec_fn=die_with_parent,
            )
        try:
            await self._ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def metrics_url(self) -> str:
        """Where its own metrics are."""
        return f"http://{LOCAL}:{self._port}/metrics"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not obeyed in twice the promised time."""
        process = self._process
        if process is None or self.status is not None:
            return
        if process.returncode is not None:
            self.status = process.returncode
            return
        began = monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 2 * ENDS_WITHIN)
        except TimeoutError:
            pass  # told by the status of the kill
        finally:
            if process.returncode is None:
                process.kill()
            self.status = await process.wait()
            self.ended_after = monotonic() - began

    def ending_problems(self) -> list[str]:
        """What is not as it should be of how it ended."""
        if self.status == 0 and self.ended_after <= ENDS_WITHIN:
            return []
        how = f"with status {self.status} after {self.ended_after:.1f} s"
        return [f"told to stop, the controller ended {how}, expected 0 within {ENDS_WITHIN:.0f} s"]

    def check(self) -> None:
        """Raises ControllerError if it ended by itself, or wrote an error since it was last asked."""
        if not self.running and self._process is not None:
            raise ControllerError(f"the controller ended by itself, with status {self._process.returncode}")
        with self.log.open("rb") as log:
            log.seek(self._checked)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._checked += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if level_of(line) == "error":
                raise ControllerError(f"the controller logged an error: {readable(line)}")

    def weighted(self, since: float) -> float | None:
        """When its log first says, from then on, that it goes to write a weight of the canary above 0. Both
        times are time.monotonic()'s."""
        now, clock = datetime.now(UTC), monotonic()
        with self.log.open(errors="replace") as log:
            at = first_weight(log, now - timedelta(seconds=clock - since))
        return None if at is None else clock - (now - at).total_seconds()

    async def _ready(self) -> None:
        deadline = monotonic() + READY_WITHIN
        answer = "nothing listens yet"
        while monotonic() < deadline:
            self.check()
            try:
                found = await http.request("GET", LOCAL, self._port, "/readyz", timeout=2)
                if found.status == 200:
                    return
                answer = found.text.strip()
            except (OSError, TimeoutError) as error:
                answer = str(error)
            await asyncio.sleep(0.1)
        raise ControllerError(f"the controller was not ready within {READY_WITHIN:g} s ({answer})")


def level_of(line: str) -> str:
    """The level of a line of the log; empty where it is none of the controller's."""
    try:
        return str(json.loads(line).get("level", ""))
    except (ValueError, AttributeError):
        return ""


def first_weight(log: Iterable[str], since: datetime) -> datetime | None:
    """The time of the first line, not before `since`, that tells of a weight above 0 to be written."""
    for line in log:
        entry = json.loads(line) if level_of(line) else {}
        effect = str(entry.get("effect", ""))
        if not effect.startswith("SetTraffic(") or effect.startswith("SetTraffic(weight=0,"):
            continue
        at = datetime.fromisoformat(entry["time"])
        if at >= since:
            return at
    return None


def readable(line: str) -> str:
    """A line of the log as a person reads it: time, level, event, the rest; of an exception its last line."""
    try:
        entry = dict(json.loads(line))
    except (ValueError, TypeError):
        return line.rstrip()
    time = str(entry.pop("time", ""))[11:19]
    level, event = entry.pop("level", ""), entry.pop("event", "")
    exception = str(entry.pop("exception", "")).strip().splitlines()
    rest = [f"{name}={value}" for name, value in entry.items() if name not in ("namespace", "rollout")]
    return " ".join(str(one) for one in (time, level, event, *rest, *exception[-1:]) if one)


def tail(log: Path, lines: int = 12) -> str:
    """The end of a log, readable; empty where there is none."""
    try:
        with log.open(errors="replace") as text:
            return "\n".join(readable(line) for line in deque(text, lines))
    except OSError:
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        port: int = probe.getsockname()[1]
        return port

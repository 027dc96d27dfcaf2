"""Controllers that start at once: forked off a process that has loaded the controller's modules before.

Starting Python and loading all that the controller needs is a second of CPU, half of what a controller costs
a test; the tests start some 140 of them on few cores. What is forked is a process of its own all the same: it
begins at the command line's `main`, hears signals, can be killed, and shares nothing with the test. Tests of
the start itself call the program as people do (process.py).
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Final

from e2e.localcluster.layout import REPOSITORY

_SERVER: Final = get_context("forkserver")
_SERVER.set_forkserver_preload(["rollout_controller.cli.main", "rollout_controller.app.wiring"])


class Forked:
    """One controller. The interface is that of a subprocess of asyncio's, as far as tests need it."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        """Start it with these arguments; what it prints is appended to `log`."""
        self._process = _SERVER.Process(target=_run, args=(list(arguments), str(log)), daemon=True)
        log.touch()  # so that it can be read from the first moment
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for its end; the exit status."""
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _end_with_the_test() -> None:
    """The fork server does not: it lasts as long as any process that it made."""
    test = parent_process()
    assert test is not None
    wait([test.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _run(arguments: list[str], log: str) -> None:
    """In the new process: what a shell would set up, and then the program."""
    from rollout_controller.cli.main import main

    threading.Thread(target=_end_with_the_test, daemon=True).start()
    os.setsid()
    os.chdir(REPOSITORY)
    for name in [name for name in os.environ if name.startswith("ROLLOUT_CONTROLLER_")]:
        del os.environ[name]
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(main(arguments))

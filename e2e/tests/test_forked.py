"""The tests' own controllers: none outlives the process that started it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from e2e.localcluster import LocalCluster
from e2e.localcluster.layout import REPOSITORY
from e2e.tests.support import wait_for

pytestmark = pytest.mark.real

STARTER = """
import sys, time
from pathlib import Path
from e2e.tests.forked import Forked
one = Forked(sys.argv[2:], Path(sys.argv[1]))
print(one._process.pid, flush=True)
time.sleep(600)
"""


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_controller_ends_with_a_test_process_that_is_killed(
    cluster: LocalCluster, installed: None, tmp_path: Path
) -> None:
    log = tmp_path / "controller.log"
    arguments = (f"--kubeconfig={cluster.kubeconfig}", "--namespace=default", "--health-address=127.0.0.1:0")
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, log, "run", *arguments, f"--prometheus={cluster.prometheus_url}"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    assert starter.stdout is not None
    pid = int(await asyncio.wait_for(starter.stdout.readline(), 30))
    try:

        async def works() -> bool:
            return "caches are filled" in log.read_text()

        await wait_for(works, "the controller to work", 40)
        assert runs(pid)
        starter.kill()

        async def gone() -> bool:
            return not runs(pid)

        await wait_for(gone, "the controller to end with the process that started it", 10)
    finally:
        if starter.returncode is None:
            starter.kill()
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(starter.communicate(), 10)  # its pipe closes once all are gone

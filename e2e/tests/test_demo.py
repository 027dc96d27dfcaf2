"""`make demo` as a person starts it: a process that tells a story, ends with a status and leaves nothing."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from e2e.localcluster.layout import REPOSITORY
from e2e.localcluster.netns import die_with_parent
from e2e.tests.support import heed_interrupts, wait_for

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("demo")]  # each brings up a cluster of its own

TOLD_WITHIN = 200.0
"""Seconds to the end of one scene, cluster included, on a machine that does other things as well."""
PACE = ("--pace", "4s")
"""Steps need not be long enough for a person to follow."""
ENDS_WITHIN = 40.0


class Demo:
    """A demo under way, and what it has printed so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._reading = asyncio.create_task(self._read())

    async def told(self, what: str, within: float = TOLD_WITHIN) -> None:
        """Wait until it has printed this."""

        async def there() -> bool:
            if what not in self.text:
                assert self.process.returncode is None, f"the demo ended before {what!r}:\n{self.text}"
            return what in self.text

        await wait_for(there, f"the demo to say {what!r}", within)

    async def ended(self, within: float) -> int:
        """Wait for its end and all that it printed; the exit status."""
        async with asyncio.timeout(within):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.text += line.decode()

    def kubeconfig(self) -> Path:
        """The one that it tells people to use."""
        found = re.search(r"export KUBECONFIG=(\S+)", self.text)
        assert found, self.text
        return Path(found[1])


def _before() -> None:
    die_with_parent()
    heed_interrupts()


@asynccontextmanager
async def demo(*arguments: str) -> AsyncIterator[Demo]:
    """Start it, as `make demo` does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "e2e.demo", *arguments),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_before,
    )
    running = Demo(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended(ENDS_WITHIN)


def child(parent: int, word: str) -> int:
    """The process id of the child whose command line has this word."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (path / "stat").read_text(), (path / "cmdline").read_text()
        except OSError:  # it ended just now
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent and word in command.split("\0"):
            return int(path.name)
    raise AssertionError(f"process {parent} has no child with {word!r}")


async def test_a_bad_release_is_reverted_and_the_demo_stays_until_it_is_interrupted() -> None:
    async with demo("--keep", "--scene", "errors", *PACE) as running:
        await running.told("Ctrl-C ends it all")
        assert "all as it should be" in running.text
        assert "Reverted after" in running.text
        assert "VirtualService, DestinationRule, Deployment are what git says" in running.text
        kubeconfig = running.kubeconfig()
        kubectl = await asyncio.create_subprocess_exec(
            *(kubeconfig.parent / "bin" / "kubectl", "-n", "demo", "get", "rlt", "web"),
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
        )
        shown, _ = await asyncio.wait_for(kubectl.communicate(), 30)
        assert b"Healthy" in shown
        running.process.send_signal(signal.SIGINT)
        assert await running.ended(ENDS_WITHIN) == 0
        assert not kubeconfig.parent.exists()


async def test_the_way_back_and_the_other_ways_to_move_traffic_are_scenes_of_their_own() -> None:
    scenes = ("rollback", "pins", "mirror", "bluegreen")
    async with demo(*(word for scene in scenes for word in ("--scene", scene)), *PACE) as running:
        assert await running.ended(len(scenes) * TOLD_WITHIN) == 0, running.text
        # The first one leads back from a good release.
        assert running.text.count("Promoted after") == 4
        assert running.text.count("Reverted after") == 1
        assert "step 1/1 at 100 %, back to" in running.text
        # By columns: good, back, pins, mirror, blue-green.
        failed = cells(running.text, "failed requests, of")
        assert len(failed) == 5
        assert all(re.fullmatch(r"0 failed of [1-9]\d+", cell) for cell in failed), failed
        pinned = cells(running.text, "requests with the")
        assert all(re.fullmatch(r"0 of [1-9]\d+ to another", pinned[at]) for at in (2, 4)), pinned
        assert re.fullmatch(r"100 % \d+ s", cells(running.text, "seconds per step")[4])
        back = cells(running.text, "the change to everybody")
        assert back[0] == "–"
        assert re.fullmatch(r"\d+\.\d s", back[1])


def cells(text: str, words: str) -> list[str]:
    """The first line of the summary's row that begins with these words, a cell for each release."""
    (row,) = re.findall(rf"^│ {words}.*│$", text, re.MULTILINE)
    return [cell.strip() for cell in row.strip("│").split("│")[1:]]


async def test_a_controller_that_dies_fails_the_demo_and_its_log_is_told() -> None:
    async with demo("--scene", "good", *PACE) as running:
        await running.told("releasing a good version")
        os.kill(child(running.process.pid, "run"), signal.SIGKILL)
        assert await running.ended(ENDS_WITHIN) == 1
        assert "NOT AS IT SHOULD BE: the controller ended by itself, with status -9" in running.text
        assert "the controller's log ends so:" in running.text
        (logs,) = re.findall(r"the logs of controller and cluster are in (\S+)/", running.text)
        assert (REPOSITORY / logs / "cluster" / "istiod.log").exists()

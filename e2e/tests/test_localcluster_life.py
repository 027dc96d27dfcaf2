"""How clusters come and go: clusters of their own, beside the run's shared one."""

import asyncio
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
import pytest_asyncio

from e2e.localcluster import Completed, LocalCluster, LocalClusterError, Settings
from e2e.localcluster.layout import REPOSITORY, Layout
from e2e.tests.support import Namespace, deployment, heed_interrupts, wait_for

# One at a time: clusters that start side by side on two cores make each other slow, and this measures it.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("clusters")]

BARE = Settings(mesh=False, metrics=False)
"""API server, controller-manager and kubelet: up in three seconds."""
CAP_SYS_ADMIN = 21
PR_CAPBSET_DROP = 24
OWNER = """
import asyncio, sys
from pathlib import Path
from e2e.localcluster import LocalCluster, Settings
async def main():
    async with LocalCluster(Settings(mesh=False, metrics=False), root=Path(sys.argv[1])) as cluster:
        print(cluster.state.launcher, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def network_of(pid: int) -> int:
    """The network namespace of a process."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def user_mapping(pid: int) -> list[str]:
    """First user inside, first user outside, how many."""
    return Path(f"/proc/{pid}/uid_map").read_text().split()


def processes_in(network: int) -> list[str]:
    """The command lines of all processes in a network namespace; zombies have left it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "ns" / "net").stat().st_ino == network:
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return found


async def empty(network: int) -> bool:
    return not processes_in(network)


async def nothing_left(network: int, within: float = 5.0) -> None:
    await wait_for(lambda: empty(network), "all processes of the cluster to be gone", within)


async def is_down(root: Path) -> bool:
    try:
        LocalCluster.attach(root)
    except LocalClusterError:
        return True
    return False


def without_privileges() -> None:
    """Called in a child of root: root's files, but none of its powers over namespaces."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)


def cli_sync(root: Path, *arguments: str, drop: bool = False) -> Completed:
    done = subprocess.run(
        [sys.executable, "-m", "e2e.localcluster", "--state", root, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=without_privileges if drop else None,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


async def cli(root: Path, *arguments: str, drop: bool = False) -> Completed:
    """The command line, called as a person does."""
    return await asyncio.to_thread(cli_sync, root, *arguments, drop=drop)


@pytest.mark.alone
async def test_up_is_idempotent_and_down_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "state"
    try:
        began = monotonic()
        first = (await cli(root, "up")).check()
        assert monotonic() - began < 20
        assert "the cluster is ready" in first.stderr
        launcher = LocalCluster.attach(root).state.launcher
        again = (await cli(root, "up")).check()
        assert "was up already" in again.stderr
        assert LocalCluster.attach(root).state.launcher == launcher
        assert (await cli(root, "status")).check().stdout.count("running") == 7
        inside = (await cli(root, "exec", "--", "kubectl", "get", "--raw", "/readyz")).check()
        assert inside.stdout == "ok"
        assert (await cli(root, "exec", "--", "sh", "-c", "exit 7")).status == 7
        path = (await cli(root, "kubeconfig")).check().stdout.strip()
        assert path == str(LocalCluster.attach(root).kubeconfig)
        assert "ads" in (await cli(root, "logs", "istiod")).check().stdout
        unknown = await cli(root, "logs", "nobody")
        assert unknown.status == 1
        assert "name a part (" in unknown.stderr
        other = await cli(root, "up", "--debounce-after", "7ms")
        assert "up with other settings" in other.stderr
        network = network_of(launcher)
    finally:
        down = await cli(root, "down")
    assert down.check().stdout == "the cluster is down\n"
    await nothing_left(network)
    assert not root.exists()
    assert (await cli(root, "down")).check().stdout == "no cluster was up\n"
    assert (await cli(root, "status")).status == 3


async def test_a_killed_launcher_leaves_no_process_and_up_starts_afresh(tmp_path: Path) -> None:
    root, seconds = tmp_path / "state", str(86400 + secrets.randbelow(10**9))
    async with LocalCluster(BARE, root=root) as cluster:
        network = network_of(cluster.state.launcher)
        command = ["sh", "-c", f"sleep {seconds} & sleep {seconds}; true"]
        spec = {"containers": [{"name": "app", "image": "x", "command": command}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
        (await cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))).check()

        async def both_run() -> bool:
            return [line.strip() for line in processes_in(network)].count(f"sleep {seconds}") == 2

        await wait_for(both_run, "the pod's processes")
        os.kill(cluster.state.launcher, signal.SIGKILL)
        await nothing_left(network)
        assert await is_down(root)
    async with LocalCluster(BARE, root=root) as cluster:
        assert (await cluster.kubectl("get", "pods", "-A")).check().stdout == ""
    assert not root.exists()


async def test_a_cluster_ends_with_the_process_that_opened_it(tmp_path: Path) -> None:
    root = tmp_path / "state"
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, root, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    network = network_of(int(await asyncio.wait_for(owner.stdout.readline(), 60)))
    assert len(processes_in(network)) >= 5
    owner.kill()
    await owner.wait()
    await nothing_left(network, within=10)
    await wait_for(lambda: asyncio.to_thread(lambda: not root.exists()), "the files to be gone", 5)


async def test_an_interrupted_up_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "state"
    starting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "e2e.localcluster", "--state", root, "up"),
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert starting.stderr is not None
        first = await asyncio.wait_for(starting.stderr.readline(), 60)
        assert b"etcd is ready" in first
        starting.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(starting.wait(), 30) == 130
    finally:
        if starting.returncode != 130:
            await asyncio.to_thread(_take_down, root)

    async def none_left() -> bool:
        return not any(str(root) in line for line in _command_lines())

    await wait_for(none_left, "all processes to be gone", 10)
    assert await is_down(root)


def _take_down(root: Path) -> None:
    """End what a test that failed left running."""
    command = (sys.executable, "-m", "e2e.localcluster", "--state", root, "down")
    subprocess.run(command, cwd=REPOSITORY, check=False, timeout=60)


def _command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


@pytest_asyncio.fixture(scope="module")
async def twice_up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, list[Completed]]]:
    """The state folder of a cluster that two without privileges brought up at once; what each was told.

    Who is root, and brings clusters up without a user namespace, does so in the test of `up` and `down`.
    """
    root = tmp_path_factory.mktemp("twice") / "state"
    try:
        both = await asyncio.gather(cli(root, "up", drop=True), cli(root, "up", drop=True))
        yield root, [one.check() for one in both]
    finally:
        (await cli(root, "down", drop=True)).check()


async def test_two_ups_at_once_make_one_cluster(twice_up: tuple[Path, list[Completed]]) -> None:
    _, both = twice_up
    said = sorted(one.stderr.splitlines()[-1].split("] ")[1] for one in both)
    assert said == ["the cluster is ready", "the cluster was up already"]


async def test_a_cluster_needs_no_privileges(twice_up: tuple[Path, list[Completed]]) -> None:
    root, _ = twice_up
    cluster = LocalCluster.attach(root)
    assert user_mapping(cluster.state.launcher) == ["0", str(os.geteuid()), "1"]
    async with cluster.kube() as kube, Namespace.make(cluster, kube) as namespace:
        await namespace.apply(deployment(replicas=2))
        await namespace.rolled_out("web")
    inside = (await cli(root, "exec", "--", "id", "-u", drop=True)).check()
    assert inside.stdout == "0\n"


async def test_parts_stop_and_start_by_name(tmp_path: Path) -> None:
    async with (
        LocalCluster(Settings(mesh=False), root=tmp_path / "state") as cluster,
        cluster.kube() as kube,
        Namespace.make(cluster, kube) as namespace,
    ):
        await namespace.apply(deployment(replicas=2))
        await namespace.rolled_out("web")

        await cluster.stop("prometheus")
        assert (await cluster.parts())["prometheus"]["state"].startswith("exited")
        with pytest.raises(ConnectionError):
            await namespace.query("up")
        await cluster.start("prometheus")
        assert isinstance(await namespace.query("up"), list)

        await cluster.pause("prometheus")
        assert (await cluster.parts())["prometheus"]["state"] == "paused"
        with pytest.raises(TimeoutError):
            await namespace.query("up")
        await cluster.resume("prometheus")
        assert isinstance(await namespace.query("up"), list)

        await cluster.kill("apiserver")
        with pytest.raises(aiohttp.ClientError):
            await namespace.pods()
        await cluster.start("apiserver")
        pods = await namespace.pods(app="web")
        assert len(pods) == 2

        await cluster.kill("kubelet")
        await cluster.start("kubelet")

        async def restarted() -> bool:
            statuses = [pod["status"]["containerStatuses"][0] for pod in await namespace.pods(app="web")]
            return [(one["restartCount"], one["ready"]) for one in statuses] == [(1, True)] * 2

        await wait_for(restarted, "both pods to be started again")
        after = {pod["metadata"]["uid"] for pod in await namespace.pods(app="web")}
        assert after == {pod["metadata"]["uid"] for pod in pods}

        with pytest.raises(LocalClusterError, match="no part 'nginx': choose one of etcd, apiserver"):
            await cluster.stop("nginx")


async def test_clusters_side_by_side_do_not_meet(cluster: LocalCluster, tmp_path: Path) -> None:
    async with LocalCluster(BARE, root=tmp_path / "state") as other:
        assert not set(other.state.ports.values()) & set(cluster.state.ports.values())
        assert network_of(other.state.launcher) != network_of(cluster.state.launcher)
        assert other.token != cluster.token
        mine = json.loads((await other.kubectl("get", "namespaces", "-o", "json")).check().stdout)
        assert {one["metadata"]["name"] for one in mine["items"]} >= {"default", "istio-system"}
        refused = await other.kubectl("--server", cluster.api_url, "get", "namespaces")
        assert refused.status != 0
    assert (await cluster.kubectl("get", "namespaces")).check()


async def test_what_lies_in_the_state_folder_is_its_owners_alone(cluster: LocalCluster) -> None:
    layout = Layout(cluster.layout.root)
    assert layout.root.stat().st_mode & 0o077 == 0
    for path in (layout.token, layout.kubeconfig, layout.config / "tokens.csv", layout.key):
        assert path.stat().st_mode & 0o077 == 0, path
    for log in layout.logs.glob("*.log"):
        assert cluster.token not in log.read_text(errors="replace"), log

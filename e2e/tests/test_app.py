"""The controller as a process: how it starts, tells how it is, and above all how it ends."""

import asyncio
import signal
from pathlib import Path
from time import monotonic

import pytest
import yaml

from e2e.localcluster import LocalCluster
from e2e.tests import proxy
from e2e.tests.kubeadapter import make_rollout
from e2e.tests.process import started
from e2e.tests.support import Namespace, wait_for
from rollout_controller.ports import Kind

pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.usefixtures("installed")]


async def rollouts(namespace: Namespace, *names: str) -> None:
    """Rollouts of Deployments that do not exist."""
    for name in names:
        await make_rollout(namespace, name)


def diary(folder: Path) -> list[str]:
    path = folder / "diary"
    return path.read_text().splitlines() if path.exists() else []


async def written(folder: Path, line: str, within: float = 30) -> None:
    async def there() -> bool:
        return line in diary(folder)

    await wait_for(there, f"{line!r} in the diary", within, every=0.02)


def slow(seconds: float, folder: Path) -> tuple[str, ...]:
    return ("-m", "e2e.tests.slowpass", str(seconds), str(folder / "diary"))


async def test_sigterm_ends_an_idle_controller_at_once(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    async with started(tmp_path, cluster.kubeconfig, namespace.name) as process:
        await process.logged("caches are filled")
        status, seconds = await process.terminate()
        assert status == 0, process.log
        assert seconds < 5
        assert process.lines()[-1]["event"] == "stopped"


async def test_sigterm_lets_running_passes_end_and_begins_no_other(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web", "pay")
    async with started(tmp_path, cluster.kubeconfig, namespace.name, *slow(1.5, tmp_path)) as process:
        await written(tmp_path, "begin web")
        await written(tmp_path, "begin pay")
        status, seconds = await process.terminate()
        assert status == 0, process.log
        assert seconds < 5
        assert sorted(diary(tmp_path)) == ["begin pay", "begin web", "end pay", "end web"]


async def test_sigterm_cuts_a_pass_that_would_take_too_long_and_still_exits_0_in_time(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    async with started(tmp_path, cluster.kubeconfig, namespace.name, *slow(60, tmp_path)) as process:
        await written(tmp_path, "begin web")
        status, seconds = await process.terminate()
        assert status == 0, process.log
        assert seconds < 5
        assert diary(tmp_path) == ["begin web", "cut web"]


async def test_sigterm_before_the_caches_are_filled_is_obeyed(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    async with proxy.before(cluster, tmp_path) as (door, kubeconfig):
        door.hang()
        async with started(tmp_path, kubeconfig, namespace.name) as process:
            await process.logged("starting")
            status, seconds = await process.terminate()
            assert status == 0, process.log
            assert seconds < 5


async def test_sigterm_while_the_api_server_hangs_is_obeyed_in_time(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    async with (
        proxy.before(cluster, tmp_path) as (door, kubeconfig),
        started(tmp_path, kubeconfig, namespace.name) as process,
    ):
        await process.logged("caches are filled")
        door.hang()
        await rollouts(namespace, "pay")
        status, seconds = await process.terminate()
        assert status == 0, process.log
        assert seconds < 5


async def test_a_second_signal_ends_it_at_once(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    async with started(tmp_path, cluster.kubeconfig, namespace.name, *slow(60, tmp_path)) as process:
        await written(tmp_path, "begin web")
        begun = monotonic()
        process.signal(signal.SIGTERM)
        await process.logged("told to stop")
        process.signal(signal.SIGTERM)
        assert await process.ended() == -signal.SIGTERM
        assert monotonic() - begun < 1.5


async def test_it_is_ready_only_when_everything_was_read_and_says_what_is_missing(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    kubeconfig = await reader_of_rollouts(namespace, tmp_path)
    async with started(tmp_path, kubeconfig, namespace.name) as process:
        status, text = await process.fetch("/readyz")
        assert status == 503

        async def forbidden() -> str | None:
            text = (await process.fetch("/readyz"))[1]
            return text if text.count("is forbidden") == text.count("\n") == needed - 1 else None

        needed = sum(not kind.optional for kind in Kind)
        text = await wait_for(forbidden, "all other kinds that are needed to be forbidden")
        assert 'cannot list resource "virtualservices" in API group "networking.istio.io"' in text
        assert "rollouts in" not in text
        assert (await process.fetch("/healthz"))[0] == 200
        # Without pods and routes nothing is decided.
        assert 'rollout_controller_passes_total{result="ok"}' not in (await process.fetch("/metrics"))[1]
        assert (await process.terminate())[0] == 0


async def reader_of_rollouts(namespace: Namespace, folder: Path) -> Path:
    rules = [{"apiGroups": ["rollout-controller.dev"], "resources": ["rollouts"], "verbs": ["list", "watch"]}]
    group = "rbac.authorization.k8s.io"
    await namespace.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "reader"}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace.name}],
        },
    )
    token = (await namespace.kubectl("create", "token", "reader")).check().stdout.strip()
    return with_token(namespace.cluster, folder, token)


def with_token(cluster: LocalCluster, folder: Path, token: str) -> Path:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / "with-token"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_nobody_without_rights_gets_further_than_one_sentence(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    kubeconfig = with_token(cluster, tmp_path, "nobody")
    async with started(tmp_path, kubeconfig, namespace.name) as process:
        assert await process.ended() == 1
        sentence = process.log.splitlines()[-1]
        assert sentence.startswith("rollout-controller: the API server at https://")
        assert "does not let us in: Unauthorized; check the user of the kubeconfig" in sentence
        assert "Traceback" not in process.log


async def test_rollouts_have_metrics_as_long_as_they_exist(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    async with started(tmp_path, cluster.kubeconfig, namespace.name) as process:
        mine = f'rollout_controller_rollout_weight{{namespace="{namespace.name}",rollout="web"}} 0.0'

        async def shown() -> bool:
            return mine in (await process.fetch("/metrics"))[1].splitlines()

        await wait_for(shown, "the Rollout's weight in /metrics")
        text = (await process.fetch("/metrics"))[1]
        assert 'rollout_controller_api_calls_total{code="200",resource="rollouts",verb="watch"}' in text
        (await namespace.kubectl("delete", "rollout", "web", "--timeout=20s")).check()

        async def gone() -> bool:
            return 'rollout="web"' not in (await process.fetch("/metrics"))[1]

        await wait_for(gone, "the Rollout to be gone from /metrics")
        assert (await process.terminate())[0] == 0


async def test_idle_rollouts_make_no_calls(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    names = [f"idle{n}" for n in range(20)]
    await rollouts(namespace, *names)
    async with started(tmp_path, cluster.kubeconfig, namespace.name) as process:
        await process.logged("caches are filled")

        async def calls() -> dict[str, float]:
            lines = (await process.fetch("/metrics"))[1].splitlines()
            counted = (line.rsplit(" ", 1) for line in lines if "_api_calls_total{" in line)
            return {k: float(v) for k, v in counted if 'verb="watch"' not in k and 'verb="relist"' not in k}

        async def settled() -> bool:
            before = await calls()
            await asyncio.sleep(2)
            return await calls() == before

        await wait_for(settled, "two seconds without a call", 60)
        before = await calls()
        await asyncio.sleep(8)  # what is measured: how many calls are made in this time
        assert await calls() == before
        assert (await process.terminate())[0] == 0


async def test_lines_about_a_rollout_name_it_and_no_line_has_the_token(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await rollouts(namespace, "web")
    async with started(tmp_path, cluster.kubeconfig, namespace.name, *slow(0.1, tmp_path)) as process:
        await written(tmp_path, "end web")
        (await namespace.kubectl("delete", "rollout", "web", "--wait=false")).check()
        assert (await process.terminate())[0] == 0
        for line in process.lines():
            assert {"time", "level", "event"} <= set(line)
            if "rollout" in line:
                assert (line["namespace"], line["rollout"]) == (namespace.name, "web")
                assert "stage" in line
        assert cluster.token not in process.log

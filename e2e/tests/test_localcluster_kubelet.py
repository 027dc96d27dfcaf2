"""Pods as processes: what the kubelet promises, seen through the API server."""

import asyncio
import contextlib
import secrets
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import KubeError, Object
from e2e.tests.support import Namespace, deployment, service, wait_for

pytestmark = pytest.mark.real

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("stays", flush=True)
time.sleep(600)
"""


def pod(name: str, *command: str, **spec: Any) -> Object:
    """A pod of one container."""
    container = {"name": "app", "image": "tool:1", "command": list(command), **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"color": "blue"}},
        "spec": {"containers": [container], **spec},
    }


async def status_of(namespace: Namespace, name: str) -> Object:
    found: Object = (await namespace.kube.get(namespace.path("pods", name)))["status"]
    return found


async def until(namespace: Namespace, name: str, what: str, check: Any, within: float = 15.0) -> Object:
    """Wait until `check` is true of the pod's status."""

    async def look() -> Object | None:
        status = await status_of(namespace, name)
        try:
            return status if check(status) else None
        except (KeyError, IndexError):
            return None

    return await wait_for(look, f"pod {name} {what}", within, every=0.05)


def container(status: Object) -> Object:
    first: Object = status["containerStatuses"][0]
    return first


def is_ready(status: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))


async def gone(namespace: Namespace, name: str) -> bool:
    try:
        await status_of(namespace, name)
    except KubeError as error:
        return error.status == 404
    return False


async def only_pod(namespace: Namespace) -> Object:
    """The Deployment's single pod, once it is ready."""
    await namespace.rolled_out("web")
    (one,) = await namespace.pods(app="web")
    return one


async def test_a_container_is_told_who_and_where_it_is(namespace: Namespace) -> None:
    field = {"fieldRef": {"fieldPath": "metadata.labels['color']"}}
    key = {"configMapKeyRef": {"name": "settings", "key": "size"}}
    env = [
        {"name": "COLOR", "valueFrom": field},
        {"name": "SIZE", "valueFrom": key},
        {"name": "BOTH", "value": "$(COLOR)-$(SIZE)"},
    ]
    script = "import os; print(*(os.environ[n] for n in ('BOTH', 'POD_NAME', 'HOSTNAME', 'POD_IP')))"
    await namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"size": "xl"}},
        pod("teller", "python3", "-c", script, restartPolicy="Never", container={"env": env}),
    )
    status = await until(namespace, "teller", "to succeed", lambda now: now["phase"] == "Succeeded")
    assert container(status)["state"]["terminated"]["exitCode"] == 0
    said = (await namespace.kubectl("logs", "teller")).check().stdout
    assert said == f"blue-xl teller teller {status['podIP']}\n"


async def test_a_missing_config_map_key_holds_the_container_until_it_is_there(namespace: Namespace) -> None:
    key = {"configMapKeyRef": {"name": "late", "key": "k"}}
    env = {"env": [{"name": "K", "valueFrom": key}]}
    await namespace.apply(pod("waits", "sleep", "600", container=env))
    status = await until(
        namespace, "waits", "to be held", lambda now: container(now)["state"]["waiting"]["message"]
    )
    assert container(status)["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    await namespace.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {"k": "v"}}
    )
    await until(namespace, "waits", "to run", lambda now: now["phase"] == "Running")


async def test_a_failed_pod_that_is_not_restarted_says_so(namespace: Namespace) -> None:
    await namespace.apply(pod("fails", "python3", "-c", "raise SystemExit(3)", restartPolicy="Never"))
    status = await until(namespace, "fails", "to fail", lambda now: now["phase"] == "Failed")
    assert container(status)["state"]["terminated"]["exitCode"] == 3
    assert container(status)["restartCount"] == 0


async def test_a_program_that_does_not_exist_is_a_start_error(namespace: Namespace) -> None:
    await namespace.apply(pod("typo", "no-such-program", restartPolicy="Never"))
    status = await until(namespace, "typo", "to fail", lambda now: now["phase"] == "Failed")
    assert container(status)["state"]["terminated"]["reason"] == "StartError"
    assert "no-such-program" in (await namespace.kubectl("logs", "typo")).check().stdout


async def test_restarts_back_off_and_are_counted_truly(namespace: Namespace, cluster: LocalCluster) -> None:
    await namespace.apply(pod("crashes", "python3", "-c", "print('once'); raise SystemExit(7)"))
    status = await until(
        namespace,
        "crashes",
        "to wait after its third restart",
        lambda now: container(now)["restartCount"] == 3 and container(now)["state"].get("waiting"),
    )
    assert container(status)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "back-off 4s" in container(status)["state"]["waiting"]["message"]
    assert container(status)["lastState"]["terminated"]["exitCode"] == 7
    assert not is_ready(status)
    assert cluster.log(f"{namespace.name}/crashes").count("once") == 4
    assert (await namespace.kubectl("logs", "crashes", "--previous")).check().stdout == "once\n"


async def test_readiness_follows_the_probe_without_a_restart(
    namespace: Namespace, cluster: LocalCluster
) -> None:
    await namespace.apply(deployment(replicas=1), service())
    one = await only_pod(namespace)
    name, address = one["metadata"]["name"], one["status"]["podIP"]

    async def ready_endpoints() -> list[str]:
        path = namespace.path("endpointslices", group="discovery.k8s.io/v1")
        slices = (await namespace.kube.get(path))["items"]
        return [
            where
            for found in slices
            for endpoint in found["endpoints"] or []
            for where in endpoint["addresses"]
            if endpoint["conditions"]["ready"]
        ]

    async def endpoints_are(wanted: list[str]) -> bool:
        return await ready_endpoints() == wanted

    await wait_for(lambda: endpoints_are([address]), "the endpoint")
    await cluster.pod_request(address, 15020, "/-/unready", "POST")
    await until(namespace, name, "to be unready", lambda now: not is_ready(now))
    await wait_for(lambda: endpoints_are([]), "the endpoint to go")
    await cluster.pod_request(address, 15020, "/-/ready", "POST")
    status = await until(namespace, name, "to be ready again", is_ready)
    assert container(status)["restartCount"] == 0


async def test_a_container_that_fails_its_liveness_probe_is_restarted(
    namespace: Namespace, cluster: LocalCluster
) -> None:
    spec = deployment(replicas=1)
    probed = spec["spec"]["template"]["spec"]["containers"][0]
    get = {"path": "/healthz", "port": "http"}
    probed["livenessProbe"] = {
        "httpGet": get,
        "periodSeconds": 1,
        "failureThreshold": 1,
        "initialDelaySeconds": 5,  # time to begin to listen
    }
    await namespace.apply(spec)
    one = await only_pod(namespace)
    await cluster.pod_request(one["status"]["podIP"], 15020, "/-/unready", "POST")
    name = one["metadata"]["name"]
    await until(
        namespace, name, "to be restarted", lambda now: container(now)["restartCount"] == 1 and is_ready(now)
    )


async def test_a_deleted_pod_serves_on_through_its_pre_stop_sleep(
    namespace: Namespace, cluster: LocalCluster
) -> None:
    await namespace.apply(deployment(replicas=1, pre_stop=2))
    one = await only_pod(namespace)
    name, address = one["metadata"]["name"], one["status"]["podIP"]
    deleted = monotonic()
    await namespace.kube.delete(namespace.path("pods", name))
    refused = deleted + 10
    while monotonic() < deleted + 10:
        try:
            assert (await cluster.pod_request(address, 8080, "/")).status == 200
        except OSError:
            refused = monotonic()
            break
        await asyncio.sleep(0.02)
    assert 1.9 < refused - deleted < 4
    await wait_for(lambda: gone(namespace, name), f"pod {name} to be gone", within=5)


async def test_a_pod_that_ignores_sigterm_is_killed_when_its_grace_is_over(namespace: Namespace) -> None:
    await namespace.apply(pod("stubborn", "python3", "-c", STUBBORN, terminationGracePeriodSeconds=3))

    async def ignores() -> bool:
        return "stays" in (await namespace.kubectl("logs", "stubborn")).stdout

    await wait_for(ignores, "the pod to ignore signals")
    began = monotonic()
    await namespace.kube.delete(namespace.path("pods", "stubborn"))
    await wait_for(lambda: gone(namespace, "stubborn"), "the pod to be gone", every=0.05)
    assert 2.9 < monotonic() - began < 6


async def test_a_pod_deleted_by_force_ends_at_once_with_all_it_started(namespace: Namespace) -> None:
    seconds = str(86400 + secrets.randbelow(10**9))

    async def sleepers(wanted: int) -> bool:
        return processes_with(b"sleep", seconds.encode()) == wanted

    await namespace.apply(pod("parent", "sh", "-c", f"sleep {seconds} & sleep {seconds}; true"))
    await wait_for(lambda: sleepers(2), "both processes")
    await namespace.kube.delete(namespace.path("pods", "parent"), {"gracePeriodSeconds": 0})
    await wait_for(lambda: sleepers(0), "both processes to be gone", within=5)


def processes_with(*words: bytes) -> int:
    """How many processes of this machine were called with exactly these words."""
    count = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            count += path.read_bytes().rstrip(b"\0").split(b"\0") == list(words)
    return count


async def test_an_image_that_does_not_exist_leaves_the_pod_pending(namespace: Namespace) -> None:
    await namespace.apply(pod("lost", "sleep", "600", container={"image": "web:missing"}))
    status = await until(
        namespace,
        "lost",
        "to back off",
        lambda now: container(now)["state"]["waiting"]["reason"] == "ImagePullBackOff",
    )
    assert status["phase"] == "Pending"
    assert "web:missing" in container(status)["state"]["waiting"]["message"]
    await namespace.kube.delete(namespace.path("pods", "lost"))
    await wait_for(lambda: gone(namespace, "lost"), "the pod to be gone", within=5)


async def test_a_pod_that_fits_no_node_stays_pending(namespace: Namespace) -> None:
    await namespace.apply(
        pod("nowhere", "sleep", "600", nodeSelector={"disk": "fast"}), pod("here", "sleep", "600")
    )
    await until(namespace, "here", "to run", lambda now: now["phase"] == "Running")
    assert (await status_of(namespace, "nowhere"))["phase"] == "Pending"

"""The adapter's calls on a real API server: each error of the ports produced for real."""

from pathlib import Path

import pytest
import yaml

from e2e.localcluster import LocalCluster
from e2e.tests import proxy
from e2e.tests.kubeadapter import adapter, make_rollout
from e2e.tests.support import Namespace, deployment, destination_rule
from rollout_controller.api.names import FIELD_MANAGER, LABEL
from rollout_controller.kube.events import Events
from rollout_controller.ports import (
    AlreadyExists,
    Conflict,
    Json,
    Kind,
    NotFound,
    Ref,
    Refused,
    Unavailable,
)

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("installed")]

GROW: Json = {"op": "add", "path": "/spec/exportTo", "value": ["."]}


def rule(name: str = "web") -> Json:
    return destination_rule("web", {"stable": {"app": "web"}}, name)


def at(namespace: Namespace, kind: Kind = Kind.DESTINATION_RULE, name: str = "web") -> Ref:
    return Ref(kind, namespace.name, name)


def test_version(version: str) -> Json:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}


test_version.__test__ = False  # type: ignore[attr-defined] # an operation of a patch, no test


async def test_objects_are_made_read_changed_and_deleted(cluster: LocalCluster, namespace: Namespace) -> None:
    ref = at(namespace)
    async with adapter(cluster.kubeconfig, start=False) as it:
        made = await it.cluster.create(Kind.DESTINATION_RULE, namespace.name, rule())
        assert await it.cluster.get(ref, live=True) == made
        version, uid = made["metadata"]["resourceVersion"], made["metadata"]["uid"]
        changed = await it.cluster.patch(ref, [test_version(version), GROW])
        assert changed["spec"]["exportTo"] == ["."]
        assert {m["manager"] for m in changed["metadata"]["managedFields"]} == {FIELD_MANAGER}
        assert await it.cluster.list(Kind.DESTINATION_RULE, namespace.name, live=True) == [changed]
        await it.cluster.delete(ref, uid=uid, resource_version=changed["metadata"]["resourceVersion"])
        assert await it.cluster.get(ref, live=True) is None


@pytest.mark.parametrize("kind", [Kind.DESTINATION_RULE, Kind.DEPLOYMENT])
async def test_a_patch_whose_test_fails_or_whose_path_is_missing_is_a_conflict(
    cluster: LocalCluster, namespace: Namespace, kind: Kind
) -> None:
    await namespace.apply(rule(), deployment(replicas=0))
    async with adapter(cluster.kubeconfig, start=False) as it:
        for op in (test_version("1"), {"op": "remove", "path": "/metadata/annotations/not.there~1x"}):
            with pytest.raises(Conflict):
                await it.cluster.patch(at(namespace, kind), [op])
            with pytest.raises(Conflict):
                await it.cluster.patch(at(namespace, kind), [op], dry_run=True)


async def test_a_patch_of_a_status_whose_test_fails_is_a_conflict(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    await make_rollout(namespace)
    ref = at(namespace, Kind.ROLLOUT)
    status: Json = {"op": "add", "path": "/status", "value": {"phase": "Healthy"}}
    async with adapter(cluster.kubeconfig, start=False) as it:
        with pytest.raises(Conflict):
            await it.cluster.patch(ref, [test_version("1"), status], status=True)
        assert (await it.cluster.patch(ref, [status], status=True))["status"] == {"phase": "Healthy"}


async def test_a_name_that_is_taken_is_not_a_conflict(cluster: LocalCluster, namespace: Namespace) -> None:
    async with adapter(cluster.kubeconfig, start=False) as it:
        await it.cluster.create(Kind.DESTINATION_RULE, namespace.name, rule())
        with pytest.raises(AlreadyExists):
            await it.cluster.create(Kind.DESTINATION_RULE, namespace.name, rule())


async def test_a_delete_of_another_incarnation_or_version_is_a_conflict(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    async with adapter(cluster.kubeconfig, start=False) as it:
        made = await it.cluster.create(Kind.DESTINATION_RULE, namespace.name, rule())
        with pytest.raises(Conflict):
            await it.cluster.delete(at(namespace), uid="00000000-0000-0000-0000-000000000000")
        with pytest.raises(Conflict):
            await it.cluster.delete(at(namespace), uid=made["metadata"]["uid"], resource_version="1")
        assert await it.cluster.get(at(namespace), live=True) == made


async def test_what_is_not_there_is_none_to_a_read_and_not_found_to_a_write(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    async with adapter(cluster.kubeconfig, start=False) as it:
        for kind in set(Kind) - {Kind.NAMESPACE}:
            assert await it.cluster.get(at(namespace, kind), live=True) is None
            assert await it.cluster.list(kind, namespace.name, live=True) == []
        with pytest.raises(NotFound):
            await it.cluster.patch(at(namespace), [GROW])
        with pytest.raises(NotFound):
            await it.cluster.delete(at(namespace), uid="00000000-0000-0000-0000-000000000000")


WRONG: list[tuple[str, Kind, Json, str]] = [
    ("a wrong type", Kind.DESTINATION_RULE, {"path": "/spec/exportTo", "value": 3}, "spec.exportTo"),
    (
        "a broken rule of the CRD",
        Kind.ROLLOUT,
        {"path": "/spec/strategy", "value": {"canary": {"steps": []}}},
        "steps",
    ),
    ("a broken rule of the API", Kind.DEPLOYMENT, {"path": "/spec/replicas", "value": -1}, "spec.replicas"),
    ("a field of the wrong type", Kind.DEPLOYMENT, {"path": "/spec/replicas", "value": "x"}, "replicas"),
    (
        "an immutable field",
        Kind.DEPLOYMENT,
        {"path": "/spec/selector", "value": {"matchLabels": {"app": "x"}}},
        "spec.selector",
    ),
    ("a spec that is none", Kind.DEPLOYMENT, {"path": "/spec", "value": None}, "spec"),
]


@pytest.mark.parametrize(("kind", "op", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
async def test_what_validation_refuses_is_refused_in_its_own_words(
    cluster: LocalCluster, namespace: Namespace, kind: Kind, op: Json, said: str
) -> None:
    await namespace.apply(rule(), deployment(replicas=0))
    await make_rollout(namespace)
    async with adapter(cluster.kubeconfig, start=False) as it:
        with pytest.raises(Refused) as caught:
            await it.cluster.patch(at(namespace, kind), [{"op": "replace", **op}])
        assert said in caught.value.message


async def test_what_an_admission_policy_denies_is_refused_not_a_conflict(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    held = deployment(replicas=0, spec={"paused": True})
    held["metadata"] |= {"labels": {LABEL: "web"}, "annotations": {"rollout-controller.dev/held-by": "web"}}
    await namespace.apply(held)
    # The gate lets our field manager un-pause: a stranger's refusal is seen through a client of another name.
    unpause: Json = {"spec": {"paused": False}}
    answer = await namespace.kubectl("patch", "deployment/web", "--type=merge", "-p", yaml.safe_dump(unpause))
    assert answer.status != 0
    async with adapter(cluster.kubeconfig, start=False) as it:
        done = await it.cluster.patch(
            at(namespace, Kind.DEPLOYMENT), [{"op": "replace", "path": "/spec/paused", "value": False}]
        )
        assert not done["spec"].get("paused", False)


async def service_account(namespace: Namespace, folder: Path, *rules: Json) -> Path:
    """A kubeconfig for a ServiceAccount that may do only this, in the namespace."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "some"},
        "rules": list(rules),
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [{"kind": "ServiceAccount", "name": "some", "namespace": namespace.name}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "some"}}
    await namespace.apply(account, role, binding)
    token = (await namespace.kubectl("create", "token", "some")).check().stdout.strip()
    config = yaml.safe_load(namespace.cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / "some"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_what_rbac_forbids_is_refused_and_says_what_was_missing(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await namespace.apply(rule())
    reads: Json = {"apiGroups": ["networking.istio.io"], "resources": ["destinationrules"], "verbs": ["get"]}
    kubeconfig = await service_account(namespace, tmp_path, reads)
    async with adapter(kubeconfig, start=False) as it:
        assert await it.cluster.get(at(namespace), live=True)
        with pytest.raises(Refused, match='cannot patch resource "destinationrules"'):
            await it.cluster.patch(at(namespace), [GROW])
        with pytest.raises(Refused, match='cannot list resource "destinationrules"'):
            await it.cluster.list(Kind.DESTINATION_RULE, namespace.name, live=True)
        with pytest.raises(Refused, match='cannot get resource "pods"'):
            await it.cluster.get(at(namespace, Kind.POD), live=True)


async def test_a_token_that_is_none_is_refused(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": "none"}
    path = tmp_path / "none"
    path.write_text(yaml.safe_dump(config))
    async with adapter(path, start=False) as it:
        with pytest.raises(Refused, match="Unauthorized"):
            await it.cluster.get(at(namespace), live=True)


async def test_an_api_server_behind_a_dead_connection_is_unavailable_in_time_and_back_at_once(
    cluster: LocalCluster, namespace: Namespace, tmp_path: Path
) -> None:
    await namespace.apply(rule())
    async with (
        proxy.before(cluster, tmp_path) as (door, kubeconfig),
        adapter(kubeconfig, start=False, timeout=3.0) as it,
    ):
        assert await it.cluster.get(at(namespace), live=True)
        door.hang()
        with pytest.raises(Unavailable, match="no answer within 3 s"):
            await it.cluster.patch(at(namespace), [GROW])
        door.refuse()
        with pytest.raises(Unavailable):
            await it.cluster.get(at(namespace), live=True)
        door.flow()
        await it.cluster.patch(at(namespace), [GROW])


async def test_events_are_shown_by_kubectl(cluster: LocalCluster, namespace: Namespace) -> None:
    rollout = await make_rollout(namespace)
    counted: list[str] = []
    async with adapter(cluster.kubeconfig, start=False) as it:
        events = Events(it.calls, counted.append)
        events.start()
        events.notify(rollout, "Normal", "Promoted", "web:2 took over after 53 s")
        events.notify(rollout, "Warning", "Reverted", "x" * 3000)
        await events.stop(5)
    assert counted == ["sent", "sent"]
    shown = (await namespace.kubectl("describe", "rollout", "web")).check().stdout
    assert "web:2 took over after 53 s" in shown
    assert "Reverted" in shown

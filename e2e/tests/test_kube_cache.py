"""What the cache holds of a real API server's objects, and whom writes wake."""

import pytest

from e2e.localcluster import LocalCluster
from e2e.tests.kubeadapter import adapter, make_rollout
from e2e.tests.support import Namespace, deployment, destination_rule, service, wait_for
from rollout_controller.ports import Json, Kind, Ref

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("installed")]

GROW: Json = {"op": "add", "path": "/spec/exportTo", "value": ["."]}


def rule(name: str = "web") -> Json:
    return destination_rule("web", {"stable": {"app": "web"}}, name)


def at(namespace: Namespace) -> Ref:
    return Ref(Kind.DESTINATION_RULE, namespace.name, "web")


async def test_a_dry_run_comes_back_changed_and_changes_nothing(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    await namespace.apply(rule())
    async with adapter(cluster.kubeconfig, (namespace.name,)) as it:
        await it.synced()
        dry = await it.cluster.patch(at(namespace), [GROW], dry_run=True)
        assert dry["spec"]["exportTo"] == ["."]
        for live in (True, False):
            found = await it.cluster.get(at(namespace), live=live)
            assert found is not None
            assert "exportTo" not in found["spec"]


async def test_labels_narrow_a_live_and_a_cached_list_alike(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    for name, labels in {"a": {"x": "1"}, "b": {"x": "1", "y": "2"}, "c": {"y": "2"}}.items():
        made = rule(name)
        made["metadata"]["labels"] = labels
        await namespace.apply(made)
    async with adapter(cluster.kubeconfig, (namespace.name,)) as it:
        await it.synced()
        for selector, names in {
            "x=1": {"a", "b"},
            "x=1,y=2": {"b"},
            "y": {"b", "c"},
            "": {"a", "b", "c"},
        }.items():
            for live in (True, False):
                found = await it.cluster.list(
                    Kind.DESTINATION_RULE, namespace.name, live=live, labels=selector
                )
                assert {one["metadata"]["name"] for one in found} == names, (selector, live)


async def test_cached_and_live_objects_are_the_same_but_for_what_is_trimmed(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    await namespace.apply(rule(), service(), deployment(replicas=1))
    await namespace.rolled_out("web")
    async with adapter(cluster.kubeconfig, (namespace.name,)) as it:
        await it.synced()

        async def both(kind: Kind) -> tuple[list[Json], list[Json]]:
            return (
                await it.cluster.list(kind, namespace.name, live=True),
                await it.cluster.list(kind, namespace.name, live=False),
            )

        for kind in (Kind.DESTINATION_RULE, Kind.DEPLOYMENT):
            live, cached = await both(kind)
            assert live == cached
        live, cached = await both(Kind.REPLICA_SET)
        del live[0]["metadata"]["managedFields"]
        assert live == cached
        (pod,), (kept,) = await both(Kind.POD)
        assert kept["metadata"]["ownerReferences"] == pod["metadata"]["ownerReferences"]
        assert kept["status"]["podIP"] == pod["status"]["podIP"]
        ready = {c["type"]: c["status"] for c in kept["status"]["conditions"]}
        assert ready["Ready"] == "True"
        names = [{"name": container["name"]} for container in pod["spec"]["containers"]]
        assert kept["spec"] == {"containers": names}
        (live_service,), (kept_service,) = await both(Kind.SERVICE)
        assert kept_service["spec"]["selector"] == live_service["spec"]["selector"]


async def test_own_writes_are_in_the_cache_at_once_and_wake_nobody_others_do(
    cluster: LocalCluster, namespace: Namespace
) -> None:
    await namespace.apply(rule())
    await make_rollout(namespace)
    async with adapter(cluster.kubeconfig, (namespace.name,)) as it:
        await it.synced()

        async def ours(n: int) -> None:
            change: Json = {"op": "add", "path": "/metadata/annotations", "value": {"n": str(n)}}
            done = await it.cluster.patch(at(namespace), [change])
            assert await it.cached(at(namespace)) == done

        async def theirs(n: str) -> None:
            await namespace.kube.patch(
                namespace.path("destinationrules", "web", "networking.istio.io/v1"),
                {"metadata": {"annotations": {"theirs": n}}},
            )

        async def seen(n: str) -> bool:
            found = await it.cached(at(namespace)) or {}
            return bool(found["metadata"].get("annotations", {}).get("theirs") == n)

        await theirs("begin")
        await wait_for(lambda: seen("begin"), "the first change of a stranger")
        it.woken.clear()
        for n in range(10):
            await ours(n)
        await theirs("end")
        await wait_for(lambda: seen("end"), "the last change of a stranger")
        assert len(it.woken) == 1, "only the stranger's write wakes"

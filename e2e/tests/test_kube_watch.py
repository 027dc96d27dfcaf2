"""Watches and cache against a real API server that hangs, crashes, forgets, and learns kinds late."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.localcluster import LocalCluster, Settings, control, http
from e2e.localcluster.kube import Kube
from e2e.localcluster.layout import ETCD_PORT, LOCAL
from e2e.tests import proxy
from e2e.tests.install import install_crd
from e2e.tests.kubeadapter import Adapter, adapter
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace, deployment, destination_rule, wait_for
from rollout_controller.ports import Json, Kind, Ref, Unavailable

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("own-control-plane")]

NATIVE = (Kind.DEPLOYMENT, Kind.REPLICA_SET, Kind.POD, Kind.SERVICE)


@pytest_asyncio.fixture(scope="module")
async def control_plane() -> AsyncIterator[LocalCluster]:
    """An API server of this module's own, without Istio's kinds: others could not bear what is done to it."""
    async with LocalCluster(Settings(mesh=False, metrics=False)) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def client(control_plane: LocalCluster) -> AsyncIterator[Kube]:
    async with control_plane.kube() as kube:
        yield kube


@pytest_asyncio.fixture
async def place(control_plane: LocalCluster, client: Kube) -> AsyncIterator[Namespace]:
    async with Namespace.make(control_plane, client) as fresh:
        yield fresh


async def make(place: Namespace, name: str) -> Ref:
    await place.apply(deployment(name, replicas=0))
    return Ref(Kind.DEPLOYMENT, place.name, name)


async def up(control_plane: LocalCluster, client: Kube) -> None:
    async def answers() -> bool:
        try:
            await client.get("/readyz")
        except Exception:
            return False
        return True

    await wait_for(answers, "the API server to answer again", 60)


async def test_changes_made_while_the_api_server_was_killed_and_back_are_seen(
    control_plane: LocalCluster, client: Kube, place: Namespace
) -> None:
    stays, goes = await make(place, "stays"), await make(place, "goes")
    async with adapter(control_plane.kubeconfig, (place.name,), kinds=NATIVE) as it:
        await it.synced()
        await it.until_cached(goes)
        await control_plane.kill("apiserver")
        with pytest.raises(Unavailable):
            await it.cluster.get(stays, live=True)
        assert await it.cached(stays), "what was known is known without an API server"
        await control_plane.start("apiserver")
        await up(control_plane, client)
        await client.delete(place.path("deployments", "goes", "apps/v1"))
        comes = await make(place, "comes")
        await it.until_cached(comes, within=40)
        await it.until_cached(goes, there=False)
        assert await it.cluster.get(stays, live=True)


async def test_an_api_server_that_hangs_is_unavailable_in_time_and_its_watches_go_on_afterwards(
    control_plane: LocalCluster, client: Kube, place: Namespace
) -> None:
    ref = await make(place, "web")
    async with adapter(control_plane.kubeconfig, (place.name,), kinds=NATIVE, timeout=1.0) as it:
        await it.synced()
        lists = relists(it)
        await control_plane.pause("apiserver")
        try:
            for call in (it.cluster.get(ref, live=True), it.cluster.patch(ref, [])):
                with pytest.raises(Unavailable, match="no answer within 1 s"):
                    await call
        finally:
            await control_plane.resume("apiserver")
        await it.until_cached(await make(place, "later"))
        assert relists(it) == lists, "the same watches went on"


async def test_a_watch_that_hears_nothing_for_too_long_connects_anew_and_misses_nothing(
    control_plane: LocalCluster, place: Namespace, tmp_path: Path
) -> None:
    async with (
        proxy.before(control_plane, tmp_path) as (door, kubeconfig),
        adapter(kubeconfig, (place.name,), kinds=(Kind.DEPLOYMENT,), idle=1.0) as it,
    ):
        await it.synced()
        door.hang()
        ref = await make(place, "missed")
        await connected(door, door.accepted)
        assert await it.cached(ref) is None
        door.flow()
        await it.until_cached(ref)


async def connected(door: proxy.Proxy, before: int) -> None:
    async def more() -> bool:
        return door.accepted > before

    await wait_for(more, "a new connection through the proxy")


async def test_connections_cut_again_and_again_lose_no_event(
    control_plane: LocalCluster, place: Namespace, tmp_path: Path
) -> None:
    async with (
        proxy.before(control_plane, tmp_path) as (door, kubeconfig),
        adapter(kubeconfig, (place.name,), kinds=(Kind.DEPLOYMENT,)) as it,
    ):
        await it.synced()
        names = [f"d{n}" for n in range(40)]
        meanwhile = [f"d{n}-meanwhile" for n in range(3, 40, 8)]
        for n, name in enumerate(names):
            await make(place, name)
            if n % 8 == 3:
                before = door.accepted
                door.cut()
                await make(place, f"{name}-meanwhile")
                await connected(door, before)
                # the watch is up again, and the next cut hits one that is
                await it.until_cached(Ref(Kind.DEPLOYMENT, place.name, f"{name}-meanwhile"))
        for name in names + meanwhile:
            await it.until_cached(Ref(Kind.DEPLOYMENT, place.name, name))
        assert relists(it) == 1, "each watch was resumed, nothing listed anew"
        assert it.counted[("watch", "deployments", "200")] >= 5


async def test_a_version_that_the_api_server_has_forgotten_is_answered_by_a_new_list(
    control_plane: LocalCluster, client: Kube, place: Namespace, tmp_path: Path
) -> None:
    goes = await make(place, "goes")
    async with (
        proxy.before(control_plane, tmp_path) as (door, kubeconfig),
        adapter(kubeconfig, (place.name,), kinds=(Kind.DEPLOYMENT,)) as it,
    ):
        await it.synced()
        await it.until_cached(goes)
        door.refuse()
        # A restarted API server's watch cache begins with the present version: older ones are 410 Gone,
        # once etcd has compacted them, too.
        await client.delete(place.path("deployments", "goes", "apps/v1"))
        comes = await make(place, "comes")
        await compact(control_plane, client, place)
        await control_plane.kill("apiserver")
        await control_plane.start("apiserver")
        await up(control_plane, client)
        door.flow()
        await it.until_cached(comes, within=40)
        await it.until_cached(goes, there=False)
        assert relists(it) == 2, "the watch expired and was begun anew"


async def compact(control_plane: LocalCluster, client: Kube, place: Namespace) -> None:
    """Make etcd forget everything before the present version."""
    version = (await client.get(place.path("deployments", group="apps/v1")))["metadata"]["resourceVersion"]
    answer = await http.request(
        "POST",
        LOCAL,
        ETCD_PORT,
        "/v3/kv/compaction",
        body=json.dumps({"revision": version, "physical": True}).encode(),
        dial=lambda: control.dial(control_plane.layout.control, LOCAL, ETCD_PORT),
    )
    assert answer.status == 200, answer.text


def relists(it: Adapter) -> int:
    return it.counted[("relist", "deployments", "200")]


async def test_kinds_that_are_not_installed_are_named_and_found_once_they_are(
    control_plane: LocalCluster, client: Kube, place: Namespace
) -> None:
    ref = await make(place, "web")
    with removed(Kubectl.of(control_plane, place.name)) as kubectl:
        async with adapter(control_plane.kubeconfig, (place.name,)) as it:

            async def only_theirs() -> list[str] | None:
                missing = it.cache.missing()
                return missing if len(missing) == 3 and all("does not know" in m for m in missing) else None

            for line in await wait_for(only_theirs, "only Rollout and Istio's kinds to be missing"):
                assert line.endswith("install its CustomResourceDefinition")
            assert await it.cached(ref), "kinds that are known are read"
            with pytest.raises(Unavailable, match=r"does not know networking\.istio\.io/v1 VirtualService"):
                await it.cluster.get(Ref(Kind.VIRTUAL_SERVICE, place.name, "web"), live=False)
            install_crd(kubectl)
            for kind in (Kind.VIRTUAL_SERVICE, Kind.DESTINATION_RULE):
                kubectl("apply", "-f", "-", stdin=simple_crd(kind))
            await it.synced(within=40)
            await wait_for(lambda: established(client, Kind.DESTINATION_RULE), "the kind to be served")
            await place.apply(destination_rule("web", {"stable": {"app": "web"}}))
            await it.until_cached(Ref(Kind.DESTINATION_RULE, place.name, "web"))


async def established(client: Kube, kind: Kind) -> bool:
    served = await client.get(f"/apis/{kind.api_version}")
    return any(one["name"] == kind.plural for one in served["resources"])


@contextmanager
def removed(kubectl: Kubectl) -> Iterator[Kubectl]:
    """Without the kinds of ours and of Istio, before and after."""
    names = [
        f"{kind.plural}.{kind.group}" for kind in (Kind.ROLLOUT, Kind.VIRTUAL_SERVICE, Kind.DESTINATION_RULE)
    ]
    for name in names:
        kubectl("delete", "crd", name, "--ignore-not-found")
    yield kubectl
    for name in names:
        kubectl("delete", "crd", name, "--ignore-not-found")


def simple_crd(kind: Kind) -> Json:
    """A definition that accepts everything, in the place of Istio's own."""
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": kind.version, "served": True, "storage": True, "schema": anything}
    names = {"plural": kind.plural, "singular": kind.title.lower(), "kind": kind.title}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def test_a_cache_of_several_namespaces_sees_those_and_no_others(
    control_plane: LocalCluster, client: Kube, place: Namespace
) -> None:
    async with (
        Namespace.make(control_plane, client) as second,
        Namespace.make(control_plane, client) as third,
    ):
        refs = [await make(one, "web") for one in (place, second, third)]
        async with adapter(control_plane.kubeconfig, (place.name, second.name), kinds=NATIVE) as it:
            await it.synced()
            found = await it.cluster.list(Kind.DEPLOYMENT, "", live=False)
            assert {one["metadata"]["namespace"] for one in found} == {place.name, second.name}
            assert await it.cached(refs[2]) is None
            later = await make(second, "later")
            await it.until_cached(later)


async def test_a_list_longer_than_a_page_is_whole(
    control_plane: LocalCluster, place: Namespace, client: Kube
) -> None:
    many = 620
    path = place.path("services")

    async def one(n: int) -> None:
        ports = [{"port": 80}]
        await client.create(
            path, {"metadata": {"name": f"s{n}"}, "spec": {"clusterIP": "None", "ports": ports}}
        )

    for first in range(0, many, 20):
        await asyncio.gather(*(one(n) for n in range(first, first + 20)))
    async with adapter(control_plane.kubeconfig, (place.name,), kinds=(Kind.SERVICE,)) as it:
        await it.synced()
        assert len(await it.cluster.list(Kind.SERVICE, place.name, live=False)) == many
        assert len(await it.cluster.list(Kind.SERVICE, place.name, live=True)) == many
        assert it.counted[("list", "services", "200")] == 2

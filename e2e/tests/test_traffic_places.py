"""More than one place: several VirtualServices that move together, a delegate, routes without names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from e2e.load import Load
from e2e.localcluster.kube import Object
from e2e.tests.caller import mesh_caller
from e2e.tests.controller import Controller
from e2e.tests.counting import more, share, versions
from e2e.tests.meshes import AT_REST, PIN, PINNED, Layout, Place, with_routes, with_services
from e2e.tests.support import Namespace, route, virtual_service, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real

RATE = 80.0
STEPS = (HOLD, {"weight": 100})


def on_gateway(place: Place) -> Object:
    return virtual_service(place.host, [route(AT_REST, host=place.service)], place.name)


def for_mesh(place: Place) -> Object:
    """For callers inside the mesh, which use the Service's name: bound to no gateway."""
    made = virtual_service(place.service, [route(AT_REST, host=place.service)], f"{place.name}-mesh")
    del made["spec"]["gateways"]
    return made


def other_host(place: Place) -> Object:
    return virtual_service(other(place.host), [route(AT_REST, host=place.service)], f"{place.name}-other")


def other(host: str) -> str:
    return f"other.{host}"


def delegate(place: Place) -> Object:
    """Ours: routes without a host, for another VirtualService to take in."""
    made = on_gateway(place)
    del made["spec"]["hosts"], made["spec"]["gateways"]
    return made


def root(place: Place) -> Object:
    """Somebody else's: has the host, and leaves its routes to ours."""
    to = {"delegate": {"name": place.name}, "match": [{"uri": {"prefix": "/"}}]}
    return virtual_service(place.host, [to], f"{place.name}-root")


async def test_callers_through_the_gateway_and_inside_the_mesh_are_split_and_taken_back_together(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, for_mesh)
    world = await World.begin(namespace, controller, mesh=mesh, pin=[PIN], steps=STEPS)
    host = f"web.{namespace.name}.svc.cluster.local"
    async with mesh_caller(namespace) as url:
        await answering(url, host)
        async with world.load(RATE) as outside, Load(url, RATE, host=host) as inside:
            await world.release("v2")
            canary = (await world.at(25))["canary"]
            for load in (outside, inside):
                await more(load, 40)  # until Envoy knows
                assert share(await more(load, 240), "v2") == pytest.approx(0.25, abs=0.14)
            async with Load(url, 50, host=host, headers=PINNED) as pinned:
                assert versions(await more(pinned, 20)) == {"v2"}
            await world.pod_post(canary, "/-/set?error_rate=0.4")
            await world.phase("Reverted")
            await world.assert_reverted(canary)
            for load in (outside, inside):
                assert versions(await more(load, 40)) == {"v1"}
    for load in (outside, inside):
        assert {(answer.status, answer.version) for answer in load.failures()} <= {(500, "v2")}


async def test_a_good_release_fails_no_request_of_callers_inside_the_mesh(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, for_mesh)
    world = await World.begin(namespace, controller, mesh=mesh, steps=[{"weight": 50}, {"weight": 100}])
    host = f"web.{namespace.name}.svc.cluster.local"
    async with mesh_caller(namespace) as url:
        await answering(url, host)
        async with world.load(RATE) as outside, Load(url, RATE, host=host) as inside:
            await world.release("v2")
            await world.phase("Progressing")
            await world.phase("Healthy")
            await world.assert_at_rest("v2")
            for load in (outside, inside):
                assert versions(await more(load, 40)) == {"v2"}
    assert failed(outside) == ""
    assert failed(inside) == ""


async def answering(url: str, host: str) -> None:
    """Wait until the caller's sidecar knows the way."""
    async with Load(url, 20, host=host) as load:

        async def answered() -> bool:
            return load.first("v1") is not None

        await wait_for(answered, "v1 to answer inside the mesh", within=30)


async def split_of(world: World) -> dict[str, list[int]]:
    """The weights of the last route of each VirtualService."""
    found = await world.namespace.kube.get(
        world.namespace.path("virtualservices", group="networking.istio.io/v1")
    )
    return {
        one["metadata"]["name"]: [to.get("weight", 0) for to in one["spec"]["http"][-1].get("route", [])]
        for one in found["items"]
    }


async def test_two_hosts_are_split_and_taken_back_together(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, other_host)
    world = await World.begin(namespace, controller, mesh=mesh, steps=STEPS)
    async with world.load(RATE) as one, world.load(RATE, host=other(world.host)) as two:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        for load in (one, two):
            await more(load, 40)  # until Envoy knows
            assert share(await more(load, 240), "v2") == pytest.approx(0.25, abs=0.14)
        await world.pod_post(canary, "/-/set?error_rate=0.4")
        await world.phase("Reverted")
        await world.assert_reverted(canary)
        for load in (one, two):
            assert versions(await more(load, 40)) == {"v1"}
            assert {(answer.status, answer.version) for answer in load.failures()} <= {(500, "v2")}


async def test_somebody_who_lowers_one_of_two_virtualservices_ends_the_release_in_both(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, other_host)
    world = await World.begin(namespace, controller, mesh=mesh, steps=STEPS)
    await world.release("v2")
    canary = (await world.at(25))["canary"]
    await world.weigh(0, manager="argocd-controller")
    status = await world.phase("Reverted")
    await world.assert_reverted(canary)
    assert "argocd-controller" in status["reason"]


async def test_a_write_that_fails_in_one_of_two_virtualservices_is_made_up_for(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, other_host)
    world = await World.begin(namespace, controller, mesh=mesh, steps=STEPS)
    async with locked(world, "web-other"):
        await world.release("v2")

        async def half() -> bool:
            return await split_of(world) == {"web": [75, 25], "web-other": [100, 0]}

        await wait_for(half, "the first to be written", within=30)
        assert (await world.status())["weight"] == 0
    await world.at(25)
    assert await split_of(world) == {"web": [75, 25], "web-other": [75, 25]}


async def test_a_revert_goes_on_to_the_second_virtualservice_where_the_first_cannot_be_written(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(on_gateway, other_host)
    world = await World.begin(namespace, controller, mesh=mesh, steps=STEPS)
    async with world.load(RATE) as load, world.load(RATE, host=other(world.host)) as behind:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        async with locked(world, "web"):
            await world.command("abort", "by the test")

            async def half() -> bool:
                return await split_of(world) == {"web": [75, 25], "web-other": [100, 0]}

            await wait_for(half, "the second to be written", within=10)

            async def known() -> bool:
                return versions(behind.answers[-40:]) == {"v1"}

            await wait_for(known, "Envoy to know")
            assert versions(await more(behind, 40)) == {"v1"}
            assert versions(await more(load, 80)) == {"v1", "v2"}
            assert (await world.status())["phase"] == "Reverting"
        await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert failed(load) == ""
    assert failed(behind) == ""


@asynccontextmanager
async def locked(world: World, name: str) -> AsyncIterator[None]:
    """A policy of the cluster's refuses every update of this VirtualService."""
    kube, made = world.namespace.kube, policy(world, name)
    for one in made:
        await kube.apply(one)

    async def acts(wanted: bool) -> bool:
        patch = '{"metadata":{"labels":{"probe":"yes"}}}'
        arguments = ("patch", "virtualservice", name, "--type=merge", "-p", patch, "--dry-run=server")
        return ((await world.namespace.kubectl(*arguments)).status != 0) is wanted

    try:
        await wait_for(lambda: acts(True), "the lock to act")
        yield
    finally:
        for one in made:
            await kube.delete(await kube.path_of(one))
    await wait_for(lambda: acts(False), "the lock to be gone")


def policy(world: World, name: str) -> tuple[Object, Object]:
    """The policy, and its binding."""
    named = {"name": f"{world.namespace.name}-lock"}
    rule = {
        "apiGroups": ["networking.istio.io"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["virtualservices"],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": world.namespace.name}}
    refusal = {"expression": f"object.metadata.name != '{name}'", "message": "locked"}
    rules = {
        "matchConstraints": {"namespaceSelector": here, "resourceRules": [rule]},
        "validations": [refusal],
    }
    bound = {"policyName": named["name"], "validationActions": ["Deny"]}
    kind, api = "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1"
    return (
        {"apiVersion": api, "kind": kind, "metadata": named, "spec": rules},
        {"apiVersion": api, "kind": f"{kind}Binding", "metadata": named, "spec": bound},
    )


async def test_a_delegate_is_split_behind_the_root_that_has_the_host(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_services(delegate, root, unmanaged=1)
    world = await World.begin(namespace, controller, mesh=mesh, pin=[PIN], steps=STEPS)
    async with world.load(RATE) as load:
        await world.release("v2")
        await world.at(25)
        await more(load, 40)  # until Envoy knows
        assert share(await more(load, 240), "v2") == pytest.approx(0.25, abs=0.14)
        async with world.load(50, headers=PINNED) as pinned:
            assert versions(await more(pinned, 20)) == {"v2"}
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert failed(pinned) == ""


def unnamed() -> Layout:
    """Three routes without names; the one in the middle sends nothing to us."""

    def routes(place: Place) -> list[Object]:
        admin = {"match": [{"uri": {"prefix": "/admin"}}]}
        old = {"match": [{"uri": {"prefix": "/old"}}]}
        gone = {"name": "gone", **old, "directResponse": {"status": 410}}
        return [
            route(AT_REST, host=place.service, name="", **admin),
            gone,
            route(AT_REST, host=place.service, name=""),
        ]

    return with_routes(routes)


async def test_routes_without_names_are_found_by_where_they_send_to(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, mesh=unnamed(), pin=[PIN], steps=STEPS)
    async with world.load(RATE, path="/admin") as admin, world.load(RATE) as load:
        await world.release("v2")
        await world.at(25)
        for one in (admin, load):
            await more(one, 40)  # until Envoy knows
            assert share(await more(one, 240), "v2") == pytest.approx(0.25, abs=0.14)
        for path, status, version in (("/admin", 200, "v2"), ("/", 200, "v2"), ("/old", 410, "")):
            async with world.load(50, path=path, headers=PINNED) as pinned:
                answers = await more(pinned, 10)
            assert {(answer.status, answer.version) for answer in answers} == {(status, version)}
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert failed(admin) == ""

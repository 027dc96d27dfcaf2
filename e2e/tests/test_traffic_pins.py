"""Header pins through the real Envoy: who is pinned is answered by the canary, and nobody else is."""

from collections.abc import Callable

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import more, requests_to, share, versions
from e2e.tests.meshes import AT_REST, PIN, PINNED, Place, with_routes
from e2e.tests.support import Namespace, route
from e2e.tests.world import World, analysis, failed

pytestmark = pytest.mark.real

NOBODY = {"weight": 0, "minDuration": "5m"}
"""A step for the pinned alone, until the test does something."""
HALF = {"weight": 50, "minDuration": "5m"}
ALL = {"weight": 100}

Routes = Callable[[Place], list[Object]]


async def names_of_routes(world: World) -> list[str]:
    """The http routes of the VirtualService, in their order."""
    return [one.get("name", "") for one in (await world.get("virtualservices"))["spec"]["http"]]


async def test_pinned_requests_are_the_canarys_from_weight_0_to_the_end_and_all_others_are_split(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, pin=[PIN], steps=[NOBODY, HALF, ALL])
    async with world.load(80) as load:
        await world.release("v2")
        await world.serving("v2", headers=PINNED)
        async with world.load(30, headers=PINNED) as pinned:
            assert versions(await more(load, 160)) == {"v1"}
            await world.command("promote")
            await world.at(50)
            await more(load, 80)  # until Envoy knows
            # five standard deviations: wrong in one run of two million
            assert share(await more(load, 320), "v2") == pytest.approx(0.5, abs=0.14)
            await world.command("promote", "full")
            await world.phase("Healthy")
            await world.assert_at_rest("v2")
            assert versions(await more(load, 40)) == {"v2"}
    assert failed(load) == ""
    assert failed(pinned) == ""
    assert pinned.versions().keys() == {"v2"}
    assert await names_of_routes(world) == ["primary"]


async def test_an_abort_sends_the_pinned_back_too_and_leaves_the_routes_as_in_git(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, pin=[PIN], steps=[HALF, ALL])
    async with world.load(80) as load:
        await world.release("v2")
        canary = (await world.at(50))["canary"]
        assert await names_of_routes(world) == ["rollout-controller/web/pin/primary", "primary"]
        await world.serving("v2", headers=PINNED)  # Envoy knows
        async with world.load(30, headers=PINNED) as pinned:
            assert versions(await more(pinned, 30)) == {"v2"}
            await world.command("abort", "by the test")
            await world.phase("Reverted")
            await world.assert_reverted(canary)
            assert versions(await more(pinned, 30)) == {"v1"}
    assert failed(load) == ""
    assert failed(pinned) == ""


async def test_a_canary_that_answers_the_pinned_alone_with_errors_is_taken_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, pin=[PIN], steps=[NOBODY, ALL])
    async with world.load(40) as load, world.load(40, headers=PINNED) as pinned:
        await world.release("v2", env={"ERROR_RATE": "0.3"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert "error rate" in status["reason"]
    assert failed(load) == ""
    assert load.versions().keys() == {"v1"}
    assert {answer.version for answer in pinned.failures()} == {"v2"}


def api_and_rest(place: Place) -> list[Object]:
    """A split of two paths, and a route for the others that the Rollout has nothing to do with."""
    paths = [{"uri": {"prefix": prefix}} for prefix in ("/api", "/v1")]
    return [
        route(AT_REST, host=place.service, match=paths),
        route({"stable": 100}, host=place.service, name="rest"),
    ]


async def test_a_pinned_request_needs_path_and_header_and_each_of_several_matches_will_do(
    namespace: Namespace, controller: Controller
) -> None:
    either = [PIN, {"headers": {"x-user": {"prefix": "beta-"}, "x-region": {"regex": "eu-.*"}}}]
    mesh = with_routes(api_and_rest, routes=["primary"])
    world = await World.begin(namespace, controller, mesh=mesh, pin=either, steps=[NOBODY, ALL])
    beta = {"x-user": "beta-7", "x-region": "eu-west"}
    cases = [
        ("/api/pay", PINNED, "v2"),
        ("/v1", PINNED, "v2"),
        ("/api", beta, "v2"),
        ("/v1/pay", beta, "v2"),
        ("/api", {"x-user": "beta-7"}, "v1"),
        ("/api", {"x-canary": "yes"}, "v1"),
        ("/api", {}, "v1"),
        ("/", PINNED, "v1"),
    ]
    await world.release("v2")
    async with world.load(20, path="/api", headers=PINNED) as load:
        await world.until(lambda status: status.get("step") == "1/2", "the first step")
        while versions(await more(load, 5)) != {"v2"}:
            assert len(load.answers) < 400, "the pinned route is not live"
    for path, headers, version in cases:
        async with world.load(50, path=path, headers=headers) as load:
            assert versions(await more(load, 10)) == {version}, (path, headers)
        assert failed(load) == ""
    await world.command("promote", "full")
    await world.phase("Healthy")
    await world.assert_at_rest("v2")


async def test_a_route_of_the_users_above_keeps_its_requests_and_is_refined_where_it_is_managed(
    namespace: Namespace, controller: Controller
) -> None:
    def routes(place: Place) -> list[Object]:
        staff = {"match": [{"headers": {"x-staff": {"exact": "1"}}}]}
        mobile = {"match": [{"headers": {"x-app": {"prefix": "mobile"}}}]}
        return [
            route({"stable": 100}, host=place.service, name="staff", **staff),
            route(AT_REST, host=place.service, name="mobile", **mobile),
            route(AT_REST, host=place.service),
        ]

    mesh = with_routes(routes, routes=["mobile", "primary"])
    world = await World.begin(namespace, controller, mesh=mesh, pin=[PIN], steps=[NOBODY, ALL])
    await world.release("v2")
    await world.serving("v2", headers=PINNED)
    own = "rollout-controller/web/pin"
    assert await names_of_routes(world) == ["staff", f"{own}/mobile", "mobile", f"{own}/primary", "primary"]
    for headers, version in (
        ({"x-staff": "1"}, "v1"),
        ({"x-staff": "1", **PINNED}, "v1"),
        ({"x-app": "mobile-ios"}, "v1"),
        ({"x-app": "mobile-ios", **PINNED}, "v2"),
        (PINNED, "v2"),
    ):
        async with world.load(50, headers=headers) as load:
            assert versions(await more(load, 10)) == {version}, headers
        assert failed(load) == ""
    await world.command("abort", "by the test")
    status = await world.phase("Reverted")
    await world.assert_reverted(status["canary"])


async def test_a_pinned_route_has_the_timeout_of_its_route(
    namespace: Namespace, controller: Controller
) -> None:
    mesh = with_routes(lambda at: [route(AT_REST, host=at.service, timeout="0.3s")], routes=["primary"])
    only_errors = analysis(checks=[{"errorRate": {"max": "4%"}}])
    world = await World.begin(
        namespace, controller, mesh=mesh, pin=[PIN], steps=[NOBODY, ALL], analysis=only_errors
    )
    await world.release("v2", env={"LATENCY_MS": "1500"})
    await world.until(lambda status: status.get("step") == "1/2", "the first step")
    async with world.load(20, headers=PINNED) as pinned:
        while pinned.answers[-1:] == [] or pinned.answers[-1].status != 504:
            await more(pinned, 5)
            assert len(pinned.answers) < 400, "the pinned route is not live"
        cut = await more(pinned, 20)
    assert {answer.status for answer in cut} == {504}
    assert min(answer.latency for answer in cut) == pytest.approx(0.3, abs=0.1)
    await world.command("abort", "by the test")
    await world.phase("Reverted")
    await world.assert_mesh_is_home()


async def test_a_pinned_route_has_the_retries_of_its_route(
    namespace: Namespace, controller: Controller
) -> None:
    again = {"attempts": 3, "retryOn": "5xx"}
    mesh = with_routes(lambda at: [route(AT_REST, host=at.service, retries=again)], routes=["primary"])
    only_latency = analysis(checks=[{"latency": {"quantile": 0.99, "max": "5s"}}])
    world = await World.begin(
        namespace, controller, mesh=mesh, pin=[PIN], steps=[NOBODY, ALL], analysis=only_latency
    )
    await world.release("v2", env={"ERROR_RATE": "0.25"})
    await world.serving("v2", headers=PINNED)
    canary = (await world.status())["canary"]
    before = await requests_to(world, revision=canary)
    async with world.load(40, headers=PINNED) as pinned:
        await more(pinned, 120)
    assert failed(pinned) == ""  # every fourth answer of a pod is an error, and none of them reaches a user
    assert await requests_to(world, revision=canary) - before > 1.2 * pinned.sent
    await world.command("abort", "by the test")
    await world.phase("Reverted")
    await world.assert_mesh_is_home()

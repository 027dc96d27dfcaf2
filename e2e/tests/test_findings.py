"""What is wrong with the objects around a Rollout: told with its cure, nothing written, healed when cured.

All cases share a namespace and a controller, and have names of their own; no pods are needed.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import Kube, Object
from e2e.tests.controller import STASH, Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, NETWORKING, World, failed, rollout

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("findings")]

Manifests = dict[str, Object]
RENAME = [{"op": "replace", "path": "/spec/http/0/name", "value": "secondary"}]


def without(kind: str) -> Callable[[Manifests], None]:
    def change(manifests: Manifests) -> None:
        del manifests[kind]

    return change


def having(kind: str, path: str, value: Any) -> Callable[[Manifests], None]:
    """A field of one of the manifests is another: `spec.http.0.name`."""

    def change(manifests: Manifests) -> None:
        target: Any = manifests[kind]
        *parents, last = path.split(".")
        for part in parents:
            target = target[int(part) if isinstance(target, list) else part]
        target[int(last) if isinstance(target, list) else last] = value

    return change


def elsewhere(manifests: Manifests) -> None:
    (only,) = manifests["VirtualService"]["spec"]["http"]
    only["route"] = [{"destination": {"host": "other.example.com"}}]


def shadowed(manifests: Manifests) -> None:
    routes = manifests["VirtualService"]["spec"]["http"]
    routes.insert(0, {"name": "all", "route": [{"destination": {"host": "other.example.com"}}]})


def labelled_template(manifests: Manifests) -> None:
    having("DestinationRule", "spec.subsets.0.labels.version", "v1")(manifests)
    having("Deployment", "spec.template.metadata.labels.version", "v1")(manifests)


@dataclass(frozen=True)
class Case:
    """A mistake, and what is told of it: words of the message, which holds object, field, reason and cure."""

    name: str
    change: Callable[[Manifests], None]
    code: str
    says: tuple[str, ...]


CASES = (
    Case(
        "no-deployment",
        without("Deployment"),
        "MissingDeployment",
        ("Deployment {ns}/{name}: does not exist", "Create it, or correct spec.workload.deployment"),
    ),
    Case(
        "no-virtual-service",
        without("VirtualService"),
        "MissingVirtualService",
        ("VirtualService {ns}/{name}: does not exist", "spec.traffic.istio.virtualServices[0].name"),
    ),
    Case(
        "no-rule",
        without("DestinationRule"),
        "MissingDestinationRule",
        ("DestinationRule {ns}/{name}: does not exist", "spec.traffic.istio.destinationRule.name"),
    ),
    Case(
        "no-subset",
        having("DestinationRule", "spec.subsets.1.name", "canari"),
        "MissingSubset",
        (
            'DestinationRule {ns}/{name} spec.subsets: there is no subset named "canary"',
            'Did you mean "canari"?',
        ),
    ),
    Case(
        "no-route",
        having("VirtualService", "spec.http.0.name", "primry"),
        "MissingRoute",
        (
            'VirtualService {ns}/{name} spec.http: there is no http route named "primary"',
            'Did you mean "primry"?',
        ),
    ),
    Case(
        "foreign-route",
        elsewhere,
        "ForeignRoute",
        (
            "VirtualService {ns}/{name} spec.http[0].route",
            "does not send to subset stable or canary",
            "other.example.com",
        ),
    ),
    Case(
        "no-canary-destination",
        having(
            "VirtualService",
            "spec.http.0.route",
            [{"destination": {"host": "{name}.{ns}.svc.cluster.local", "subset": "stable"}}],
        ),
        "MissingDestination",
        ("spec.http[0].route", 'no destination with subset "canary"', "weight 0"),
    ),
    Case(
        "not-100",
        having("VirtualService", "spec.http.0.route.0.weight", 90),
        "WeightsNot100",
        (
            "VirtualService {ns}/{name} spec.http[0].route",
            "the weights 90 + 0 total 90",
            "Make them total 100",
        ),
    ),
    Case(
        "subset-label-outside",
        labelled_template,
        "LabelOutsideSelector",
        (
            "DestinationRule {ns}/{name} spec.subsets[0].labels.version",
            "v1 is not in the selector of Deployment {ns}/{name}",
        ),
    ),
    Case(
        "service-label-outside",
        having("Service", "spec.selector.version", "v1"),
        "LabelWithoutPods",
        ("Service {ns}/{name} spec.selector.version", "v1 selects no new pod"),
    ),
    Case(
        "no-service",
        without("Service"),
        "UnknownHost",
        (
            "DestinationRule {ns}/{name} spec.host: no Service of namespace {ns} is called",
            "Create the Service",
        ),
    ),
    Case(
        "shadowed-route",
        shadowed,
        "ShadowedRoute",
        ("VirtualService {ns}/{name} spec.http[1]", 'spec.http[0] ("all") takes all requests of this route'),
    ),
    Case(
        "no-gateway",
        having("VirtualService", "spec.gateways", ["nowhere"]),
        "MissingGateway",
        ("VirtualService {ns}/{name} spec.gateways[0]: there is no Gateway {ns}/nowhere", "Create it"),
    ),
    Case(
        "recreate",
        having("Deployment", "spec.strategy", {"type": "Recreate"}),
        "RecreateStrategy",
        ("Deployment {ns}/{name} spec.strategy.type", "Set it to RollingUpdate"),
    ),
)


@pytest_asyncio.fixture(scope="module")
async def shared(
    cluster: LocalCluster, kube: Kube, installed: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Namespace, Controller]]:
    """A namespace with a controller for all cases."""
    async with Namespace.make(cluster, kube) as namespace:
        one = Controller(cluster, namespace.name, tmp_path_factory.mktemp("findings") / "controller.log")
        await one.start()
        await one.ready()
        yield namespace, one
        await one.stop()
        assert one.defects()[:1] == []


@pytest.fixture
def make(request: pytest.FixtureRequest, shared: tuple[Namespace, Controller]) -> Callable[[str], World]:
    """A world of the given name, nothing applied yet."""
    request.node.stash[STASH] = shared[1]
    return lambda name: World(*shared, name)


def filled(value: Any, world: World) -> Any:
    """The same with {ns} and {name} filled in."""
    if isinstance(value, str):
        return value.replace("{ns}", world.namespace.name).replace("{name}", world.name)
    if isinstance(value, list):
        return [filled(one, world) for one in value]
    return {key: filled(one, world) for key, one in value.items()} if isinstance(value, dict) else value


async def written_by_us(world: World) -> list[str]:
    """Objects around the Rollout that bear a write of the controller."""
    kinds = {"deployments": "apps/v1", "virtualservices": NETWORKING, "destinationrules": NETWORKING}
    found = [
        item
        for plural, group in kinds.items()
        for item in (await world.namespace.kube.get(world.namespace.path(plural, group=group)))["items"]
        if item["metadata"]["name"] == world.name
    ]
    return [
        item["kind"]
        for item in found
        for entry in item["metadata"]["managedFields"]
        if entry["manager"] == "rollout-controller"
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_mistake_is_told_with_its_cure_touches_nothing_and_heals_by_itself(
    make: Callable[[str], World], case: Case
) -> None:
    world = make(case.name)
    manifests = world.manifests(replicas=0)
    case.change(manifests)
    await world.namespace.apply(*filled(list(manifests.values()), world), rollout(world.name))
    status = await world.phase("Invalid", within=20)
    for words in case.says:
        assert filled(words, world) in status["message"]
    assert (status["findings"][0]["code"], status["findings"][0]["severity"]) == (case.code, "error")
    await world.event("Invalid", filled(case.says[0], world))
    assert await written_by_us(world) == []

    await world.apply(0)
    status = await world.phase("Healthy", within=20)
    assert "findings" not in status
    assert len(await world.events("Invalid")) == 1
    await world.assert_at_rest("v1", replicas=0)


async def test_several_mistakes_are_told_at_once(make: Callable[[str], World]) -> None:
    world = make("several")
    manifests = world.manifests(replicas=0)
    having("Deployment", "spec.strategy", {"type": "Recreate"})(manifests)
    without("VirtualService")(manifests)
    await world.namespace.apply(*manifests.values(), rollout(world.name))
    status = await world.phase("Invalid", within=20)
    assert [one["code"] for one in status["findings"]] == ["RecreateStrategy", "MissingVirtualService"]


async def test_a_warning_holds_nothing_and_is_told_once(make: Callable[[str], World]) -> None:
    world = make("retries")
    manifests = world.manifests(replicas=0)
    having("VirtualService", "spec.http.0.retries", {"attempts": 5})(manifests)
    await world.namespace.apply(*manifests.values(), rollout(world.name))
    status = await world.phase("Healthy", within=20)
    (finding,) = status["findings"]
    assert (finding["code"], finding["severity"]) == ("RetriesMultiplyLoad", "warning")
    assert "up to 6 times the requests" in status["message"]
    await world.event("RetriesMultiplyLoad", f"VirtualService {world.namespace.name}/{world.name}")
    await world.kubectl("annotate", "rlt", world.name, "looked=again")

    await world.apply(0)
    await world.until(lambda status: "findings" not in status, "the warning to go with its cause")
    assert len(await world.events("RetriesMultiplyLoad")) == 1


async def test_a_mistake_at_rest_holds_the_next_release_until_it_is_cured(
    make: Callable[[str], World],
) -> None:
    world = make("at-rest")
    await world.apply(0, rollout(world.name))
    await world.phase("Healthy")
    await world.patch("destinationrules", [{"op": "remove", "path": "/spec/subsets/1"}])
    await world.phase("Invalid")
    await world.release("v2")
    assert (await world.get("deployments"))["spec"]["paused"] is True
    assert len(await world.replica_sets()) == 1
    await world.namespace.apply(world.manifests()["DestinationRule"])
    await world.until(lambda s: bool(s.get("history")), "the release that was held")
    await world.assert_at_rest("v2", replicas=0)


async def test_a_mistake_in_the_middle_of_a_release_pauses_it_until_it_is_cured(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(25)
        before = await world.get("virtualservices")
        await world.patch("virtualservices", RENAME)
        status = await world.phase("Paused")
        assert status["pausedBy"] == "Finding"
        assert 'no http route named "primary"' in status["message"]
        assert await world.weights() == [75, 25]
        await world.patch("virtualservices", [{**RENAME[0], "value": "primary"}])
        await world.at(25)
        assert (await world.get("virtualservices"))["spec"] == before["spec"]
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


async def test_an_abort_takes_back_a_route_that_was_renamed_meanwhile(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load(50) as load:
        await world.release("v2")
        await world.at(25)
        await world.patch("virtualservices", RENAME)
        await world.phase("Paused")
        await world.command("abort")
        await world.phase("Reverted")
        assert await world.weights() == [100, 0]
    assert failed(load) == ""
    assert load.answers[-1].version == "v1"


async def test_a_rollout_that_is_wrong_from_the_start_can_be_deleted(make: Callable[[str], World]) -> None:
    world = make("deleted")
    await world.namespace.apply(rollout(world.name))
    await world.phase("Invalid")
    await world.kubectl("delete", "rlt", world.name, "--timeout=10s")

    async def away() -> bool:
        return not await world.kubectl("get", "rlt", world.name, "--ignore-not-found")

    await wait_for(away, "the Rollout to be gone")

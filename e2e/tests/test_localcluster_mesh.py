"""Requests through Envoy, and what Prometheus makes of them."""

import math

import pytest

from e2e.load import Load
from e2e.localcluster import LocalCluster
from e2e.localcluster.kube import Object
from e2e.tests.counting import more, versions
from e2e.tests.support import (
    Namespace,
    deployment,
    destination_rule,
    route,
    service,
    virtual_service,
    wait_for,
)

pytestmark = pytest.mark.real


def service_host(namespace: Namespace) -> str:
    return f"web.{namespace.name}.svc.cluster.local"


def routes(namespace: Namespace, **weights: int) -> Object:
    return virtual_service(namespace.host, [route(weights, host=service_host(namespace))])


def version(name: str, **env: str) -> Object:
    """A Deployment of its own per version, behind one Service."""
    made = deployment(
        f"web-{name}", replicas=2, version=name, labels={"part": "web", "version": name}, env=env
    )
    made["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "SERVICE", "value": "web"})
    return made


async def two_versions(namespace: Namespace, weights: dict[str, int], **env: str) -> None:
    """v1 and v2 behind one host, served."""
    subsets = {name: {"version": name} for name in ("v1", "v2")}
    await namespace.apply(
        version("v1"),
        version("v2", **env),
        service("web", {"part": "web"}),
        destination_rule(service_host(namespace), subsets),
        routes(namespace, **weights),
    )
    await namespace.rolled_out("web-v1")
    await namespace.rolled_out("web-v2")
    await serves(namespace)


async def serves(namespace: Namespace) -> None:
    """Wait until Envoy knows the route and its endpoints."""
    async with namespace.load(20) as load:

        async def answered() -> bool:
            return len(load.answers) > 5 and not any(answer.failed for answer in load.answers[-5:])

        await wait_for(answered, f"five good answers from {namespace.host}")


async def sent(load: Load, count: int) -> bool:
    return load.sent >= count


async def test_envoy_splits_requests_by_weight_and_follows_a_change(namespace: Namespace) -> None:
    await two_versions(namespace, {"v1": 80, "v2": 20})
    async with namespace.load(200) as load:
        await wait_for(lambda: sent(load, 1000), "1000 requests to leave")
    assert not load.failures()
    # five standard deviations: wrong in one run of two million
    assert load.share("v2") == pytest.approx(0.2, abs=5 * math.sqrt(0.2 * 0.8 / len(load.answers)))
    async with namespace.load(200) as load:
        await namespace.apply(routes(namespace, v1=0, v2=100))

        async def moved() -> bool:
            return {answer.version for answer in load.answers[-40:]} == {"v2"}

        await wait_for(moved, "40 answers in a row by v2")
        assert versions(await more(load, 40)) == {"v2"}
    assert not load.failures()


async def test_a_native_roll_under_load_fails_no_request(namespace: Namespace) -> None:
    subsets = {"all": {"app": "web"}}
    await namespace.apply(
        deployment(replicas=4, pre_stop=3),
        service(),
        destination_rule(service_host(namespace), subsets),
        routes(namespace, all=100),
    )
    await namespace.rolled_out("web")
    await serves(namespace)
    async with namespace.load(100) as load:
        (await namespace.kubectl("set", "env", "deployment/web", "VERSION=v2")).check()
        await namespace.rolled_out("web")

        async def old_gone() -> bool:
            return len(await namespace.pods(app="web")) == 4

        await wait_for(old_gone, "the old pods to be gone")
        done = load.sent
        await wait_for(lambda: sent(load, done + 50), "50 requests after the roll")
    assert not load.failures()
    assert {answer.version for answer in load.answers[-40:]} == {"v2"}


async def test_prometheus_counts_what_the_clients_saw(namespace: Namespace) -> None:
    await two_versions(namespace, {"v1": 50, "v2": 50}, ERROR_RATE="0.1", LATENCY_MS="60")
    async with namespace.load(100) as load:
        await wait_for(lambda: sent(load, 400), "400 requests to leave")
    # serves() asked before: its answers are counted by the pods too, so that growth is compared
    scope = f'destination_workload_namespace="{namespace.name}"'
    (failed,) = {answer.status for answer in load.failures()}
    assert failed == 500

    async def total(labels: str) -> float:
        found = await namespace.query(f"sum(istio_requests_total{{{scope},{labels}}})")
        return float(found[0]["value"][1]) if found else 0.0

    seen = len(load.answers)

    async def scraped() -> bool:
        return await total('reporter="destination"') >= seen

    await wait_for(scraped, f"Prometheus to have seen {seen} requests", within=30)
    errors, versioned = await total('response_code="500"'), await total('destination_workload="web-v2"')
    assert errors == pytest.approx(len(load.failures()), abs=3)
    assert errors / versioned == pytest.approx(0.1, abs=0.02)
    pods = {
        found["metric"]["pod"]
        for found in await namespace.query(f'istio_requests_total{{namespace="{namespace.name}"}}')
    }
    assert pods == {pod["metadata"]["name"] for pod in await namespace.pods(part="web")}


async def test_prometheus_sees_the_latency_that_the_pods_have(namespace: Namespace) -> None:
    await two_versions(namespace, {"v1": 50, "v2": 50}, LATENCY_MS="60")
    async with namespace.load(100) as load:
        series = "istio_request_duration_milliseconds_bucket"
        scope = f'namespace="{namespace.name}",destination_version="v2"'

        async def below(bound: str) -> float:
            # Prometheus 3 writes the bound 100 as 100.0
            found = await namespace.query(f'sum({series}{{{scope},le=~"{bound}"}})')
            return float(found[0]["value"][1]) if found else 0.0

        async def enough() -> bool:
            return await below("[+]Inf") >= 50

        await wait_for(enough, "50 timed requests to v2", within=30)
        assert await below("50(.0)?") == 0
        # One query: between two of them more is scraped.
        part = f'sum({series}{{{scope},le=~"100(.0)?"}}) / sum({series}{{{scope},le="+Inf"}})'
        (found,) = await namespace.query(part)
        assert float(found["value"][1]) >= 0.9
        slow = [answer.latency for answer in load.answers if answer.version == "v2"]
    assert min(slow) >= 0.06


async def test_the_debug_doors_of_the_mesh_are_reachable_from_the_host(
    namespace: Namespace, cluster: LocalCluster
) -> None:
    for url, word in (
        (f"{cluster.istiod_debug_url}/debug/syncz", "gw-0.istio-system"),
        (f"{cluster.envoy_admin_url}/config_dump?resource=dynamic_listeners", "0.0.0.0"),
        (f"{cluster.prometheus_url}/api/v1/targets", "activeTargets"),
    ):
        async with namespace.kube.session.get(url, headers={"Authorization": "none"}) as answer:
            assert answer.status == 200
            assert word in await answer.text()

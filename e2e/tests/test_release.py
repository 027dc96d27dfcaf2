"""Releases under load on the real parts: good ones to the end, bad ones back, versions that come and go."""

import pytest

from e2e.load import Load
from e2e.tests.controller import Controller
from e2e.tests.counting import answered
from e2e.tests.support import Namespace
from e2e.tests.world import HASH_LABEL, HOLD, World, analysis, failed

pytestmark = pytest.mark.real

FAST = ({"weight": 25}, {"weight": 50}, {"weight": 100})


def assert_only_failed_by(version: str, load: Load) -> None:
    """Every failed request was answered so by that version."""
    assert load.failures(), "the bad version was never asked"
    assert {answer.version for answer in load.failures()} == {version}


async def test_a_good_release_goes_to_the_end_without_a_failed_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller)
    async with world.load() as load:
        await world.release("v2")
        await world.phase("Progressing")
        status = await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert load.answers[-1].version == "v2"
    assert [past["outcome"] for past in status["history"]] == ["Promoted"]
    steps = [event.split(" ")[2] for event in await world.events("StepStarted")]
    assert steps == ["1/5:", "2/5:", "3/5:", "4/5:", "5/5:"]


async def test_a_release_replaces_every_pod_and_leaves_the_old_version_as_history(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 100}])
    first = (await world.status())["stable"]
    await world.release("v2")
    await world.command("promote", "full")
    status = await world.until(lambda s: bool(s.get("history")), "the release to be over")
    sets = await world.replica_sets()
    assert {revision: one["spec"]["replicas"] for revision, one in sets.items()} == {
        first: 0,
        status["stable"]: 3,
    }
    await world.assert_no_pods(first)
    pods = await namespace.pods(app="web")
    assert {pod["metadata"]["labels"][HASH_LABEL] for pod in pods} == {status["stable"]}
    assert (await world.kubectl("rollout", "history", "deployment/web")).count("<none>") == 2


async def test_a_canary_that_answers_with_errors_is_taken_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=FAST)
    async with world.load() as load:
        await world.release("v2", env={"ERROR_RATE": "0.2"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert_only_failed_by("v2", load)
    assert "error rate" in status["reason"]
    assert load.answers[-1].version == "v1"
    await world.release("v1")
    await world.phase("Healthy")
    await world.assert_at_rest("v1")


async def test_a_canary_that_is_slow_is_taken_back(namespace: Namespace, controller: Controller) -> None:
    slow = analysis(checks=[{"latency": {"quantile": 0.99, "max": "500ms"}}])
    world = await World.begin(namespace, controller, steps=FAST, analysis=slow)
    async with world.load() as load:
        await world.release("v2", env={"LATENCY_P50_MS": "400", "LATENCY_P99_MS": "1500"})
        status = await world.phase("Reverted")
        await world.assert_reverted(status["canary"])
    assert "p99" in status["reason"]
    assert failed(load) == ""


async def test_there_and_back_again_each_goes_to_the_end(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=FAST)
    async with world.load() as load:
        for version in ("v2", "v1"):
            await world.release(version)
            await world.phase("Progressing")
            await world.phase("Healthy")
            await world.assert_at_rest(version)
    assert failed(load) == ""
    assert len(await world.replica_sets()) == 2


async def test_a_third_version_takes_the_place_of_the_second(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        second = (await world.at(25))["canary"]
        await world.release("v3")
        status = await world.until(
            lambda s: s["canary"] not in (None, second) and s.get("weight") == 25, "the third version at 25 %"
        )
        assert second not in await world.replica_sets()
        await world.assert_no_pods(second)
        assert (await world.pins())[1] == status["canary"]
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v3")
    assert failed(load) == ""
    outcomes = [(past["revision"], past["outcome"]) for past in (await world.status())["history"]]
    assert outcomes == [(status["canary"], "Promoted"), (second, "Reverted")]


async def test_the_old_template_back_ends_the_release(namespace: Namespace, controller: Controller) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    pods = {pod["metadata"]["name"] for pod in await namespace.pods(app="web")}
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        await answered(load, "v2")
        await world.release("v1")
        status = await world.phase("Healthy")
        await world.assert_at_rest("v1")
    assert failed(load) == ""
    assert load.versions()["v2"] > 0
    assert "stable's again" in status["history"][0]["reason"]
    assert {pod["metadata"]["name"] for pod in await namespace.pods(app="web")} == pods

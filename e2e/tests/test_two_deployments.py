"""Two Deployments that serve in turn, on the real parts: requests counted, Deployments left alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from e2e.localcluster.kube import Object
from e2e.tests.controller import Controller
from e2e.tests.counting import answered
from e2e.tests.support import (
    Namespace,
    deployment,
    destination_rule,
    route,
    service,
    virtual_service,
    wait_for,
)
from e2e.tests.world import HASH_LABEL, HOLD, World, failed, rollout

pytestmark = pytest.mark.real

"""Requests per second."""
FAST: Final = ({"weight": 25}, {"weight": 50}, {"weight": 100})
SIDES: Final = {"web-v1": "v1", "web-v2": "v2"}
"""The Deployments, and the value of the label by which their subsets tell them apart."""


class Pair(World):
    """`web-v1` and `web-v2` behind one Service, as Istio's guides have them, and their Rollout."""

    @staticmethod
    async def start(
        namespace: Namespace, controller: Controller, steps: Sequence[Object] = FAST, **spec: Any
    ) -> "Pair":
        """Version `red` serves on the first side, `blue` is idle on the second."""
        pair = Pair(namespace, controller)
        await controller.start()
        workload = {"stable": {"deployment": "web-v1"}, "canary": {"deployment": "web-v2"}}
        made = rollout(steps=steps, workload=workload, **spec)
        made["spec"]["traffic"]["istio"]["destinationRule"] |= {"stableSubset": "v1", "canarySubset": "v2"}
        await pair.apply(2, made)
        await controller.ready()
        await pair.phase("Healthy")
        await pair.serving("red")
        return pair

    def manifests(self, replicas: int = 3) -> dict[str, Object]:
        subsets = {version: {"version": version} for version in SIDES.values()}
        routes = [route({"v1": 100, "v2": 0}, host=self.service)]
        objects = [
            service(self.name),
            virtual_service(self.host, routes, self.name),
            destination_rule(self.service, subsets, self.name),
        ]
        sides = {
            name: _side(name, version, replicas) for name, version in zip(SIDES, ("red", "blue"), strict=True)
        }
        return {**sides, **{item["kind"]: item for item in objects}}

    async def release_on(self, side: str, version: str, env: Mapping[str, str] | None = None) -> None:
        """Give one of the two Deployments a new version."""
        (container,) = _side(side, version, 2, env)["spec"]["template"]["spec"]["containers"]
        change = {
            "name": container["name"],
            "image": container["image"],
            "env": [{"$patch": "replace"}, *container["env"]],
        }
        body = {"spec": {"template": {"spec": {"containers": [change]}}}}
        path = self.namespace.path("deployments", side, "apps/v1")
        await self.namespace.kube.patch(path, body, "strategic", fieldManager="kubectl-set")

    async def side(self, name: str) -> Object:
        return await self.namespace.deployment(name)

    async def assert_left_alone(self, **versions: str) -> None:
        """Both Deployments have what people gave them: version, replicas, no label, no pause; subsets too."""
        for name, version in zip(SIDES, (versions["web_v1"], versions["web_v2"]), strict=True):
            found = await self.side(name)
            told = found["spec"]["template"]["spec"]["containers"][0]["env"]
            assert {"name": "VERSION", "value": version} in told
            assert found["spec"]["replicas"] == 2
            assert not found["spec"].get("paused")
            assert not found["metadata"].get("labels")
            assert not any("rollout-controller" in one for one in found["metadata"].get("annotations", {}))
        found = await self.get("destinationrules")
        assert found["spec"] == self.applied["DestinationRule"]["spec"]

    async def assert_let_go(self) -> None:
        """Nothing of ours is left that would need our finalizer, which goes after the status was written."""

        async def let_go() -> bool:
            return not (await self.get("rollouts"))["metadata"].get("finalizers")

        await wait_for(let_go, "the finalizer to go")

    async def own_pods(self, side: str) -> set[str]:
        """The names of the pods of one side that are not ending."""
        pods = await self.namespace.pods(app="web", version=SIDES[side])
        return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def _side(name: str, version: str, replicas: int, env: Mapping[str, str] | None = None) -> Object:
    labels = {"app": "web", "version": SIDES[name]}
    made = deployment(name, replicas=replicas, version=version, env=env, labels=labels, pre_stop=3)
    made["spec"]["selector"] = {"matchLabels": labels}
    return made


async def test_a_good_release_goes_to_the_idle_side_and_the_next_one_to_the_other(
    namespace: Namespace, controller: Controller
) -> None:
    pair = await Pair.start(namespace, controller)
    old = await pair.own_pods("web-v1")
    async with pair.load() as load:
        await pair.release_on("web-v2", "green")
        status = await pair.until(lambda s: s.get("stable") == "web-v2", "web-v2 to serve")
        assert status["message"] == "web-v2 serves everybody; web-v1 is idle: release the next version there"
        assert await pair.weights() == [0, 100]
        assert await pair.own_pods("web-v1") == old, "the old version stays as it is"
        new = await pair.own_pods("web-v2")
        await pair.release_on("web-v1", "grey")
        status = await pair.until(lambda s: s.get("stable") == "web-v1", "web-v1 to serve again")
        assert await pair.weights() == [100, 0]
        assert await pair.own_pods("web-v2") == new
    assert failed(load) == ""
    versions = [answer.version for answer in load.answers]
    assert list(dict.fromkeys(versions)) == ["red", "green", "grey"]
    assert "blue" not in versions, "what was idle is never sent anything before it is released"
    assert [past["outcome"] for past in status["history"]] == ["Promoted", "Promoted"]
    await pair.assert_left_alone(web_v1="grey", web_v2="green")
    await pair.assert_let_go()


async def test_a_bad_release_is_taken_back_and_its_pods_are_left_where_they_are(
    namespace: Namespace, controller: Controller
) -> None:
    pair = await Pair.start(namespace, controller)
    async with pair.load() as load:
        await pair.release_on("web-v2", "green", {"ERROR_RATE": "0.3"})
        status = await pair.phase("Reverted")
        assert await pair.weights() == [100, 0]
        await pair.serving("red")
    assert {answer.version for answer in load.failures()} == {"green"}
    assert load.answers[-1].version == "red"
    assert "error rate" in status["reason"]
    assert "Change the template of web-v2" in status["message"]
    canary = status["canary"]
    pods = await namespace.pods(app="web", version="v2")
    assert {pod["metadata"]["labels"][HASH_LABEL] for pod in pods} == {canary}
    await pair.assert_left_alone(web_v1="red", web_v2="green")
    await pair.release_on("web-v2", "blue")
    assert (await pair.phase("Healthy"))["stable"] == "web-v1"


async def test_who_moves_users_by_hand_after_a_revert_is_told_of_and_at_last_believed(
    namespace: Namespace, controller: Controller
) -> None:
    pair = await Pair.start(namespace, controller, [HOLD, {"weight": 100}])
    await pair.release_on("web-v2", "green")
    await pair.at(25)
    await pair.command("abort", "enough")
    await pair.phase("Reverted")
    await pair.weigh(40, manager="somebody")
    told = await pair.event("SplitAtRest", "web-v2 is sent 40 % of the requests although no release runs")
    status = await pair.until(
        lambda s: told.partition(": ")[2] in s["message"], "a message that says the same"
    )
    assert (status["phase"], await pair.weights()) == ("Reverted", [60, 40])
    await pair.weigh(100, manager="somebody")
    await pair.event("ServingSideChanged", "moved everybody from web-v1 to web-v2")
    assert (await pair.phase("Healthy"))["stable"] == "web-v2"
    await pair.serving("green")
    await pair.assert_left_alone(web_v1="red", web_v2="green")


async def test_a_template_of_the_serving_side_is_told_of_and_an_abort_is_one_write(
    namespace: Namespace, controller: Controller
) -> None:
    pair = await Pair.start(namespace, controller, [HOLD, {"weight": 100}])
    async with pair.load() as load:
        await pair.release_on("web-v2", "green")
        await pair.at(25)
        await answered(load, "green")
        await pair.release_on("web-v1", "crimson")
        await pair.event("UngatedChange", "web-v1 was changed while it serves", "with web-v2")
        await pair.at(25)
        await pair.command("abort", "enough")
        await pair.phase("Reverted")
        await pair.serving("crimson")
    assert failed(load) == ""
    assert load.versions()["green"] > 0
    await pair.assert_left_alone(web_v1="crimson", web_v2="green")


async def test_a_release_waits_for_the_idle_side_to_be_scaled_up_by_its_owner(
    namespace: Namespace, controller: Controller
) -> None:
    pair = await Pair.start(namespace, controller)
    await pair.kubectl("scale", "deployment/web-v2", "--replicas=0")
    await pair.release_on("web-v2", "green")
    await pair.until(lambda s: "scale web-v2 to" in s.get("message", ""), "the words that ask for pods")
    assert await pair.weights() == [100, 0]
    await pair.kubectl("scale", "deployment/web-v2", "--replicas=2")
    async with pair.load() as load:
        await answered(load, "green")
        await pair.until(lambda s: s.get("stable") == "web-v2", "web-v2 to serve")
    assert failed(load) == ""

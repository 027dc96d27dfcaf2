"""A controller that is killed between two of its writes, and one that is told to stop."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from e2e.localcluster.kube import KubeError
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@contextlib.asynccontextmanager
async def frozen_virtual_services(namespace: Namespace) -> AsyncIterator[None]:
    """Nobody may change a VirtualService of this namespace: a policy refuses it, from the first line of the
    block until its end."""
    kube, name = namespace.kube, f"freeze-{namespace.name}"
    rule = {
        "apiGroups": ["networking.istio.io"],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["virtualservices"],
    }
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "frozen by a test"}],
        },
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": here},
    }
    await kube.create(POLICIES, policy)
    await kube.create(BINDINGS, binding)
    try:
        await wait_for(lambda: _refused(namespace), "the policy to be in force")
        yield
    finally:
        await kube.delete(f"{BINDINGS}/{name}")
        await kube.delete(f"{POLICIES}/{name}")

    async def allowed() -> bool:
        return not await _refused(namespace)

    await wait_for(allowed, "the policy to be out of force")


async def _refused(namespace: Namespace) -> bool:
    path = namespace.path("virtualservices", "web", "networking.istio.io/v1")
    try:
        await namespace.kube.patch(path, {"metadata": {"annotations": {"try": "it"}}}, dryRun="All")
    except KubeError as error:
        return "frozen by a test" in error.message
    return False


async def test_a_kill_between_status_and_virtual_service_changes_nothing_of_the_end(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 50}, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        async with frozen_virtual_services(namespace):
            await world.command("promote")
            await world.until(lambda s: s["stage"]["index"] == 1, "the second step to be in the status")
            await controller.kill()
            assert await world.weights() == [75, 25], "the status was to be written first"
        await controller.restart()
        await world.at(50)
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    await world.event("Promoted")
    assert len(await world.events("Promoted")) == 1


async def test_a_kill_between_the_status_of_a_revert_and_its_virtual_service_still_goes_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        async with frozen_virtual_services(namespace):
            await world.command("abort", "seen something")
            await world.phase("Reverting")
            await controller.kill()
            assert await world.weights() == [75, 25]
        await controller.restart()
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert failed(load) == ""
    assert "seen something" in status["reason"]


async def test_a_write_that_is_refused_for_a_while_is_made_once_it_may_be(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    canary = (await world.at(25))["canary"]
    async with frozen_virtual_services(namespace):
        await world.command("abort")
        await world.phase("Reverting")
        assert await world.weights() == [75, 25]
    await world.phase("Reverted", within=20)
    await world.assert_reverted(canary)


@pytest.mark.parametrize("weight", [25, 100])
async def test_a_kill_in_the_middle_of_a_step_changes_nothing_of_the_end(
    namespace: Namespace, controller: Controller, weight: int
) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 25}, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(weight)
        await controller.kill()
        await controller.restart()
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""


@pytest.mark.alone
async def test_sigterm_in_the_middle_of_a_release_ends_in_time_and_the_next_one_goes_on(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        before = await world.at(25)
        status, seconds = await controller.stop()
        assert (status, seconds < 5) == (0, True)
        assert await world.weights() == [75, 25]
        await controller.restart()
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert (await world.status())["stable"] == before["canary"]

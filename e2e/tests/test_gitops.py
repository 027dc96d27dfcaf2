"""Tools that apply what is in git in the middle of a release: known by name, told what to ignore."""

import pytest

from e2e.localcluster.kube import KubeError, Object
from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import HOLD, World, failed

pytestmark = pytest.mark.real

EVENT = 1024
"""Bytes of an Event's note that the API server takes."""


def as_in_git(world: World, kind: str) -> Object:
    manifest = world.manifests()[kind]
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": world.namespace.name}}


async def test_argo_cd_that_resets_the_weights_is_named_and_told_what_to_ignore(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await namespace.kube.apply(as_in_git(world, "VirtualService"), "argocd-controller")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert failed(load) == ""
    assert status["reason"].startswith(
        'Argo CD (field manager "argocd-controller") lowered the canary\'s share from 25 % to 0 %'
        f" (Apply of VirtualService {namespace.name}/web at 20"
    )
    told = await world.event("Reverting", "counts as an abort")
    for words in (status["message"], told):
        assert "jqPathExpressions: ['.spec.http[]?.route[]?.weight']" in words
        assert "RespectIgnoreDifferences=true" in words
        assert "docs/traffic.md" in words
    assert len(told.encode()) < EVENT


async def test_flux_that_resets_the_pins_is_named_and_they_are_put_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.at(25)
        pins = await world.pins()
        await namespace.kube.apply(as_in_git(world, "DestinationRule"), "kustomize-controller")
        told = await world.event("Corrected", 'Flux (field manager "kustomize-controller")')

        async def put_back() -> bool:
            return await world.pins() == pins

        await wait_for(put_back, "the subsets to be put back")
        status = await world.until(lambda s: "put back" in s["message"], "the correction to be told")
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert "relabelled the subsets, to stable: every pod, canary: every pod" in told
    assert "put back, 1 of 3 times in a release" in told
    assert "spec.ignore: [{paths: [/spec/subsets], target: {kind: DestinationRule, name: web}}]" in told
    assert "put back, 1 of 3 times in a release" in status["message"]


async def test_a_server_side_apply_of_git_is_refused_in_a_release_and_changes_nothing_at_rest(
    namespace: Namespace, controller: Controller
) -> None:
    """What the advice for kubectl apply promises."""
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    git = as_in_git(world, "VirtualService")
    await world.release("v2")
    await world.at(25)
    with pytest.raises(KubeError) as refused:
        await namespace.kube.apply(git, "e2e", force=False)
    assert refused.value.status == 409
    assert "rollout-controller" in str(refused.value)
    assert await world.weights() == [75, 25]
    await world.command("promote", "full")
    await world.phase("Healthy")
    await namespace.kube.apply(git, "e2e", force=False)
    await world.assert_at_rest("v2")


async def test_kubectl_apply_from_the_client_is_known_and_told_of_the_better_way(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    git = as_in_git(world, "VirtualService")
    await world.patch("virtualservices", {"spec": git["spec"]}, manager="kubectl-client-side-apply")
    status = await world.phase("Reverted")
    assert status["reason"].startswith("kubectl apply (field manager")
    assert "kubectl apply --server-side" in status["message"]

"""Commands, given as people give them: by annotation, each carried out once and then gone."""

import asyncio
from time import monotonic

import pytest

from e2e.tests.controller import Controller
from e2e.tests.support import Namespace, wait_for
from e2e.tests.world import GROUP, HOLD, World, analysis, failed

pytestmark = pytest.mark.real

HOLD_50 = {**HOLD, "weight": 50}
THREE = (HOLD, HOLD_50, {"weight": 100})


async def given(world: World) -> dict[str, str]:
    """The annotations of ours on the Rollout: commands and the claim of one."""
    annotations = (await world.get("rollouts"))["metadata"].get("annotations") or {}
    return {name.removeprefix(f"{GROUP}/"): value for name, value in annotations.items() if GROUP in name}


async def taken(world: World, **left: str) -> None:
    """Wait until the commands are carried out and taken away, all but those that are `left`."""

    async def away() -> bool:
        return await given(world) == left

    await wait_for(away, f"no command but {left} to be on the Rollout")


async def refused(world: World, verb: str, value: str, *words: str) -> None:
    """Give a command that makes no sense now: it must go, and a Warning say why."""
    await world.command(verb, value)
    await taken(world)
    await world.event("CommandRefused", f"{verb} is dropped", *words)


async def stays(world: World, step: str, seconds: float = 2.0) -> None:
    """Look for several times as long as a step without a hold takes here."""
    until = monotonic() + seconds
    while monotonic() < until:
        assert (await world.status())["step"] == step, "it was carried out more than once"
        await asyncio.sleep(0.1)


async def test_promote_leaves_the_present_step_and_only_that(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE)
    await world.release("v2")
    await world.at(25)
    await world.command("promote")
    status = await world.at(50)
    await taken(world)
    assert status["step"] == "2/3"
    await world.event("Approved")
    assert len(await world.events("Approved")) == 1
    await stays(world, "2/3")


async def test_promote_full_goes_to_the_end_without_metrics_or_bake(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE, bake="10m")
    await world.release("v2")
    await world.at(25)
    await world.command("promote", "full")
    await world.phase("Healthy")
    await taken(world)
    await world.assert_at_rest("v2")
    steps = [event.split(" ")[2] for event in await world.events("StepStarted")]
    assert steps == ["1/3:", "3/3:"]


async def test_a_promote_for_a_step_to_come_waits_for_it_and_counts_then(
    namespace: Namespace, controller: Controller
) -> None:
    first = {"weight": 25, "minDuration": "2s"}
    world = await World.begin(namespace, controller, steps=[first, HOLD_50, {"weight": 100}])
    await world.release("v2")
    canary = (await world.at(25))["canary"]  # and no further, as long as there are no requests
    await world.command("promote", f"{canary}/2")
    await world.command("pause", "to see it wait")
    await world.phase("Paused")
    await taken(world, promote=f"{canary}/2")
    async with world.load():
        await world.command("resume")
        await world.phase("Healthy")
    await taken(world)
    (approved,) = await world.events("Approved")
    steps = [event for event in await world.events() if event.startswith(("StepStarted", "Approved"))]
    assert steps.index(approved) == 2, "it counted at the second step"


async def test_a_promote_for_a_step_that_passed_is_dropped_with_a_warning(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE)
    await world.release("v2")
    status = await world.at(25)
    await world.command("promote")
    await world.at(50)
    await taken(world)
    await refused(world, "promote", f"{status['canary']}/1", "is not the present step")
    await refused(world, "promote", str(status["stable"]), "promote is dropped")
    assert (await world.status())["weight"] == 50


async def test_pause_holds_and_resume_goes_on(namespace: Namespace, controller: Controller) -> None:
    world = await World.begin(namespace, controller, steps=[{"weight": 25}, {"weight": 100}])
    async with world.load() as load:
        await world.release("v2")
        await world.phase("Progressing")
        await world.command("pause", "lunch")
        status = await world.phase("Paused")
        assert (status["pausedBy"], status["reason"]) == ("Command", "lunch")
        weight = status["weight"]
        await taken(world)
        await world.command("resume")
        await world.phase("Progressing")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    assert weight in (0, 25)
    assert len(await world.events("Paused")) == len(await world.events("Resumed")) == 1


async def test_abort_keeps_its_reason_and_retry_starts_the_same_version_again(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE)
    async with world.load() as load:
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.command("abort", "a customer called")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
        assert "a customer called" in status["reason"]
        await refused(world, "resume", "true", "while the Rollout is Reverted")
        await world.command("retry")
        status = await world.at(25)
        await taken(world)
        assert status["canary"] == canary
        await world.command("promote", "full")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert failed(load) == ""
    outcomes = [past["outcome"] for past in (await world.status())["history"]]
    assert outcomes == ["Promoted", "Reverted"]


async def test_commands_that_make_no_sense_at_rest_go_with_a_warning_each(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller)
    before = await world.status()
    for verb in ("abort", "pause", "resume", "retry"):
        await refused(world, verb, "true", "while the Rollout is Healthy")
    await refused(world, "promote", "full", "while the Rollout is Healthy")
    await refused(world, "promote", "yes", "yes is none of true, full and <canary>/<step>")
    await world.command("promot")
    await world.event("UnknownCommand", f"Did you mean {GROUP}/promote?")
    after = await world.status()
    assert (after["phase"], after["stable"], after.get("history")) == ("Healthy", before["stable"], None)
    await world.assert_at_rest("v1")


async def test_of_several_commands_the_safest_counts_and_the_others_are_told_of(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE)
    await world.release("v2")
    await world.at(25)
    await world.kubectl(
        "annotate", "rlt", "web", f"{GROUP}/promote=full", f"{GROUP}/resume=true", f"{GROUP}/abort=stop"
    )
    status = await world.phase("Reverted")
    await taken(world)
    assert "stop" in status["reason"]
    await world.event("CommandRefused", "promote", "resume", "abort came with it")


async def test_a_command_given_while_the_controller_is_down_is_carried_out_once_it_is_back(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=THREE)
    await world.release("v2")
    await world.at(25)
    await controller.kill()
    await world.command("promote")
    await controller.restart()
    await world.at(50)
    await taken(world)
    await controller.kill()
    await controller.restart()
    await stays(world, "2/3")


async def test_a_step_with_approval_passes_its_gate_and_waits_for_a_promote(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(
        namespace, controller, steps=[{"weight": 25, "approval": True}, {"weight": 100}]
    )
    async with world.load():
        await world.release("v2")
        status = await world.phase("Paused")
        assert (status["pausedBy"], status["weight"]) == ("Approval", 25)
        assert f"promote={status['canary']}/1" in status["message"]
        await refused(world, "resume", "true", "annotate rollout-controller.dev/promote=")
        await world.command("promote", f"{status['canary']}/1")
        await world.phase("Healthy")
        await world.assert_at_rest("v2")


async def test_spec_paused_holds_until_it_is_taken_back(namespace: Namespace, controller: Controller) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    await world.release("v2")
    await world.at(25)
    await world.patch("rollouts", {"spec": {"paused": True}})
    status = await world.phase("Paused")
    assert (status["pausedBy"], status["weight"]) == ("Spec", 25)
    await refused(world, "resume", "true", "spec.paused holds it")
    await world.patch("rollouts", {"spec": {"paused": False}})
    await world.at(25)


async def test_a_paused_canary_that_turns_bad_is_taken_back_all_the_same(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller, steps=[HOLD, {"weight": 100}])
    async with world.load():
        await world.release("v2")
        canary = (await world.at(25))["canary"]
        await world.command("pause", "have a look")
        await world.phase("Paused")
        await world.pod_post(canary, "/-/set?error_rate=0.5")
        status = await world.phase("Reverted")
        await world.assert_reverted(canary)
    assert "error rate" in status["reason"]


async def test_without_requests_a_step_is_held_and_goes_on_with_the_first_evidence(
    namespace: Namespace, controller: Controller
) -> None:
    inconclusive = {"after": "2s", "then": "Pause"}
    world = await World.begin(
        namespace,
        controller,
        steps=[{"weight": 25}, {"weight": 100}],
        analysis=analysis(inconclusive=inconclusive),
    )
    await world.release("v2")
    status = await world.phase("Paused")
    assert (status["pausedBy"], status["weight"]) == ("Inconclusive", 25)
    async with world.load():
        await world.phase("Healthy")
        await world.assert_at_rest("v2")

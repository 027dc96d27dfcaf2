"""Back to the version before, in the simulated world: what is written, when, and what people read."""

from datetime import timedelta
from typing import Any

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind
from tests.support import environment, mesh, scene
from tests.support.play import Run
from tests.support.releases import assert_at_rest, releasing, stable_version, weights
from tests.support.simulation import Call
from tests.support.world import ref_of

STEPS: tuple[Json, ...] = tuple({"weight": weight} for weight in (5, 10, 25, 50, 100))


def promoted(**spec: Any) -> Run:
    """Version 2 was promoted in five steps after version 1 was adopted."""
    return releasing(steps=STEPS, **spec).to_rest()


def ask(run: Run, image: str) -> Run:
    scene.set_image(run.world, image)
    environment.settle(run.world)
    return run


def until_all(run: Run) -> timedelta:
    """How long it takes until the canary has everybody."""
    asked = run.world.now
    run.until(lambda now: {weight["canary"] for weight in weights(now.world)} == {100})
    return run.world.now - asked


def shifts(run: Run) -> list[int]:
    """The canary's weights in the order in which one VirtualService was written, until all is at rest."""
    calls: list[Call] = []
    seen = []
    while run.advance(made=lambda attempt: calls.extend(attempt.writes)):
        for call in calls:
            if call.target == scene.MESH:
                seen.append(mesh.route_weights(run.world.need(scene.MESH))["canary"])
        calls.clear()
    return seen


def test_everybody_is_back_in_one_write_long_before_five_steps_would_be_over() -> None:
    run, slow = ask(promoted(), scene.V1), ask(promoted(rollbackWindow=0), scene.V1)
    fast, stepwise = until_all(run.fork()), until_all(slow)
    assert shifts(run) == [100, 0]
    assert fast < stepwise / 3
    assert (run.facts.phase, stable_version(run)) == (Phase.HEALTHY, scene.V1)
    assert_at_rest(run, scene.V1)


def test_a_blue_green_way_back_holds_no_preview() -> None:
    header = {"headers": {"x-preview": {"exact": "true"}}}
    blue_green = {"blueGreen": {"preview": [header], "minDuration": "1h"}}
    run = releasing(strategy=blue_green).until(lambda now: now.facts.stage == 0)
    scene.annotate(run.world, promote="true")
    run.to_rest()
    assert stable_version(run) == scene.V2
    assert until_all(ask(run, scene.V1)) < timedelta(minutes=1)
    assert_at_rest(run.to_rest(), scene.V1)


def test_the_event_names_the_version_that_it_goes_back_to() -> None:
    run = promoted()
    (before,) = run.facts.previous
    ask(run, scene.V1).to_rest()
    started = [message for _, reason, message in run.told.notices if reason == "Started"]
    assert f"back to {before}, which was stable before: straight to 100 %" in started[-1]
    assert "back to" not in started[0]


def test_a_version_of_before_is_gone_back_to_at_once_also_out_of_the_middle_of_a_release() -> None:
    run = promoted()
    (before,) = run.facts.previous
    ask(run, scene.V3).until(lambda now: now.facts.stage == 1)
    ask(run, scene.V1)
    assert shifts(run) == [0, 100, 0]
    started = [message for _, reason, message in run.told.notices if reason == "Started"]
    assert f"back to {before}, which was stable before: straight to 100 %" in started[-1]
    assert_at_rest(run, scene.V1)


def test_without_a_window_each_way_has_its_steps() -> None:
    run = ask(promoted(rollbackWindow=0), scene.V1)
    assert shifts(run) == [5, 10, 25, 50, 100, 0]


def test_a_window_set_while_a_release_runs_counts_from_the_next() -> None:
    run = ask(promoted(rollbackWindow=0), scene.V1).until(lambda now: now.facts.stage == 0)
    scene.edit_spec(run.world, rollbackWindow=3)
    assert shifts(run)[-3:] == [50, 100, 0]
    assert shifts(ask(run, scene.V2)) == [100, 0]


def test_a_version_whose_replica_set_is_gone_is_new_again() -> None:
    run = promoted()
    for replica_set in run.world.every(Kind.REPLICA_SET):
        if not replica_set["spec"]["replicas"]:
            run.world.delete(ref_of(Kind.REPLICA_SET, replica_set), "deployment-controller")
    assert shifts(ask(run, scene.V1)) == [5, 10, 25, 50, 100, 0]


def test_a_version_that_was_only_tried_before_has_its_steps() -> None:
    run = releasing(steps=STEPS).until(lambda now: now.facts.stage == 1)
    scene.annotate(run.world, abort="not yet")
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    ask(run, scene.V3).to_rest()
    assert stable_version(run) == scene.V3
    assert shifts(ask(run, scene.V2))[:2] == [5, 10]

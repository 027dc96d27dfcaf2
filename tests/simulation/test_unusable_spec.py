"""A stored spec that today's rules refuse: what is still understood is enough for every way back."""

from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.core.release import Phase
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Evidence

WRONG: dict[str, Any] = {"minDuration": "nonsense"}
"""Neither workload nor traffic: where the release takes place is still known."""


def _at_50(**spec: Any) -> Run:
    run = releases.releasing(Evidence(silent_at=frozenset({0})), **spec)
    return run.until(lambda now: now.facts.reached == 50)


def spoil(run: Run, **fields: Any) -> None:
    """What an older CRD let through."""
    scene.edit_spec(run.world, **fields)
    run.wait(timedelta(seconds=30))


def message(run: Run) -> str:
    return str(run.world.need(ROLLOUT)["status"]["message"])


def told(run: Run, reason: str) -> list[str]:
    return [words for _, about, words in run.told.notices if about == reason]


@pytest.mark.parametrize(
    "wrong",
    [WRONG, {"strategy": {"canary": {"minPods": 1, "steps": []}}}, {"analysis": {}}, {"typo": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_abort_goes_back_although_the_spec_cannot_be_used(wrong: dict[str, Any]) -> None:
    run = _at_50()
    spoil(run, **wrong)
    assert run.facts.phase is Phase.PAUSED
    assert f"spec.{next(iter(wrong))}" in message(run)
    scene.annotate(run.world, abort="bad")
    run.to_rest()
    assert (run.facts.phase, run.facts.reason) == (Phase.REVERTED, "aborted by command: bad")
    releases.assert_mesh_is_as_in_git(run.world)
    assert releases.serving(run.world) == {scene.V1: 3}


def test_what_was_aborted_is_not_begun_again_once_the_spec_is_mended() -> None:
    run = _at_50()
    spoil(run, **WRONG)
    scene.annotate(run.world, abort="bad")
    run.to_rest()
    scene.edit_spec(run.world, minDuration="5s")
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED


def test_a_retry_with_such_a_spec_is_refused() -> None:
    run = _at_50()
    scene.annotate(run.world, abort="bad")
    run.to_rest()
    spoil(run, **WRONG)
    scene.annotate(run.world, retry="true")
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    assert "no usable spec" in told(run, "CommandRefused")[0]


def test_the_old_template_put_back_ends_the_release() -> None:
    run = _at_50()
    spoil(run, **WRONG)
    scene.set_image(run.world, scene.V1)
    run.to_rest()
    assert "spec.minDuration" in message(run)
    releases.assert_mesh_is_as_in_git(run.world)
    scene.edit_spec(run.world, minDuration="5s")
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    releases.assert_at_rest(run, scene.V1)


def test_lost_pods_take_the_canary_back() -> None:
    run = _at_50()
    spoil(run, **WRONG)
    scene.break_pods(run.world, scene.V2)
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    releases.assert_mesh_is_as_in_git(run.world)


def test_the_canarys_pods_keep_the_usual_drain() -> None:
    run = _at_50()
    spoil(run, **WRONG)
    scene.annotate(run.world, abort="bad")
    run.until(lambda now: now.facts.phase is Phase.REVERTING)
    home = run.world.now
    run.until(lambda now: scene.V2 not in releases.serving(now.world))
    assert run.world.now - home >= timedelta(seconds=30)


def test_a_deletion_goes_through() -> None:
    run = _at_50()
    spoil(run, **WRONG)
    scene.delete(run.world)
    run.to_rest()
    assert run.world.get(ROLLOUT) is None
    releases.assert_mesh_is_as_in_git(run.world)
    assert releases.serving(run.world) == {scene.V1: 3}


def test_a_release_that_is_handed_over_is_finished() -> None:
    run = releases.releasing().until(lambda now: now.facts.phase is Phase.PROMOTING)
    spoil(run, **WRONG)
    run.to_rest()
    assert releases.stable_version(run) == scene.V2
    releases.assert_mesh_is_as_in_git(run.world)


@pytest.mark.parametrize("wrong", [{"traffic": {"istio": {}}}, {"workload": {}}, {"workload": None}], ids=str)
def test_nobody_is_promised_a_way_back_that_is_not_known(wrong: dict[str, Any]) -> None:
    run = _at_50()
    before = run.world.need(ROLLOUT)["spec"]
    spoil(run, **wrong)
    scene.annotate(run.world, abort="bad")
    run.wait(timedelta(minutes=1))
    assert releases.weights(run.world)[0] == {"stable": 50, "canary": 50}
    (words,) = told(run, "Reverting")
    assert words.startswith("users still reach the canary")
    assert f"spec.{next(iter(wrong))}" in words
    assert message(run).startswith("Rollout shop/web spec.")
    scene.edit_spec(run.world, **before)
    run.to_rest()
    assert (run.facts.phase, run.facts.reason) == (Phase.REVERTED, "aborted by command: bad")


def test_a_new_version_is_not_released_before_the_spec_is_mended() -> None:
    run = releases.at_rest()
    spoil(run, **WRONG)
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert run.facts.phase is Phase.INVALID
    assert releases.serving(run.world) == {scene.V1: 3}
    scene.edit_spec(run.world, minDuration="5s")
    run.to_rest()
    releases.assert_at_rest(run, scene.V2)


def test_of_several_wrong_specs_in_a_row_each_is_told_once() -> None:
    run = releases.at_rest()
    for number in range(1, 4):
        spoil(run, minDuration=f"nonsense {number}")
        spoil(run)
        assert run.facts.phase is Phase.INVALID
        assert f"nonsense {number}" in run.facts.reason
    reasons = told(run, "Invalid")
    assert [f"nonsense {number}" in words for number, words in enumerate(reasons, start=1)] == [True] * 3
    run.memory = type(run.memory)()  # a restart
    run.wait(timedelta(seconds=30))
    assert told(run, "Invalid") == reasons

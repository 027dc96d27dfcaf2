"""Commands in the life of a Rollout: what makes no sense is dropped, what comes early waits and is told."""

from __future__ import annotations

import pytest

from rollout_controller.api import names
from rollout_controller.core.release import Phase
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT


def given(run: Run) -> dict[str, str]:
    """The annotations of the Rollout."""
    found: dict[str, str] = run.world.need(ROLLOUT)["metadata"].get("annotations") or {}
    return found


def message(run: Run) -> str:
    return str(run.world.need(ROLLOUT)["status"]["message"])


def told(run: Run, reason: str) -> list[str]:
    return [text for _, why, text in run.told.notices if why == reason]


@pytest.mark.parametrize("value", ["yes", "foo/2", "wrong/1"])
def test_a_promote_that_never_makes_sense_is_dropped_and_told_of(value: str) -> None:
    run = releases.at_rest()
    scene.annotate(run.world, promote=value)
    run.to_rest()
    assert given(run) == {}
    words = f"promote is dropped: {value} is none of true, full and <canary>/<step>"
    assert told(run, "CommandRefused") == [words]


def test_a_version_that_is_promoted_before_it_is_there_is_told_to_wait() -> None:
    run = releases.at_rest()
    scene.annotate(run.world, promote="6f7b9d4c58")
    run.to_rest()
    assert given(run) == {names.PROMOTE: "6f7b9d4c58"}
    assert message(run).endswith("(promote=6f7b9d4c58 waits until 6f7b9d4c58 is released)")
    assert told(run, "CommandRefused") == []
    scene.annotate(run.world, promote="yes")
    run.to_rest()
    assert "waits" not in message(run)


def test_an_annotation_that_is_nearly_a_command_is_told_of_once_and_left() -> None:
    run = releases.at_rest()
    scene.annotate(run.world, promot="true")
    run.to_rest()
    assert given(run) == {f"{names.GROUP}/promot": "true"}
    (words,) = told(run, "UnknownCommand")
    assert words.endswith("Did you mean rollout-controller.dev/promote? Else remove it.")
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    assert len(told(run, "UnknownCommand")) == 1

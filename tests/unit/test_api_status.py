"""The status holds every fact of a release without loss, and survives what other versions wrote."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from rollout_controller.api import RolloutStatus
from rollout_controller.api.status import PlannedStage, Release, StageStatus, VerdictStatus

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)


def written(status: RolloutStatus) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def test_an_empty_status_is_a_status() -> None:
    assert written(RolloutStatus.model_validate({})) == {}


def test_every_fact_of_a_release_is_read_back_as_it_was_written() -> None:
    status = RolloutStatus(
        observed_generation=4,
        phase="Progressing",
        stable="6444769cf",
        canary="7d9f8c5b6",
        stage=StageStatus(
            index=2,
            name="step 3",
            since=MOMENT,
            reached=25,
            granted=3,
            approved="step",
            waiting_since=MOMENT + timedelta(microseconds=1),
            started=MOMENT - timedelta(hours=1),
            corrections=1,
        ),
        plan=(
            PlannedStage(
                name="step 1",
                weight=5,
                scale=10,
                min_pods=2,
                min_duration=timedelta(seconds=90, microseconds=7),
                gate=True,
                approval=False,
            ),
        ),
        verdict=VerdictStatus(result="fail", since=MOMENT, failures=1, sentence="error rate 5 %"),
        reason="the canary failed",
        paused_by="Approval",
        command="promote=true@123",
        history=(
            Release(
                revision="6444769cf",
                outcome="Promoted",
                reason="all steps passed",
                duration=timedelta(minutes=12, microseconds=123456),
                ended=MOMENT,
            ),
        ),
        previous=("5b8f6c7d4", "86d7c5f9b"),
    )
    assert RolloutStatus.model_validate(written(status)) == status


def test_times_are_written_in_utc_with_their_microseconds() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=2)))
    status = RolloutStatus(stage=StageStatus(since=local))
    assert written(status) == {"stage": {"since": "2026-03-04T05:06:07.891234Z"}}


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        StageStatus(since=MOMENT.replace(tzinfo=None))


def test_a_whole_second_is_written_without_a_fraction() -> None:
    status = RolloutStatus(stage=StageStatus(since=MOMENT.replace(microsecond=0)))
    assert written(status) == {"stage": {"since": "2026-03-04T05:06:07Z"}}


def test_fields_of_another_version_are_passed_over() -> None:
    status = RolloutStatus.model_validate({"phase": "Healthy", "mood": "good", "stage": {"colour": "green"}})
    assert written(status) == {"phase": "Healthy", "stage": {}}


def test_empty_lists_are_not_written() -> None:
    assert written(RolloutStatus(phase="Healthy", plan=(), findings=(), history=())) == {"phase": "Healthy"}


def test_a_clock_that_was_set_back_does_not_refuse_a_status() -> None:
    status = RolloutStatus(history=(Release(revision="6444769cf", duration=timedelta(seconds=-3)),))
    assert written(status) == {"history": [{"revision": "6444769cf", "duration": "0s"}]}

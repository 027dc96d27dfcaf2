"""How many pods a share needs, what share pods can carry, and how a stage is called."""

from __future__ import annotations

import pytest

from rollout_controller.core.release import Stage
from rollout_controller.core.stages import affordable, called, carried, need, place, sent
from tests.builders import stage


@pytest.mark.parametrize(
    ("percent", "replicas", "pods"),
    [(0, 10, 0), (1, 10, 1), (10, 10, 1), (11, 10, 2), (25, 10, 3), (100, 10, 10), (50, 0, 0), (5, 1, 1)],
)
def test_a_share_needs_its_part_of_the_replicas_rounded_up(percent: int, replicas: int, pods: int) -> None:
    assert carried(percent, replicas) == pods


@pytest.mark.parametrize(
    ("changes", "replicas", "pods"),
    [
        ({}, 10, 3),
        ({}, 3, 2),  # min_pods
        ({"min_pods": 5}, 10, 5),
        ({"min_pods": 5}, 4, 4),  # never more than the Deployment has
        ({"scale": 60}, 10, 6),
        ({"scale": 1, "min_pods": 1}, 10, 3),  # scale gives more than the share, never less
        ({}, 1, 1),
        ({}, 0, 0),
    ],
)
def test_a_stage_needs_pods_for_share_scale_and_minimum(
    changes: dict[str, int], replicas: int, pods: int
) -> None:
    assert need(stage(25, **changes), replicas) == pods


@pytest.mark.parametrize(
    ("ready", "replicas", "percent"), [(0, 10, 0), (1, 10, 10), (2, 3, 66), (12, 10, 100), (0, 0, 100)]
)
def test_pods_carry_their_part_of_all_requests_rounded_down(ready: int, replicas: int, percent: int) -> None:
    assert affordable(ready, replicas) == percent


def test_what_pods_can_carry_never_needs_more_pods() -> None:
    for replicas in range(1, 60):
        for ready in range(replicas + 1):
            assert carried(affordable(ready, replicas), replicas) <= ready


AT_NOTHING = stage(0)
COPIES = stage(0, mirror=20)
PREVIEW = stage(0, name="preview")


@pytest.mark.parametrize(
    ("one", "pinned", "gets", "where", "name"),
    [
        (stage(25), False, "25 %", "at 25 %", "step at 25 %"),
        (stage(25), True, "25 %", "at 25 %", "step at 25 %"),
        (AT_NOTHING, False, "0 %", "at 0 %", "step at 0 %"),
        (
            AT_NOTHING,
            True,
            "pinned requests only",
            "with pinned requests only",
            "step with pinned requests only",
        ),
        (COPIES, False, "copies of 20 %", "at copies of 20 %", "step at copies of 20 %"),
        (
            COPIES,
            True,
            "pinned requests and copies of 20 %",
            "with pinned requests and copies of 20 %",
            "step with pinned requests and copies of 20 %",
        ),
        (PREVIEW, True, "pinned requests only", "with pinned requests only", "step preview"),
    ],
)
def test_a_stage_is_called_by_what_users_notice_of_it(
    one: Stage, pinned: bool, gets: str, where: str, name: str
) -> None:
    said = sent(one, pinned=pinned), place(one, pinned=pinned), called(one, pinned=pinned)
    assert said == (gets, where, name)

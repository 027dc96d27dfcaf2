"""How many pods a share needs, and what share pods can carry."""

from __future__ import annotations

import pytest

from rollout_controller.core.stages import affordable, carried, need
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

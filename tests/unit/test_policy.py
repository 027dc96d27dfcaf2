"""What strategies compile to: stages and header pins, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.api.parse import parse_spec
from rollout_controller.controller.policy import compile_policy
from rollout_controller.core.release import HeaderMatch, Policy
from tests.builders import seconds


def policy(strategy: dict[str, Any], **spec: Any) -> Policy:
    """The policy of a spec with this strategy."""
    rule = {"name": "web", "stableSubset": "stable", "canarySubset": "canary"}
    istio = {"virtualServices": [{"name": "web"}], "destinationRule": rule}
    checks = [{"errorRate": {"max": "1%"}}]
    return compile_policy(
        parse_spec(
            {
                "workload": {"deployment": "web"},
                "traffic": {"istio": istio},
                "strategy": strategy,
                "analysis": {"checks": checks},
                "minDuration": "60s",
                "bake": "300s",
                **spec,
            }
        )
    )


def steps(*given: dict[str, Any]) -> Policy:
    return policy({"canary": {"steps": list(given)}})


def blue_green(**given: Any) -> Policy:
    return policy({"blueGreen": given})


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (({"weight": 100},), [(100, 0)]),
        (({"weight": 0}, {"weight": 100}), [(0, 0), (100, 0)]),
        (({"mirror": 20}, {"weight": 100}), [(0, 20), (100, 0)]),
        (({"weight": 5}, {"mirror": 20}, {"weight": 100}), [(5, 0), (5, 20), (100, 0)]),
        (
            ({"mirror": 5}, {"mirror": 50}, {"weight": 10, "mirror": 50}, {"weight": 100}),
            [(0, 5), (0, 50), (10, 50), (100, 0)],
        ),
    ],
)
def test_a_step_without_weight_keeps_the_one_before_and_copies_last_for_their_step(
    given: tuple[dict[str, Any], ...], sent: list[tuple[int, int]]
) -> None:
    assert [(stage.weight, stage.mirror) for stage in steps(*given).stages] == sent


@pytest.mark.parametrize(
    ("step", "scale"),
    [
        ({"weight": 10}, 10),
        ({"weight": 0}, 0),
        ({"mirror": 20}, 20),
        ({"weight": 10, "mirror": 20}, 20),
        ({"weight": 30, "mirror": 20}, 30),
        ({"weight": 10, "mirror": 20, "scale": 60}, 60),
    ],
)
def test_a_step_has_pods_for_the_larger_of_weight_and_mirror_unless_it_says_so(
    step: dict[str, Any], scale: int
) -> None:
    assert steps(step, {"weight": 100}).stages[0].scale == scale


def test_a_step_that_keeps_the_weight_before_it_keeps_pods_for_it() -> None:
    assert steps({"weight": 40}, {"mirror": 20}, {"weight": 100}).stages[1].scale == 40


@pytest.mark.parametrize(("own", "held"), [(None, 300), ("10s", 300), ("600s", 600)])
def test_the_last_step_is_held_for_the_bake_or_longer(own: str | None, held: float) -> None:
    last = {"weight": 100} | ({"minDuration": own} if own else {})
    first, baked = steps({"weight": 50}, last).stages
    assert (first.min_duration, baked.min_duration) == (seconds(60), seconds(held))


def test_a_step_lasts_as_long_as_it_says_and_waits_for_a_person_if_it_says_so() -> None:
    first, second = steps({"weight": 50, "minDuration": "5s", "approval": True}, {"weight": 100}).stages
    assert (first.min_duration, first.approval) == (seconds(5), True)
    assert (second.approval, second.gate) == (False, True)


def test_steps_are_named_by_what_they_send() -> None:
    named = steps({"weight": 5}, {"mirror": 20}, {"weight": 100}).stages
    assert [stage.name for stage in named] == ["5%", "5%, mirror 20%", "100%"]
    assert [stage.words for stage in named] == ["5 %", "5 % and copies of 20 %", "100 %"]
    assert steps({"mirror": 20}, {"weight": 100}).stages[0].words == "copies of 20 %"


def test_blue_green_is_a_preview_without_share_and_then_everybody() -> None:
    preview, live = blue_green(mirror=10, minDuration="120s", approval=True).stages
    assert (preview.name, preview.weight, preview.mirror, preview.scale) == ("preview", 0, 10, 100)
    assert (preview.min_duration, preview.approval, preview.gate) == (seconds(120), True, True)
    assert (live.name, live.weight, live.mirror, live.scale) == ("live", 100, 0, 100)
    assert (live.min_duration, live.approval, live.gate) == (seconds(300), False, True)


def test_a_preview_lasts_as_every_step_and_is_whole_unless_it_says_so() -> None:
    preview, live = blue_green().stages
    assert (preview.min_duration, preview.approval, preview.mirror) == (seconds(60), False, 0)
    small, whole = blue_green(scale=30).stages
    assert (preview.scale, live.scale, small.scale, whole.scale) == (100, 100, 30, 100)


HEADERS = [
    {"headers": {"x-canary": {"exact": "true"}, "x-region": {"prefix": "eu-"}}},
    {"headers": {"cookie": {"regex": ".*beta.*"}}},
]
PINS = (
    (HeaderMatch("x-canary", "exact", "true"), HeaderMatch("x-region", "prefix", "eu-")),
    (HeaderMatch("cookie", "regex", ".*beta.*"),),
)


@pytest.mark.parametrize("strategy", [{"canary": {"pin": HEADERS}}, {"blueGreen": {"preview": HEADERS}}])
def test_header_pins_are_any_of_their_entries_and_all_of_their_headers(strategy: dict[str, Any]) -> None:
    assert policy(strategy).header_pins == PINS
    assert steps({"weight": 100}).header_pins == ()

"""What a release came to, and when that is not as it should be."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from e2e.demo.counts import Counts
from e2e.demo.record import (
    OTHER_WAYS,
    RELEASES,
    STEPS,
    Held,
    Pinned,
    Record,
    Release,
    Traffic,
    held,
    pinned,
    scenes,
    traffic,
    zeroed,
)
from e2e.demo.stage import FILES, document
from e2e.demo.story import FIRST
from e2e.load import Answer

GOOD, ERRORS, SLOW, BACK = RELEASES
CLEAN: dict[str, Sequence[str]] = {"VirtualService": [], "DestinationRule": [], "Deployment": []}
CALM = Traffic(requests=1000, failed=0, stray=0, slow=0, first_slow=None, last_sent=40.1)

PROMOTED = Record(
    release=GOOD,
    outcome="Promoted",
    reason="",
    seconds=90,
    steps=tuple(Held(weight, 12) for weight in STEPS),
    traffic=CALM,
    canary=Counts(500, 0),
    first_bad=None,
    zero=80,
    weight=0,
    differences=CLEAN,
)
REVERTED = replace(
    PROMOTED,
    release=ERRORS,
    outcome="Reverted",
    reason="error rate 5 % (limit 1 %); 2 failing readings",
    steps=(Held(5, 20),),
    canary=Counts(100, 5),
    first_bad=20,
    zero=40,
)


BROUGHT_BACK = replace(
    PROMOTED,
    release=BACK,
    steps=(Held(100, 12),),
    traffic=replace(CALM, last_other=17.5),
    began=10,
)


def answer(number: int, pod: str, *, status: int = 200, seconds: float = 0.02) -> Answer:
    sent = number / 100
    return Answer(number, sent, sent, sent + seconds, status, "v", pod, "")


def test_a_good_release_that_was_promoted_without_a_failure_is_as_it_should_be() -> None:
    assert PROMOTED.problems() == []


def test_a_bad_release_that_was_reverted_for_its_ailment_is_as_it_should_be() -> None:
    assert REVERTED.problems() == []
    assert replace(REVERTED, release=SLOW, reason="p99 920 ms (limit 500 ms)").problems() == []


def test_a_way_back_in_one_step_without_a_failure_is_as_it_should_be() -> None:
    assert BROUGHT_BACK.problems() == []


def test_everybody_is_back_with_the_last_request_to_another_version() -> None:
    assert BROUGHT_BACK.back_seconds == 7.5
    assert replace(PROMOTED, traffic=BROUGHT_BACK.traffic).back_seconds is None


def test_a_way_back_alone_comes_after_the_release_that_it_leads_back_from() -> None:
    assert scenes(["rollback"]) == (GOOD, BACK)
    assert scenes(["slow"]) == (SLOW,)
    assert scenes() == RELEASES


def test_scenes_are_played_in_the_storys_order_each_once() -> None:
    names = ["pins", "rollback", "slow", "good"]
    assert [one.scene for one in scenes(names)] == ["good", "slow", "rollback", "pins"]


def test_the_way_back_leads_to_the_version_that_the_demo_begins_with() -> None:
    template = document("deployment")["spec"]["template"]
    assert BACK.image == template["spec"]["containers"][0]["image"] == FIRST


def test_seconds_run_from_the_first_bad_request_to_weight_0_and_on_to_the_last_request() -> None:
    assert REVERTED.bad_seconds == 20
    assert REVERTED.last_after == pytest.approx(0.1)


def test_a_canary_without_a_request_after_weight_0_lost_it_at_once() -> None:
    assert replace(REVERTED, traffic=replace(CALM, last_sent=39.5)).last_after == 0


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (replace(PROMOTED, outcome="Reverted", reason="p99"), "expected Promoted, found Reverted: p99"),
        (replace(PROMOTED, outcome="", reason="step 1/5"), "expected Promoted, found no end: step 1/5"),
        (replace(REVERTED, outcome="Promoted"), "expected Reverted, found Promoted"),
        (replace(PROMOTED, traffic=replace(CALM, failed=1, stray=1)), "1 requests failed, expected 0"),
        (replace(PROMOTED, traffic=replace(CALM, requests=0)), "no request was answered"),
        (replace(PROMOTED, steps=PROMOTED.steps[1:]), "expected the weights (5, 10, 25, 50, 100)"),
        (replace(BROUGHT_BACK, steps=PROMOTED.steps), "expected the weights (100,)"),
        (replace(BROUGHT_BACK, steps=()), "expected the weights (100,), found ()"),
        (replace(BROUGHT_BACK, outcome="Reverted", reason="p99"), "expected Promoted, found Reverted: p99"),
        (replace(BROUGHT_BACK, traffic=CALM), "nobody was seen on another version"),
        (replace(PROMOTED, weight=100), "weight is 100 at the end, expected 0"),
        (replace(REVERTED, reason="aborted"), "expected error rate for its reason, found: aborted"),
        (replace(REVERTED, release=SLOW), "expected p99 for its reason"),
        (replace(REVERTED, first_bad=None), "its errors never showed"),
        (replace(REVERTED, zero=None), "its weight never went back to 0"),
        (replace(REVERTED, first_bad=41), "1.0 s before its errors showed"),
        (
            replace(REVERTED, traffic=replace(CALM, failed=3, stray=2)),
            "2 requests failed that the canary had not answered",
        ),
        (
            replace(PROMOTED, differences={**CLEAN, "Deployment": ["spec.paused: it is"]}),
            "Deployment is not what git says: spec.paused: it is",
        ),
    ],
)
def test_what_is_not_as_it_should_be_is_told(record: Record, problem: str) -> None:
    told = record.problems()
    assert any(problem in one and one.startswith(f"{record.release.image}: ") for one in told), told


def test_errors_of_the_canary_that_reached_clients_are_no_problem_of_a_bad_release() -> None:
    assert replace(REVERTED, traffic=replace(CALM, failed=3, stray=0)).problems() == []


def test_answers_are_told_apart_by_who_gave_them() -> None:
    answers = [
        answer(1, "web-aaa-1"),
        answer(2, "web-bbb-1", status=500),
        answer(3, "web-bbb-1", seconds=0.6),
        answer(4, "", status=503),
    ]
    found = traffic(answers, "bbb")
    assert (found.requests, found.failed, found.stray, found.slow) == (4, 2, 1, 1)
    assert found.first_slow == pytest.approx(0.63)
    assert found.last_sent == pytest.approx(0.03)
    assert found.last_other == pytest.approx(0.01)


def test_a_stables_slow_answer_is_not_the_canarys() -> None:
    assert traffic([answer(1, "web-aaa-1", seconds=2)], "bbb").slow == 0


def test_each_weight_is_held_until_the_next_is_written() -> None:
    weights = [(0.0, 0), (10.0, 5), (22.0, 10), (30.0, 0)]
    assert held(weights, since=1, until=99) == (Held(5, 12.0), Held(10, 8.0))


def test_weights_of_an_earlier_release_do_not_count() -> None:
    weights = [(10.0, 5), (22.0, 0), (40.0, 5), (45.0, 0)]
    assert held(weights, since=30, until=99) == (Held(5, 5.0),)
    assert zeroed(weights, since=30) == 45


def test_a_weight_that_is_still_there_was_held_until_now_and_never_zeroed() -> None:
    weights = [(0.0, 0), (10.0, 5)]
    assert held(weights, since=1, until=30) == (Held(5, 20.0),)
    assert zeroed(weights, since=1) is None


def test_the_demos_steps_are_those_of_its_rollout() -> None:
    steps = document("rollout")["spec"]["strategy"]["canary"]["steps"]
    assert tuple(step["weight"] for step in steps) == STEPS


PINS, MIRROR, BLUE_GREEN = OTHER_WAYS


def test_a_scene_of_another_way_is_played_alone_and_has_its_strategy_in_a_file() -> None:
    assert [[one.scene for one in scenes([way.scene])] for way in OTHER_WAYS] == [
        ["pins"],
        ["mirror"],
        ["bluegreen"],
    ]
    assert not set(OTHER_WAYS) & set(scenes())
    assert all((FILES / "strategies" / f"{way.strategy}.yaml").exists() for way in OTHER_WAYS)


@pytest.mark.parametrize(("release", "weights"), [(PINS, (25, 100)), (BLUE_GREEN, (100,))])
def test_another_way_has_weights_of_its_own(release: Release, weights: tuple[int, ...]) -> None:
    steps = tuple(Held(weight, 12) for weight in weights)
    assert replace(PROMOTED, release=release, steps=steps, pinned=Pinned(200, 0)).problems() == []
    assert replace(PROMOTED, release=release, pinned=Pinned(200, 0)).problems() != []


@pytest.mark.parametrize(
    ("pinned", "problem"),
    [
        (Pinned(200, 3), "3 requests with the pinned header went to another version"),
        (Pinned(0, 0), "the canary answered no request with the pinned header"),
    ],
)
def test_a_pin_that_does_not_hold_is_told(pinned: Pinned, problem: str) -> None:
    steps = (Held(25, 12), Held(100, 12))
    record = replace(PROMOTED, release=PINS, steps=steps, pinned=pinned)
    assert record.problems() == [f"{PINS.image}: {problem}"]


def test_a_canary_that_answers_before_it_has_a_weight_is_told() -> None:
    assert replace(PROMOTED, early=2).problems() == [
        f"{GOOD.image}: the canary answered 2 requests before it had a weight"
    ]


def test_a_version_that_is_judged_on_copies_is_reverted_without_a_weight_and_without_a_failure() -> None:
    copied = replace(REVERTED, release=MIRROR, steps=(), zero=None)
    assert copied.problems() == []
    harmed = replace(copied, traffic=replace(CALM, failed=1))
    assert any("users were to see nothing of it" in problem for problem in harmed.problems())


def test_pinned_requests_count_while_the_pin_was_in_force() -> None:
    answers = [
        answer(100, "web-old-1"),
        answer(200, "web-new-1"),
        answer(300, "web-old-1"),
        answer(400, "web-old-1"),
    ]
    assert pinned(answers, "new", 1.5, 3.5) == Pinned(2, 1)
    assert pinned(answers, "new", 1.5, None) == Pinned(3, 2)
    assert pinned(answers, "new", None, None) == Pinned(0, 0)

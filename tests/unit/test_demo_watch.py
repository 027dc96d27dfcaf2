"""Following one release: what is its canary, how far it is, and when it is over."""

from dataclasses import replace
from math import isnan
from typing import Any

import pytest

from e2e.demo.counts import Counts
from e2e.demo.observer import Sight
from e2e.demo.record import RELEASES
from e2e.demo.watch import Watch
from e2e.load import Answer, Load

GOOD, ERRORS, SLOW, BACK = RELEASES
OLD, NEW = "aaa", "bbb"


def status(phase: str, *history: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A Rollout's status; the history is (revision, outcome), the newest first."""
    over = [
        {
            "revision": revision,
            "outcome": outcome,
            "reason": "why",
            "ended": f"{revision}-{len(history) - at}",
        }
        for at, (revision, outcome) in enumerate(history)
    ]
    return {"status": {"phase": phase, "stable": OLD, "history": over, **more}}


def load() -> Load:
    return Load("http://127.0.0.1:1", 100)


def answer(at: float, pod: str, *, status: int = 200, seconds: float = 0.02) -> Answer:
    return Answer(1, at - seconds, at - seconds, at, status, "v", pod, "")


def watching(now: dict[str, Any], *, since: float = 0.0) -> Watch:
    """A watch whose clock stands at `since` until a test moves it: a machine's own may be seconds old."""
    return Watch(Sight(rollout=now), load(), clock=lambda: since)


def test_a_release_is_over_when_the_history_has_one_more_and_the_rollout_rests() -> None:
    watch = watching(status("Healthy"))
    assert not watch.ended
    watch.sight.rollout = status("Progressing", canary=NEW)
    assert not watch.ended
    watch.sight.rollout = status("Reverting", (NEW, "Reverted"), canary=NEW)
    assert not watch.ended
    watch.sight.rollout = status("Reverted", (NEW, "Reverted"), canary=NEW)
    assert watch.ended


def test_a_rollout_that_rests_since_an_earlier_release_is_not_the_end_of_this_one() -> None:
    watch = watching(status("Reverted", ("ccc", "Reverted"), canary="ccc"))
    watch.moment()
    assert not watch.ended
    assert watch.revision == ""


def test_the_canary_is_remembered_after_its_promotion() -> None:
    watch = watching(status("Healthy"))
    watch.sight.rollout = status("Progressing", canary=NEW)
    watch.moment()
    watch.sight.rollout = status("Healthy", (NEW, "Promoted"))
    watch.moment()
    assert watch.revision == NEW


def test_after_its_promotion_everybody_is_on_it_and_after_a_revert_nobody() -> None:
    watch = watching(status("Healthy"))
    watch.sight.rollout = status("Progressing", canary=NEW)
    assert not watch.moment().promoted
    watch.sight.rollout = status("Healthy", (NEW, "Promoted"), stable=NEW)
    assert watch.moment().promoted
    watch.sight.rollout = status("Healthy", (NEW, "Reverted"))
    assert not watch.moment().promoted


def test_a_moment_tells_errors_of_the_canary_and_whether_it_had_a_weight() -> None:
    watch = watching(status("Progressing", canary=NEW), since=100)
    watch.sight.weights = [(50.0, 25), (60.0, 0)]
    watch.sight.counts[f"web-{NEW}-1"] = Counts(100, 7)
    moment = watch.moment()
    assert (moment.errors, moment.weighted) == (7, False)
    watch.sight.weights.append((110.0, 5))
    assert watch.moment().weighted


def test_the_same_version_started_again_is_a_canary_again() -> None:
    watch = watching(status("Reverted", (NEW, "Reverted"), canary=NEW))
    watch.sight.rollout = status("Progressing", (NEW, "Reverted"), canary=NEW)
    watch.moment()
    assert watch.revision == NEW


def test_a_moment_tells_shares_and_rates_of_what_came_since_the_one_before() -> None:
    watch = watching(status("Progressing", canary=NEW, weight=5, step="1/5"))
    pod = f"web-{NEW}-1"
    watch.sight.counts[pod] = Counts(100, 50, ((100.0, 100.0),))
    watch.moment()
    watch.sight.counts[pod] = Counts(120, 51, ((100.0, 120.0),))
    first = watch.since
    watch.load.answers += [answer(first + 1, pod), answer(first + 1, f"web-{OLD}-1", status=503)]
    watch.load.answers += [answer(first + 1, f"web-{OLD}-1"), answer(first + 1, f"web-{OLD}-1")]
    moment = watch.moment()
    assert moment.error_rate == pytest.approx(1 / 20)
    assert moment.p99 == pytest.approx(99)
    assert (moment.step, moment.weight, moment.failed) == ("1/5", 5, 1)


def test_before_there_is_a_canary_its_figures_are_unknown() -> None:
    moment = watching(status("Healthy")).moment()
    assert isnan(moment.share)
    assert isnan(moment.error_rate)
    assert moment.canary_pods == 0


def test_ready_pods_are_told_apart_by_revision_whoever_owns_them() -> None:
    def replica_set(revision: str, ready: int, *, adopted: bool) -> dict[str, Any]:
        labels = {"pod-template-hash": revision}
        return {
            "metadata": {"labels": labels if adopted else {"ours": "yes"}},
            "spec": {"template": {"metadata": {"labels": labels}}},
            "status": {"readyReplicas": ready},
        }

    watch = watching(status("Progressing", canary=NEW))
    watch.sight.replica_sets = {
        "web-aaa": replica_set(OLD, 4, adopted=True),
        "web-bbb": replica_set(NEW, 2, adopted=False),
    }
    moment = watch.moment()
    assert (moment.stable_pods, moment.canary_pods) == (4, 2)


def test_a_record_counts_only_what_happened_since_the_release_began() -> None:
    watch = watching(status("Reverted", ("ccc", "Reverted"), canary="ccc"), since=100)
    pod = f"web-{NEW}-1"
    watch.sight.weights = [(50.0, 5), (60.0, 0), (110.0, 5), (130.0, 0)]
    watch.sight.rollout = status("Progressing", ("ccc", "Reverted"), canary=NEW)
    watch.moment()
    watch.load.answers += [answer(99, pod, status=500), answer(111, pod), answer(112, pod, seconds=0.9)]
    watch.sight.counts[pod] = Counts(90, 5)
    watch.sight.first_error[NEW] = 120.0
    watch.clock = lambda: 140.0
    watch.sight.rollout = status("Reverted", (NEW, "Reverted"), ("ccc", "Reverted"), canary=NEW)
    record = watch.record(ERRORS)
    assert (record.outcome, record.reason) == ("Reverted", "why")
    assert [step.weight for step in record.steps] == [5]
    assert (record.traffic.requests, record.traffic.failed, record.traffic.slow) == (2, 0, 1)
    assert (record.canary.requests, record.canary.errors) == (90, 5)
    assert record.bad_seconds == 10
    assert watch.record(SLOW).first_bad == 112


def test_everybody_is_back_since_the_image_was_set() -> None:
    watch = watching(status("Healthy"), since=100)
    watch.sight.rollout = status("Progressing", canary=NEW)
    watch.moment()
    watch.load.answers += [
        answer(101, f"web-{OLD}-1"),
        answer(108.02, f"web-{OLD}-2"),
        answer(109, f"web-{NEW}-1"),
    ]
    watch.sight.weights = [(50.0, 0), (108.0, 100), (130.0, 0)]
    watch.clock = lambda: 140.0
    watch.sight.rollout = status("Healthy", (NEW, "Promoted"))
    record = watch.record(BACK)
    assert record.back_seconds == pytest.approx(8)
    assert record.problems() == []


def test_a_release_that_did_not_end_tells_what_the_rollout_said_last() -> None:
    watch = watching(status("Healthy"))
    watch.sight.rollout = status("Paused", canary=NEW, message="paused: no evidence")
    watch.moment()
    record = watch.record(GOOD)
    assert (record.outcome, record.reason) == ("", "paused: no evidence")
    assert replace(record, steps=()).problems()


def test_a_record_tells_what_became_of_pinned_requests_while_our_routes_were_there() -> None:
    watch = watching(status("Healthy"), since=100)
    watch.pinned = load()
    watch.sight.rollout = status("Progressing", canary=NEW)
    watch.moment()
    watch.sight.pinned = [(90.0, False), (105.0, True), (120.0, False)]
    old, new = f"web-{OLD}-1", f"web-{NEW}-1"
    watch.pinned.answers += [answer(103, old), answer(110, new), answer(115, old), answer(130, old)]
    watch.load.answers += [answer(106, new), answer(125, new)]
    watch.sight.weights = [(90.0, 0), (120.0, 25)]
    watch.clock = lambda: 140.0
    record = watch.record(GOOD)
    assert record.pinned is not None
    assert (record.pinned.requests, record.pinned.wrong) == (2, 1)
    assert record.early == 1


def test_a_pin_is_judged_from_the_first_request_that_the_canary_was_given_however_late_its_proxy_heard() -> (
    None
):
    watch = watching(status("Healthy"), since=100)
    watch.pinned = load()
    watch.sight.rollout = status("Progressing", canary=NEW)
    watch.moment()
    watch.sight.pinned = [(105.0, True), (120.0, False)]
    old, new = f"web-{OLD}-1", f"web-{NEW}-1"
    watch.pinned.answers += [answer(105.9, old), answer(106.5, new), answer(107, old), answer(108, new)]
    watch.clock = lambda: 140.0
    record = watch.record(GOOD)
    assert record.pinned is not None
    assert (record.pinned.requests, record.pinned.wrong) == (3, 1)
    watch.pinned.answers[:] = [answer(106, old), answer(107, old)]
    never = watch.record(GOOD)
    assert "demo:1.1.0: the canary answered no request with the pinned header" in never.problems()


def test_an_answer_before_a_weight_was_seen_is_not_early_where_the_controller_had_told_of_it() -> None:
    watch = watching(status("Healthy"), since=100)
    watch.sight.rollout = status("Progressing", canary=NEW)
    watch.moment()
    watch.load.answers += [answer(106, f"web-{NEW}-1"), answer(108, f"web-{NEW}-1")]
    watch.sight.weights = [(90.0, 0), (107.0, 25)]
    watch.clock = lambda: 140.0
    assert watch.record(GOOD).early == 1
    asked: list[float] = []

    def weighted(since: float) -> float:
        asked.append(since)
        return 105.5

    watch.weighted = weighted
    assert watch.record(GOOD).early == 0
    assert asked == [100]

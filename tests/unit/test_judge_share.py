"""The gate while requests do not go where routes send them: nothing passes, and only none at all fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.judge import Judgement, Look, Nothing, doubtful, failing
from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.core.share import Bypass, Split
from tests.unit.test_judge import LIMITS, after

BESIDE_STABLE = replace(LIMITS, bypass=Bypass(stable=True))


def seen(
    canary: float, stable: float, *, errors: float = 0, whole: bool = True, scraped: bool = True
) -> Look:
    """One look at so many requests, of which Prometheus knows all unless told."""
    return Look(Sides(Counts(canary, errors), Counts(stable)), whole=whole, scraped=scraped)


RIGHT, FEW, MANY, UNCLEAR = seen(50, 950), seen(25, 3000), seen(300, 700), seen(24, 976)


def told(state: Judgement) -> tuple[str, str, str]:
    return state.verdict.result, state.verdict.traffic.status, state.verdict.traffic.reason


def test_a_canary_that_gets_its_share_passes_and_is_verified() -> None:
    assert told(after(RIGHT)) == ("pass", "True", "AsRouted")


def test_before_the_first_requests_nothing_is_known() -> None:
    assert told(after()) == ("inconclusive", "Unknown", "NotYet")
    assert told(after(seen(1, 19))) == ("inconclusive", "Unknown", "NotKnown")
    assert told(after(Nothing("no answer"))) == ("inconclusive", "Unknown", "NotYet")


@pytest.mark.parametrize(("off", "reason"), [(FEW, "FarTooFew"), (MANY, "FarTooMany")])
def test_a_share_that_is_off_holds_at_once_and_is_told_after_a_second_look(off: Look, reason: str) -> None:
    assert told(after(RIGHT, off)) == ("inconclusive", "True", "AsRouted")
    assert told(after(RIGHT, off, off)) == ("inconclusive", "False", reason)
    verdict = after(off, off).verdict
    assert verdict.traffic.sentence in verdict.sentence
    assert verdict.failures == 0


def test_one_look_that_is_off_between_others_is_never_told() -> None:
    for between in (RIGHT, UNCLEAR, MANY):
        assert told(after(RIGHT, FEW, between, FEW))[1] != "False"


def test_scrapes_that_may_explain_it_make_no_doubt() -> None:
    young = replace(FEW, whole=False)
    assert told(after(RIGHT, young, young, young)) == ("pass", "True", "AsRouted")


@pytest.mark.parametrize("off", [FEW, MANY])
def test_a_stage_of_which_nothing_is_known_does_not_pass_on_a_split_that_looks_off(off: Look) -> None:
    state = after(replace(off, whole=False))
    assert told(state) == ("inconclusive", "Unknown", "NotKnown")
    assert "whether requests go as routed is not known yet" in state.verdict.sentence
    assert told(after(replace(off, whole=False), RIGHT)) == ("pass", "True", "AsRouted")


@pytest.mark.parametrize("news", [UNCLEAR, Nothing("no answer"), seen(0, 0), replace(FEW, whole=False)])
def test_no_news_neither_verifies_nor_takes_it_back(news: Look | Nothing) -> None:
    assert told(after(RIGHT, news))[1:] == ("True", "AsRouted")
    assert told(after(FEW, FEW, news))[1:] == ("False", "FarTooFew")
    assert told(after(FEW, FEW, news))[0] == "inconclusive"


def test_it_passes_again_with_the_first_look_at_a_share_that_is_right() -> None:
    assert told(after(FEW, FEW, RIGHT)) == ("pass", "True", "AsRouted")


def test_errors_fail_whatever_the_share_is() -> None:
    bad = seen(25, 3000, errors=20)
    again = replace(bad, fresh=bad.sides)
    assert after(bad, again).verdict.result == "fail"


def test_no_request_at_all_is_told_in_the_look_that_counts_it() -> None:
    silent = seen(0, 1140)
    assert told(after(silent)) == ("inconclusive", "False", "NoRequests")
    gone = after(silent, replace(silent, fresh=silent.sides))
    assert told(gone) == ("fail", "False", "NoRequests")
    assert gone.verdict.sentence.count("no request reached the canary") == 1


def test_no_request_where_few_were_expected_holds_and_does_not_fail() -> None:
    quiet = seen(0, 700)
    assert told(after(quiet, quiet, quiet)) == ("inconclusive", "False", "NoRequests")
    assert after(quiet, quiet, quiet).verdict.failures == 0


def test_no_request_beside_another_route_to_stable_holds_and_does_not_fail() -> None:
    silent = seen(0, 100_000)
    assert not failing(silent, BESIDE_STABLE)
    held = after(silent, replace(silent, fresh=silent.sides), limits=BESIDE_STABLE)
    assert told(held) == ("inconclusive", "False", "NoRequests")
    assert "another route to stable" in held.verdict.sentence


def test_copies_alone_are_verified_too() -> None:
    copies = replace(LIMITS, weight=20, share=0, mirror=20)
    assert told(after(seen(200, 1000), limits=copies)) == ("pass", "True", "AsRouted")
    held = after(seen(0, 200), seen(0, 200), limits=copies)
    assert told(held) == ("inconclusive", "False", "NoRequests")
    assert "though its 20 % copies makes about 40 expected" in held.verdict.sentence


def test_a_stage_without_a_share_passes_unverified() -> None:
    idle = replace(LIMITS, weight=0, share=0)
    assert told(after(seen(0, 10_000), limits=idle)) == ("pass", "Unknown", "NoShare")


def test_only_a_split_that_is_off_is_worth_a_question_about_scrapes() -> None:
    assert doubtful(FEW.sides, LIMITS) is Split.FEW
    assert doubtful(RIGHT.sides, LIMITS) is None
    assert doubtful(UNCLEAR.sides, LIMITS) is None

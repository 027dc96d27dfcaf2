"""The end of the demo as a person reads it."""

import io
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from e2e.demo.record import OTHER_WAYS, Record
from e2e.demo.summary import Rest, at_rest, canary_gave, clients_saw, show, steps
from tests.unit.test_demo_record import BROUGHT_BACK, CALM, CLEAN, PROMOTED, REVERTED, SLOW

REST = Rest("demo:1.1.0", 3.2, kept_pods=True, differences=CLEAN)


def shown(records: Sequence[Record], *rests: Rest, problems: Sequence[str] = ()) -> str:
    out = io.StringIO()
    show(Console(file=out, width=160), records, rests, problems)
    return out.getvalue()


def test_seconds_are_told_per_step() -> None:
    assert steps(PROMOTED) == "5 % 12 s, 10 % 12 s, 25 % 12 s, 50 % 12 s, 100 % 12 s"
    assert steps(replace(PROMOTED, steps=())) == "none"


def test_what_clients_saw_and_what_the_canary_gave_are_told_apart() -> None:
    assert clients_saw(REVERTED) == "0 failed of 1000"
    assert canary_gave(REVERTED) == "5 errors in 100"


def test_clients_of_a_slow_version_saw_slow_answers() -> None:
    slow = replace(REVERTED, release=SLOW, traffic=replace(CALM, slow=4))
    assert clients_saw(slow) == "0 failed, 4 over 500 ms of 1000"


def test_the_summary_holds_every_figure_of_each_release() -> None:
    text = shown([PROMOTED, REVERTED], REST)
    for word in ("Promoted", "Reverted", "error rate 5 %", "20.0 s", "0.1 s", "5 % 20 s", "5 errors in 100"):
        assert word in text
    assert "hid 5 of the canaries' errors" in text
    assert "all as it should be" in text


def test_errors_in_answers_to_copies_were_hidden_by_no_retry() -> None:
    mirror = next(way for way in OTHER_WAYS if way.on_copies)
    text = shown([replace(REVERTED, release=mirror)], REST)
    assert "5 of the canaries' errors were answers to copies, which nobody gets" in text
    assert "retries hid" not in text


def test_on_a_narrow_terminal_each_release_has_a_table_of_its_own() -> None:
    out = io.StringIO()
    show(Console(file=out, width=80), [PROMOTED, REVERTED, BROUGHT_BACK], [REST], [])
    assert out.getvalue().count("what the releases came to") == 3
    assert shown([PROMOTED, REVERTED, BROUGHT_BACK], REST).count("what the releases came to") == 1


def test_the_summary_tells_how_soon_everybody_was_back() -> None:
    text = shown([PROMOTED, BROUGHT_BACK], REST)
    (line,) = (line for line in text.splitlines() if "the change to everybody back" in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["the change to everybody back", "–", "7.5 s"]


def test_each_time_at_rest_is_told() -> None:
    text = shown([REVERTED, BROUGHT_BACK], REST, replace(REST, image="demo:1.0.0", seconds=None))
    assert "back to demo:1.1.0 in git: Healthy after 3.2 s" in text
    assert "at rest with demo:1.0.0" in text


def test_at_rest_everything_is_what_git_says() -> None:
    assert at_rest(REST) == (
        "back to demo:1.1.0 in git: Healthy after 3.2 s, no pod touched;"
        " at rest with demo:1.1.0, VirtualService, DestinationRule, Deployment are what git says"
    )
    assert at_rest(replace(REST, seconds=None)) == (
        "at rest with demo:1.1.0, VirtualService, DestinationRule, Deployment are what git says"
    )
    assert REST.problems() == []


def test_a_difference_at_rest_is_a_problem_and_shows() -> None:
    differing = replace(REST, differences={**CLEAN, "DestinationRule": ["spec.subsets: more"]})
    assert differing.problems() == ["at rest DestinationRule is not what git says: spec.subsets: more"]
    assert "are NOT what git says" in at_rest(differing)


def test_pods_that_were_changed_on_the_way_back_are_a_problem() -> None:
    (problem,) = replace(REST, kept_pods=False).problems()
    assert "pods were started or ended" in problem


def test_a_release_that_left_something_behind_says_where() -> None:
    left = replace(REVERTED, differences={**CLEAN, "VirtualService": ["spec: more"]})
    assert "DestinationRule, Deployment yes; VirtualService no (but held, with no pod" in shown([left], REST)


def test_problems_are_told_and_then_nothing_is_called_as_it_should_be() -> None:
    text = shown([PROMOTED], problems=["demo:1.1.0: 1 requests failed, expected 0"])
    assert "NOT AS IT SHOULD BE: demo:1.1.0: 1 requests failed, expected 0" in text
    assert "all as it should be" not in text

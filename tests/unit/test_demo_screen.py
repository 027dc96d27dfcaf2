"""What a person sees of a release."""

import io
import re
from dataclasses import replace
from math import nan
from typing import Any

import pytest
from rich.console import Console

from e2e.demo.screen import Lines, Moment, Row, Terminal, extended, line

AT = Moment(
    at=10.0,
    phase="Progressing",
    step="1/5",
    weight=5,
    share=0.049,
    error_rate=0.0512,
    p99=81.4,
    verdict="inconclusive",
    failures=1,
    stable_pods=4,
    canary_pods=2,
    message="step 1/5 at 5 %: error rate 5.1 %",
    sent=1200,
    failed=0,
)


def test_a_line_holds_all_figures() -> None:
    assert line(AT) == (
        "step 1/5: weight 5 %, observed 4.9 %, errors 5.1 %, p99 81 ms, verdict inconclusive, 1 failing,"
        " pods 4 stable + 2 canary; 0 of 1200 requests failed"
    )


def test_what_is_not_known_is_a_dash() -> None:
    bare = replace(AT, share=nan, error_rate=nan, p99=nan, verdict="")
    assert "observed –, errors –, p99 –, verdict –," in line(bare)


def test_a_phase_around_the_steps_goes_by_its_own_name() -> None:
    assert replace(AT, phase="Reverting").place == "reverting"
    assert replace(AT, phase="Progressing", step="0/5").place == "preparing"
    assert replace(AT, phase="Paused").place == "step 1/5"


def test_moments_at_one_step_are_one_row_and_the_next_step_begins_another() -> None:
    rows: list[Row] = []
    for moment in (AT, replace(AT, at=14.0, weight=6), replace(AT, at=15.0, step="2/5")):
        rows = extended(rows, moment)
    assert [(row.last.place, row.seconds, row.last.weight) for row in rows] == [
        ("step 1/5", 4.0, 6),
        ("step 2/5", 0.0, 5),
    ]


def test_without_a_terminal_news_is_told_at_once_and_the_rest_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    lines.begin("releasing")
    for second in range(12):
        lines.show(replace(AT, at=10.0 + second, sent=1200 + second))
    lines.show(replace(AT, at=21.5, verdict="fail"))
    told = [one.split("] ", 1)[1] for one in capsys.readouterr().out.splitlines()]
    assert told[0] == "releasing"
    assert told[1] == "  Progressing: step 1/5 at 5 %: error rate 5.1 %"
    assert [one.rsplit(" of ", 1)[1] for one in told[2:5]] == [
        "1200 requests failed",
        "1205 requests failed",
        "1210 requests failed",
    ]
    assert "verdict fail" in told[5]
    assert len(told) == 6


@pytest.mark.parametrize(
    ("after", "ended"),
    [
        ({"step": "2/5"}, "passed"),
        ({"step": "2/5", "command": "promote=true@7"}, "promoted by command"),
        ({"phase": "Promoting"}, "passed"),
        ({"phase": "Reverting", "verdict": "fail"}, "failed"),
        ({"phase": "Reverting", "command": "abort=why@7"}, "taken back"),
    ],
)
def test_a_step_that_is_over_keeps_how_it_was_left(after: dict[str, Any], ended: str) -> None:
    rows = extended(extended([], AT), replace(AT, at=25.0, **after))
    assert [row.ended for row in rows] == [ended, ""]


def test_what_was_before_the_steps_did_not_pass_anything() -> None:
    rows = extended(extended([], replace(AT, step="")), replace(AT, at=25.0))
    assert [row.ended for row in rows] == ["", ""]


def test_a_step_is_left_with_the_sentence_of_its_pass_or_else_with_what_the_pods_counted() -> None:
    passed = Row(0.0, replace(AT, at=15.0, verdict="pass", sentence="error rate 0 %"), "passed")
    assert passed.epitaph == "step 1/5 passed after 15 s: error rate 0 %"
    unseen = Row(0.0, replace(AT, at=15.0, sentence="27 more canary requests needed"), "passed")
    assert unseen.epitaph == ("step 1/5 passed after 15 s: errors 5.1 %, p99 81 ms by the pods' own counts")


def test_without_a_terminal_each_new_step_has_a_line_and_the_one_before_is_told_to_be_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines()
    lines.begin("releasing")
    lines.show(AT)
    lines.show(replace(AT, at=12.0))
    lines.show(replace(AT, at=12.5, step="2/5", message="step 2/5 at 10 %: error rate 5.1 %"))
    told = [one.split("] ", 1)[1] for one in capsys.readouterr().out.splitlines()]
    assert told[3].startswith("  step 1/5 passed after 2 s: ")
    assert told[4] == "  Progressing: step 2/5 at 10 %: error rate 5.1 %"


def test_errors_that_no_client_got_are_explained_where_they_are_shown() -> None:
    assert AT.hidden == ""
    assert line(replace(AT, errors=7, failed=2, weighted=True)).endswith(
        "2 of 1200 requests failed; 5 errors of the canary were hidden by the route's retries"
    )
    assert "7 errors of the canary were answers to copies" in replace(AT, errors=7).hidden
    assert replace(AT, errors=7, failed=7, weighted=True).hidden == ""


def test_after_a_promotion_everybody_is_on_the_new_version_though_its_weight_is_0_again() -> None:
    home = replace(AT, phase="Healthy", weight=0, share=1.0, promoted=True)
    assert line(home).startswith("healthy: everybody is on the new version, observed 100.0 %,")
    assert home.given == "all"


def test_a_message_is_told_again_only_when_its_words_change(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.show(AT)
    lines.show(replace(AT, at=10.5, message="step 1/5 at 5 %: error rate 5.3 %"))
    lines.show(replace(AT, at=11.0, message="everybody is back on stable"))
    told = [one for one in capsys.readouterr().out.splitlines() if "Progressing: " in one]
    assert [one.split("Progressing: ")[1] for one in told] == [AT.message, "everybody is back on stable"]


@pytest.mark.parametrize("phase", ["Progressing", "Initializing"])
def test_on_80_columns_the_table_has_all_its_columns(phase: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    screen = Terminal(console)
    screen.begin("releasing")
    wide = replace(AT, phase=phase, weight=100, share=1.0, error_rate=1.0, p99=10000.0, canary_pods=4)
    screen.show(wide)
    screen.end()
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "weight sec observed  errors      p99 verdict" in shown
    assert re.search(r"100 % +0 +100.0 % +100.0 % +10000 ms inconclusive, 1 failing +4 \+ 4", shown), shown
    assert "…" not in shown


def test_a_terminal_shows_a_table_with_a_row_per_step_and_the_message() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    screen = Terminal(console)
    screen.begin("releasing")
    screen.show(AT)
    screen.show(replace(AT, at=25.0, step="2/5", weight=10))
    screen.end()
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue().rsplit("weight", 1)[1]
    assert "step 1/5" in shown
    assert "step 2/5" in shown
    assert "inconclusive, 1 failing" in shown
    assert f"Progressing: {AT.message}" in shown
    assert "1200 requests, 0 failed" in shown

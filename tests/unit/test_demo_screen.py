"""What a person sees of a release."""

import io
from dataclasses import replace
from math import nan

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


def test_a_message_is_told_again_only_when_its_words_change(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.show(AT)
    lines.show(replace(AT, at=10.5, message="step 1/5 at 5 %: error rate 5.3 %"))
    lines.show(replace(AT, at=11.0, message="everybody is back on stable"))
    told = [one for one in capsys.readouterr().out.splitlines() if "Progressing: " in one]
    assert [one.split("Progressing: ")[1] for one in told] == [AT.message, "everybody is back on stable"]


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

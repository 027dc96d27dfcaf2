"""What a person sees: a line per event, and while a release runs a table (on a terminal) or more lines."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from time import monotonic
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

EVERY = 5.0
"""Seconds between two lines of figures that tell nothing new, where there is no terminal."""
IN_STEP = ("Progressing", "Paused")
WIDE = 110
"""Columns of a terminal on which the table has room for whole words."""
_FIGURES = ("observed", "errors", "p99")
_COLOURS = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


@dataclass(frozen=True)
class Moment:
    """The release at one moment. Rates from 0 to 1 and NaN where nothing is known."""

    at: float
    phase: str
    step: str
    """Like `3/5`; empty before the first."""
    weight: int
    share: float
    """Of the answers that clients got, the canary's part."""
    error_rate: float
    """Of the canary's own answers, before retries."""
    p99: float
    """Milliseconds, of the canary's own answers."""
    verdict: str
    failures: int
    """Failing readings in a row."""
    stable_pods: int
    canary_pods: int
    message: str
    sent: int = 0
    failed: int = 0
    errors: int = 0
    """That the canary gave since the release began, whoever got them."""
    weighted: bool = False
    """Whether the canary had a weight above 0 since then: else only copies or pinned requests reach it."""
    sentence: str = ""
    """Of the verdict."""
    command: str = ""
    """The last one that was carried out."""
    promoted: bool = False
    """Whether the release's version is stable now."""

    @property
    def place(self) -> str:
        """What the row of this moment is called: the step, or the phase around the steps."""
        if self.phase not in IN_STEP:
            return self.phase.lower()
        return f"step {self.step}" if self.step and not self.step.startswith("0/") else "preparing"

    @property
    def given(self) -> str:
        """The weight; after a promotion it is 0 again, and everybody is on the new version all the same."""
        return "all" if self.promoted else f"{self.weight} %"

    @property
    def hidden(self) -> str:
        """What became of the canary's errors that no client got; empty if they got them all."""
        count = self.errors - self.failed
        if count <= 0:
            return ""
        if not self.weighted:
            return f"{count} errors of the canary were answers to copies, which nobody gets"
        return f"{count} errors of the canary were hidden by the route's retries"

    @property
    def judged(self) -> str:
        """The verdict, with the failing readings that are not enough for a verdict yet."""
        failing = f", {self.failures} failing" if self.failures and self.verdict != "fail" else ""
        return f"{self.verdict}{failing}" if self.verdict else "–"


@dataclass(frozen=True)
class Row:
    """A stretch of moments at one place: when it began, and its last one."""

    began: float
    last: Moment
    ended: str = ""
    """How the step was left: `passed`, `promoted by command`, `failed`; empty while it is not over."""

    @property
    def seconds(self) -> float:
        return self.last.at - self.began

    @property
    def is_step(self) -> bool:
        return self.last.place.startswith("step ")

    @property
    def epitaph(self) -> str:
        """How a step was left, and with which readings: those of the verdict if it was seen to pass."""
        last = self.last
        counted = f"errors {percent(last.error_rate)}, p99 {milliseconds(last.p99)} by the pods' own counts"
        seen = self.ended == "passed" and last.verdict == "pass" and last.sentence
        return f"{last.place} {self.ended} after {self.seconds:.0f} s: {seen or counted}"


def extended(rows: Sequence[Row], moment: Moment) -> list[Row]:
    """The rows with one more moment: the last row goes on, or a new one begins at a new place."""
    if not rows:
        return [Row(moment.at, moment)]
    *before, row = rows
    if row.last.place == moment.place:
        return [*before, Row(row.began, moment)]
    return [*before, replace(row, ended=_ended(row, moment)), Row(moment.at, moment)]


def _ended(row: Row, moment: Moment) -> str:
    """How the step of this row was left, by what came next: without a command it is left by passing only."""
    if not row.is_step:
        return ""
    if moment.phase in (*IN_STEP, "Promoting", "Healthy") and not moment.place.startswith("preparing"):
        commanded = moment.command != row.last.command and moment.command.startswith("promote")
        return "promoted by command" if commanded else "passed"
    return "failed" if moment.verdict == "fail" else "taken back"


def percent(value: float) -> str:
    """`4.9 %`; a dash for NaN."""
    return "–" if isnan(value) else f"{100 * value:.1f} %"


def milliseconds(value: float) -> str:
    """`182 ms`; a dash for NaN."""
    return "–" if isnan(value) else f"{value:.0f} ms"


def line(moment: Moment) -> str:
    """A moment in one line."""
    given = "everybody is on the new version" if moment.promoted else f"weight {moment.given}"
    hidden = f"; {moment.hidden}" if moment.hidden else ""
    return (
        f"{moment.place}: {given}, observed {percent(moment.share)},"
        f" errors {percent(moment.error_rate)}, p99 {milliseconds(moment.p99)}, verdict {moment.judged},"
        f" pods {moment.stable_pods} stable + {moment.canary_pods} canary;"
        f" {moment.failed} of {moment.sent} requests failed{hidden}"
    )


class Screen(Protocol):
    """Where the demo is watched."""

    def say(self, text: str) -> None:
        """An event, with the seconds since the start."""

    def begin(self, title: str) -> None:
        """A release begins."""

    def show(self, moment: Moment) -> None:
        """It is so now."""

    def end(self) -> None:
        """The release is over."""


class Lines:
    """Plain lines, for a file or a pipe."""

    def __init__(self) -> None:
        self._start = monotonic()
        self._rows: list[Row] = []
        self._printed = 0.0

    def say(self, text: str) -> None:
        print(f"[{monotonic() - self._start:6.1f} s] {text}", flush=True)

    def begin(self, title: str) -> None:
        self._rows = []
        self.say(title)

    def show(self, moment: Moment) -> None:
        before = self._rows[-1].last if self._rows else None
        self._rows = extended(self._rows, moment)
        moved = before is None or before.place != moment.place
        if moved and len(self._rows) > 1 and self._rows[-2].ended:
            self.say(f"  {self._rows[-2].epitaph}")
        if before is None or moved or _words(before.message) != _words(moment.message):
            self.say(f"  {moment.phase}: {moment.message}")
        news = before is None or _state(before) != _state(moment)
        if news or moment.at - self._printed >= EVERY:
            self._printed = moment.at
            self.say(f"    {line(moment)}")

    def end(self) -> None:
        if self._rows and self._rows[-1].last.at > self._printed:
            self.say(f"    {line(self._rows[-1].last)}")


class Terminal:
    """A table that changes in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = monotonic()
        self._rows: list[Row] = []
        self._live: Live | None = None

    def say(self, text: str) -> None:
        self._console.print(
            Text.assemble((f"[{monotonic() - self._start:6.1f} s] ", "dim"), text), highlight=False
        )

    def begin(self, title: str) -> None:
        self.say(title)
        self._rows = []
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="visible")
        self._live.start()

    def show(self, moment: Moment) -> None:
        known = len(self._rows)
        self._rows = extended(self._rows, moment)
        if known and len(self._rows) > known and self._rows[-2].ended:
            self.say(f"  {self._rows[-2].epitaph}")
        if self._live is not None:
            self._live.update(_picture(self._rows, wide=self._console.width >= WIDE), refresh=True)

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def open_screen() -> Screen:
    """A table where standard output is a terminal, else lines."""
    return Terminal(Console()) if sys.stdout.isatty() else Lines()


def _state(moment: Moment) -> tuple[object, ...]:
    return (moment.place, moment.weight, moment.verdict, moment.failures)


def _words(message: str) -> str:
    return re.sub(r"[\d.]+", "", message)


def _picture(rows: Sequence[Row], *, wide: bool) -> Group:
    """The table and what is so now. It fits into 80 columns if it is not `wide`."""
    gap, least = (2, 8) if wide else (1, 7)
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    table.add_column("", min_width=12 if wide else 9)
    for name in ("weight", "seconds" if wide else "sec", *_FIGURES):
        table.add_column(name, justify="right", min_width=least if wide or name in _FIGURES else len(name))
    table.add_column("verdict", min_width=23)
    table.add_column("pods stable + canary" if wide else "pods", justify="right")
    for row in rows:
        last = row.last
        verdict = {"passed": "pass", "failed": "fail"}.get(row.ended, row.ended) or last.judged
        table.add_row(
            last.place,
            last.given,
            f"{row.seconds:.0f}",
            percent(last.share),
            percent(last.error_rate),
            milliseconds(last.p99),
            Text(verdict, style=_COLOURS.get(verdict if row.ended else last.verdict, "")),
            f"{last.stable_pods} + {last.canary_pods}",
        )
    now = rows[-1].last
    requests = Text.assemble(
        f"{now.sent} requests, ", (f"{now.failed} failed", "red" if now.failed else "green")
    )
    if now.hidden:
        requests.append(f"; {now.hidden}")
    return Group("", table, "", Text.assemble((now.phase, "bold"), f": {now.message}"), requests, "")

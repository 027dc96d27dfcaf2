"""What a person sees: a line per event, and while a release runs a table (on a terminal) or more lines."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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

    @property
    def place(self) -> str:
        """What the row of this moment is called: the step, or the phase around the steps."""
        if self.phase not in IN_STEP:
            return self.phase.lower()
        return f"step {self.step}" if self.step and not self.step.startswith("0/") else "preparing"

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

    @property
    def seconds(self) -> float:
        return self.last.at - self.began


def extended(rows: Sequence[Row], moment: Moment) -> list[Row]:
    """The rows with one more moment: the last row goes on, or a new one begins at a new place."""
    if rows and rows[-1].last.place == moment.place:
        return [*rows[:-1], Row(rows[-1].began, moment)]
    return [*rows, Row(moment.at, moment)]


def percent(value: float) -> str:
    """`4.9 %`; a dash for NaN."""
    return "–" if isnan(value) else f"{100 * value:.1f} %"


def milliseconds(value: float) -> str:
    """`182 ms`; a dash for NaN."""
    return "–" if isnan(value) else f"{value:.0f} ms"


def line(moment: Moment) -> str:
    """A moment in one line."""
    return (
        f"{moment.place}: weight {moment.weight} %, observed {percent(moment.share)},"
        f" errors {percent(moment.error_rate)}, p99 {milliseconds(moment.p99)}, verdict {moment.judged},"
        f" pods {moment.stable_pods} stable + {moment.canary_pods} canary;"
        f" {moment.failed} of {moment.sent} requests failed"
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
        self._last: Moment | None = None
        self._printed = 0.0

    def say(self, text: str) -> None:
        print(f"[{monotonic() - self._start:6.1f} s] {text}", flush=True)

    def begin(self, title: str) -> None:
        self._last = None
        self.say(title)

    def show(self, moment: Moment) -> None:
        before, self._last = self._last, moment
        if before is None or _words(before.message) != _words(moment.message):
            self.say(f"  {moment.phase}: {moment.message}")
        news = before is None or _state(before) != _state(moment)
        if news or moment.at - self._printed >= EVERY:
            self._printed = moment.at
            self.say(f"    {line(moment)}")

    def end(self) -> None:
        if self._last is not None and self._last.at > self._printed:
            self.say(f"    {line(self._last)}")


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
        self._rows = extended(self._rows, moment)
        if self._live is not None:
            self._live.update(_picture(self._rows), refresh=True)

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


def _picture(rows: Sequence[Row]) -> Group:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", min_width=12)
    for name in ("weight", "seconds", "observed", "errors", "p99"):
        table.add_column(name, justify="right", min_width=8)
    table.add_column("verdict", min_width=23)
    table.add_column("pods stable + canary", justify="right")
    for row in rows:
        last = row.last
        table.add_row(
            last.place,
            f"{last.weight} %",
            f"{row.seconds:.0f}",
            percent(last.share),
            percent(last.error_rate),
            milliseconds(last.p99),
            Text(last.judged, style=_COLOURS.get(last.verdict, "")),
            f"{last.stable_pods} + {last.canary_pods}",
        )
    now = rows[-1].last
    colour = "red" if now.failed else "green"
    requests = Text.assemble(f"{now.sent} requests, ", (f"{now.failed} failed", colour))
    return Group("", table, "", Text.assemble((now.phase, "bold"), f": {now.message}"), requests, "")

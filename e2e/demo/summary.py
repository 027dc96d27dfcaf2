"""The end of the demo: what each release came to, and what is not as it should be. Pure but for printing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Table

from e2e.demo.record import SLOW, Record


@dataclass(frozen=True)
class Rest:
    """What the cluster is like at rest, when git names the version that runs."""

    image: str
    seconds: float | None
    """From git's way back to this image until Healthy; None if git never named another."""
    kept_pods: bool
    """Whether no pod was started or ended for it."""
    differences: Mapping[str, Sequence[str]]

    def problems(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = [
            f"at rest {kind} is not what git says: {line}"
            for kind, lines in self.differences.items()
            for line in lines
        ]
        if not self.kept_pods:
            found.append("pods were started or ended when git went back to the version that runs")
        return found


def seconds(value: float | None) -> str:
    """`14.2 s`; a dash for None."""
    return "–" if value is None else f"{value:.1f} s"


def steps(record: Record) -> str:
    """`5 % 14 s, 10 % 12 s`."""
    return ", ".join(f"{one.weight} % {one.seconds:.0f} s" for one in record.steps) or "none"


def clients_saw(record: Record) -> str:
    """What of the canary's errors and slowness came through to clients."""
    parts = [f"{record.traffic.failed} failed"]
    if record.release.ailment == "slowness":
        parts.append(f"{record.traffic.slow} over {1000 * SLOW:.0f} ms")
    return f"{', '.join(parts)} of {record.traffic.requests}"


def canary_gave(record: Record) -> str:
    """What the canary's pods counted: what clients would have seen of it without the route's retries."""
    return f"{record.canary.errors:.0f} errors in {record.canary.requests:.0f}"


def pinned(record: Record) -> str:
    """Whether pins held."""
    if record.pinned is None:
        return "–"
    return f"{record.pinned.wrong} of {record.pinned.requests} to another version"


def table(records: Sequence[Record]) -> Table:
    """One column per release."""
    result = Table(title="what the releases came to", title_justify="left", show_lines=False)
    result.add_column("")
    for record in records:
        result.add_column(f"{record.release.says}\n{record.release.image}", overflow="fold")
    lines = {
        "outcome": [record.outcome or "did not end" for record in records],
        "why": [record.reason or "–" for record in records],
        "seconds in all": [f"{record.seconds:.0f} s" for record in records],
        "seconds per step": [steps(record) for record in records],
        "failed requests, of clients": [clients_saw(record) for record in records],
        "errors that the canary gave": [canary_gave(record) for record in records],
        "first bad request to weight 0": [seconds(record.bad_seconds) for record in records],
        "weight 0 to its last request": [
            seconds(record.last_after if record.release.ailment else None) for record in records
        ],
        "requests with the pinned header": [pinned(record) for record in records],
        "the change to everybody back": [seconds(record.back_seconds) for record in records],
        "afterwards as in git": [_as_in_git(record) for record in records],
        "as it should be": ["no" if record.problems() else "yes" for record in records],
    }
    for name, cells in lines.items():
        result.add_row(name, *cells)
    return result


def _as_in_git(record: Record) -> str:
    differences = record.differences
    if not differences:
        return "not looked at"
    ordered = sorted(differences, key=lambda kind: bool(differences[kind]))
    said = [
        f"{', '.join(kinds)} {'no' if differs else 'yes'}"
        for differs, kinds in groupby(ordered, key=lambda kind: bool(differences[kind]))
    ]
    # Git still says the bad version: its template is in the Deployment, and the gate's pause holds it.
    return "; ".join(said) + (" (but held, with no pod of it)" if record.outcome == "Reverted" else "")


def at_rest(rest: Rest) -> str:
    """A sentence about the end."""
    kinds = ", ".join(rest.differences)
    same = "are what git says" if not any(rest.differences.values()) else "are NOT what git says"
    end = f"at rest with {rest.image}, {kinds} {same}"
    if rest.seconds is None:
        return end
    pods = "no pod touched" if rest.kept_pods else "PODS WERE CHANGED"
    return f"back to {rest.image} in git: Healthy after {rest.seconds:.1f} s, {pods}; {end}"


def hidden(records: Sequence[Record]) -> list[str]:
    """Why clients got fewer errors than the canaries gave."""

    def errors(on_copies: bool) -> float:
        among = [one for one in records if one.release.on_copies is on_copies]
        return sum(max(0.0, one.canary.errors - one.traffic.failed) for one in among)

    judges = "the analysis judges what the canary itself answered."
    retried, copied = errors(False), errors(True)
    found = []
    if retried:
        found.append(f"The route's retries hid {retried:.0f} of the canaries' errors from clients; {judges}")
    if copied:
        found.append(
            f"{copied:.0f} of the canaries' errors were answers to copies, which nobody gets; {judges}"
        )
    return found


def show(console: Console, records: Sequence[Record], rests: Sequence[Rest], problems: Sequence[str]) -> None:
    """Print it all."""
    if records:
        console.print()
        wide = console.width >= 36 + 22 * len(records)
        for group in [records] if wide else [[record] for record in records]:
            console.print(table(group), highlight=False)
        for sentence in hidden(records):
            console.print(sentence, highlight=False)
    for rest in rests:
        console.print(at_rest(rest), highlight=False)
    for problem in problems:
        text = f"NOT AS IT SHOULD BE: {problem}"
        console.print(text, style="bold red", highlight=False, markup=False, soft_wrap=True)
    if not problems:
        console.print("all as it should be", style="bold green", highlight=False)

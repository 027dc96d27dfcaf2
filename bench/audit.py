"""The API server's own record of the calls to it: who made which, when, and what it asked for."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

CONTROLLER = "rollout-controller/"
"""How the controller's user agent begins."""
READS = frozenset({"get", "list"})
WATCHES = frozenset({"watch"})
WRITTEN_WITHIN = 5.0
"""Seconds that a line may take from the answer to the file."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Times are Unix times of the API server, which has the clock of this machine."""

    agent: str
    verb: str
    resource: str
    """Plural, with the subresource: `rollouts/status`."""
    namespace: str
    name: str
    code: int
    received: float
    answered: float
    dry_run: bool = False
    body: Any = None

    @property
    def by_controller(self) -> bool:
        return self.agent.startswith(CONTROLLER)

    @property
    def is_write(self) -> bool:
        return self.verb not in READS | WATCHES


def parse(line: str) -> Call | None:
    """A line of the log; None for a call that concerns no object, like `/version`."""
    entry = json.loads(line)
    target = entry.get("objectRef")
    if target is None or "resource" not in target:
        return None
    resource = target["resource"] + (f"/{target['subresource']}" if "subresource" in target else "")
    return Call(
        agent=entry.get("userAgent", ""),
        verb=entry["verb"],
        resource=resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int(entry.get("responseStatus", {}).get("code", 0)),
        received=_unix(entry["requestReceivedTimestamp"]),
        answered=_unix(entry["stageTimestamp"]),
        dry_run="dryRun=" in entry.get("requestURI", ""),
        body=entry.get("requestObject"),
    )


def _unix(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class AuditLog:
    """Reads the log on from where it was left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.calls: list[Call] = []
        """All calls read so far, in the order of their answers."""

    def read(self) -> list[Call]:
        """Read what was added, and give all calls. A line that is still being written waits."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._offset += len(whole) + 1
            self.calls += filter(None, (parse(line) for line in whole.decode().splitlines()))
        return self.calls

    async def find(self, matches: Callable[[Call], bool], what: str) -> Call:
        """The newest call that matches; waits until it is in the log. Raises LookupError after 5 s."""
        deadline = monotonic() + WRITTEN_WITHIN
        while True:
            found = next((call for call in reversed(self.read()) if matches(call)), None)
            if found is not None:
                return found
            if monotonic() > deadline:
                raise LookupError(f"the API server's audit log does not tell of {what}")
            await asyncio.sleep(0.05)


def writes_by_kind(calls: Iterable[Call]) -> Counter[str]:
    """The controller's writes: `patch rollouts/status`, `create events`..., with refreshes, commands and dry
    runs under names of their own.

    A status refresh changes nothing but numbers and the sentences around them: not phase, stage, weight,
    verdict, findings, conditions. A verdict alone, its result or its failures, is told apart, and counted.
    A command is a write that moves an annotation of the Rollout.
    """
    counts: Counter[str] = Counter()
    last: dict[tuple[str, str], Any] = {}
    for call in calls:
        if not call.by_controller or not call.is_write:
            continue
        kind = f"{call.verb} {call.resource}"
        if call.dry_run:
            kind += " (dry run)"
        elif call.resource == "rollouts/status":
            now = status_in(call.body)
            before = last.get((call.namespace, call.name))
            if before is not None and _course(before) == _course(now):
                kind = REFRESHES if _result(before) == _result(now) else VERDICTS
            last[call.namespace, call.name] = now
        elif call.resource == "rollouts" and _moves_annotations(call.body):
            kind = COMMANDS
        elif call.resource == "events":
            kind = EVENTS
        counts[kind] += 1
    return counts


REFRESHES = "status refreshes"
VERDICTS = "patch rollouts/status (a verdict alone)"
COMMANDS = "commands"
EVENTS = "Events"
APART = frozenset({REFRESHES, COMMANDS, EVENTS})


def counted_apart(kinds: Mapping[str, int]) -> tuple[int, int]:
    """(writes of the release itself, refreshes, commands and Events)."""
    apart = sum(count for kind, count in kinds.items() if kind in APART)
    return sum(kinds.values()) - apart, apart


def status_in(body: Any) -> Mapping[str, Any]:
    """The status that a JSON patch sets; {} if it sets none."""
    for op in body if isinstance(body, list) else ():
        if op.get("path") == "/status" and op.get("op") in ("add", "replace"):
            value: Mapping[str, Any] = op["value"]
            return value
    return {}


def _result(status: Mapping[str, Any]) -> Any:
    verdict = status.get("verdict", {})
    return verdict.get("result"), verdict.get("failures")


def _course(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without verdict, numbers and sentences."""
    plain = {key: value for key, value in status.items() if key not in ("message", "readings", "verdict")}
    plain["conditions"] = [
        {key: c.get(key) for key in ("type", "status", "reason")} for c in status.get("conditions", ())
    ]
    return plain


def _moves_annotations(body: Any) -> bool:
    ops = body if isinstance(body, list) else []
    return any("/metadata/annotations" in op.get("path", "") for op in ops if op.get("op") != "test")

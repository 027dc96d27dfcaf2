"""Commands: what a person asks for by annotation, and which of several counts.

A command goes through three states, so that it is executed exactly once whatever crashes: annotations
are *claimed* (one JSON patch tests the Rollout's resourceVersion R, removes them and leaves
`rollout-controller.dev/command: <verb>[=value]@R`), *done* (the status write of the transition holds the
token `...@R`), and *dropped* (the claim goes once the status holds its token).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from rollout_controller.core.model import RUNNING, Command, Facts, Verb

PREFIX = "rollout-controller.dev/"
CLAIM = PREFIX + "command"
VERBS: tuple[Verb, ...] = get_args(Verb)
"""In order of precedence: of several given together the first is executed."""


def parse(annotations: Mapping[str, str], resource_version: str, facts: Facts) -> Command | None:
    """The command to look at now: the claimed one if there is one, else the first of those given.

    A `promote` that is bound to a step still to come waits: it is left where it is, and is not returned.
    An abort waits for nobody: it takes the place of another claim.
    """
    claimed = _claimed(annotations)
    given = [v for v in VERBS if PREFIX + v in annotations and not _waits(v, annotations[PREFIX + v], facts)]
    abort = "abort" in given
    if claimed is not None and (claimed.verb == "abort" or not abort):
        return claimed
    if not given:
        return None
    verb, *ignored = given
    if claimed is not None and claimed.token != facts.token and claimed.verb not in ignored:
        ignored.append(claimed.verb)
    value = annotations[PREFIX + verb]
    return Command(verb, value, f"{verb}={value}@{resource_version}", claimed=False, ignored=tuple(ignored))


def _claimed(annotations: Mapping[str, str]) -> Command | None:
    claim = annotations.get(CLAIM, "")
    verb, _, value = claim.rpartition("@")[0].partition("=")
    known = next((v for v in VERBS if v == verb), None)
    return Command(known, value, token=claim, claimed=True) if known is not None else None


def _waits(verb: Verb, value: str, facts: Facts) -> bool:
    return verb == "promote" and bound_to(value, facts) == "future"


def bound_to(value: str, facts: Facts) -> str:
    """Where a promote's binding lies: "now", "future" or "past" as seen from the present step.

    `true`, `full` and an empty value are not bound. A revision that is neither this release's nor one that
    is known to be over may still come.
    """
    if value in {"", "true", "full"}:
        return "now"
    revision, _, step = value.partition("/")
    if step and not (step.isdecimal() and int(step)):
        return "past"
    if revision != facts.canary or facts.phase not in RUNNING:
        over = {facts.stable, facts.canary, *(past.revision for past in facts.history)}
        return "past" if revision in over else "future"
    if not step:
        return "now" if facts.stage >= 0 else "future"
    index = int(step) - 1
    if index > facts.last:
        return "past"
    return "now" if index == facts.stage else "future" if index > facts.stage else "past"

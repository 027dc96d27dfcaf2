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
    """
    claim = annotations.get(CLAIM)
    if claim is not None:
        body, _, _ = claim.rpartition("@")
        verb, _, value = body.partition("=")
        known = next((v for v in VERBS if v == verb), None)
        if known is not None:
            return Command(known, value, token=claim, claimed=True)
    given = [v for v in VERBS if PREFIX + v in annotations and not _waits(v, annotations[PREFIX + v], facts)]
    if not given:
        return None
    verb, *ignored = given
    value = annotations[PREFIX + verb]
    return Command(verb, value, f"{verb}={value}@{resource_version}", claimed=False, ignored=tuple(ignored))


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
    if revision != facts.canary or facts.phase not in RUNNING:
        over = {facts.stable, facts.canary, *(past.revision for past in facts.history)}
        return "past" if revision in over else "future"
    if not step:
        return "now" if facts.stage >= 0 else "future"
    if not step.isdecimal() or not 1 <= int(step) <= len(facts.plan):
        return "past"
    index = int(step) - 1
    return "now" if index == facts.stage else "future" if index > facts.stage else "past"

"""Commands: what a person asks for by annotation, and which of several counts.

A command goes through three states, so that it is executed exactly once whatever crashes: annotations
are *claimed* (one JSON patch tests the Rollout's resourceVersion R, removes them and leaves
`rollout-controller.dev/command: <verb>[=value]@R`), *done* (the status write of the transition holds the
token `...@R`), and *dropped* (the claim goes once the status holds its token).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, Literal, get_args

from rollout_controller.api import names
from rollout_controller.core.finding import Finding
from rollout_controller.core.release import RUNNING, Command, Facts, Verb
from rollout_controller.core.table import TABLE, Cell, Event, State

PREFIX: Final = f"{names.GROUP}/"
CLAIM: Final = names.CLAIM
_NOT_COMMANDS: Final = frozenset({CLAIM, names.LABEL, names.HELD_BY, names.FINALIZER})
"""Names of ours that are no commands."""

Binding = Literal["now", "future", "past", "never"]
_HASH: Final = re.compile("[bcdfghjklmnpqrstvwxz2456789]{6,10}")
"""What a `pod-template-hash` looks like, Kubernetes' own and ours: their letters spell no word."""
_STEP: Final = re.compile("[1-9][0-9]{0,3}")
_UNBOUND: Final = frozenset({"", "true", "full"})

UNKNOWN: Final = "UnknownCommand"
"""The code of a warning about an annotation that has our prefix, and no meaning."""

VERBS: tuple[Verb, ...] = get_args(Verb)
"""In order of precedence: of several given together the first is executed, but for a retry that has no
meaning now."""


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
    verb, *ignored = _in_order(given, facts)
    if claimed is not None and claimed.token != facts.token and claimed.verb not in ignored:
        ignored.append(claimed.verb)
    value = annotations[PREFIX + verb]
    token = f"{verb}={value}@{resource_version}"
    return Command(verb, _meant(verb, value), token, claimed=False, ignored=tuple(ignored))


def _in_order(given: list[Verb], facts: Facts) -> list[Verb]:
    """The one that counts first: a retry that has no meaning now stands in nobody's way."""
    if given[0] != "retry" or _has_meaning("retry", facts):
        return given
    first = next((verb for verb in given if _has_meaning(verb, facts)), given[0])
    return [first, *(verb for verb in given if verb != first)]


def _has_meaning(verb: Verb, facts: Facts) -> bool:
    event = Event.HOLD if verb == "pause" else Event(verb)
    return TABLE[event, State(facts.phase.value)] is not Cell.REFUSE


def _claimed(annotations: Mapping[str, str]) -> Command | None:
    claim = annotations.get(CLAIM, "")
    verb, _, value = claim.rpartition("@")[0].partition("=")
    known = next((v for v in VERBS if v == verb), None)
    return Command(known, _meant(known, value), token=claim, claimed=True) if known is not None else None


def _meant(verb: Verb, value: str) -> str:
    """`Full` is `full`; reasons, and the names of revisions, are as they are."""
    word = value.strip().lower()
    return word if verb == "promote" and word in _UNBOUND else value


def _waits(verb: Verb, value: str, facts: Facts) -> bool:
    return verb == "promote" and bound_to(value, facts) == "future"


def bound_to(value: str, facts: Facts) -> Binding:
    """Where a promote's binding lies as seen from the present step: "never" if it is no binding at all.

    `true`, `full` and an empty value are not bound. A revision that is neither this release's nor one that
    is known to be over may still come, if it looks like one: it may be approved before it is there.
    """
    if _meant("promote", value) in _UNBOUND:
        return "now"
    revision, slash, step = value.partition("/")
    if slash and not _STEP.fullmatch(step):
        return "never"
    if revision != facts.canary or facts.phase not in RUNNING:
        if revision in {facts.stable, facts.canary, *(past.revision for past in facts.history)}:
            return "past"
        return "future" if _HASH.fullmatch(revision) else "never"
    if not step:
        return "now" if facts.stage >= 0 else "future"
    index = int(step) - 1
    if index > facts.last:
        return "past"
    return "now" if index == facts.stage else "future" if index > facts.stage else "past"


def waiting(annotations: Mapping[str, str], facts: Facts) -> str:
    """What a promote that is left where it is waits for, "" if there is none."""
    value = annotations.get(names.PROMOTE)
    if value is None or bound_to(value, facts) != "future":
        return ""
    revision, _, step = value.partition("/")
    if revision == facts.canary:
        return f"promote={value} waits for step {step or 1}"
    return f"promote={value} waits until {revision} is released"


def strangers(rollout: str, annotations: Mapping[str, str]) -> tuple[Finding, ...]:
    """A warning for each annotation of `rollout` (`Rollout shop/web`) that has our prefix and no meaning."""
    known = _NOT_COMMANDS | set(names.COMMANDS)
    return tuple(
        _stranger(rollout, name)
        for name in sorted(annotations)
        if name.startswith(PREFIX) and name not in known
    )


def _stranger(rollout: str, name: str) -> Finding:
    close = get_close_matches(name.removeprefix(PREFIX).lower(), VERBS, n=1)
    first, *others = VERBS
    commands = f"{PREFIX}{first}, {', '.join(others[:-1])} and {others[-1]}"
    fix = (
        f"Did you mean {PREFIX}{close[0]}? Else remove it."
        if close
        else f"Remove it; commands are {commands}."
    )
    sentence = "there is no such command, and nothing is done"
    return Finding(UNKNOWN, "warning", rollout, f"metadata.annotations[{name}]", sentence, fix)


def annotate(*commands: str) -> str:
    """How to give one of these (`promote=new/2`, `abort=true`): the first one's key whole, to be copied."""
    first, *others = commands
    keys = [f"{PREFIX}{first}", *(f"…/{other}" for other in others)]
    listed = ", ".join(keys[:-1])
    return f"annotate {listed} or {keys[-1]}" if listed else f"annotate {keys[-1]}"

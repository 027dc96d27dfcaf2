"""The tables of docs/reference.md, made from the models, the protocol's table and the settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rollout_controller.api import names
from rollout_controller.api.fields import VALIDATIONS
from rollout_controller.api.quantities import DURATION_FORM, PERCENTAGE_FORM, format_duration
from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.status import RolloutStatus
from rollout_controller.app.metrics import Instruments
from rollout_controller.app.settings import Settings, env_of, flag_of
from rollout_controller.core.table import TABLE, Cell, Event, State

Schema = Mapping[str, Any]

COMMANDS: Final[Mapping[str, tuple[Event, str, str]]] = {
    names.ABORT: (Event.ABORT, "why", "everybody goes back to stable, and the canary is deleted"),
    names.PAUSE: (
        Event.HOLD,
        "why",
        "holds the release at its present weight; the analysis goes on and may revert",
    ),
    names.RETRY: (
        Event.RETRY,
        "`true`",
        "releases the version that was reverted again, from the first step on",
    ),
    names.PROMOTE: (
        Event.PROMOTE,
        "`true`, `full`, `<canary>` or `<canary>/<step>`",
        "leaves the present step without waiting for its gate (one that fails still reverts), or approves it;"
        " `full` goes straight to 100 %, without gates or bake. Bound to `.status.canary`, and to a step"
        " counted from 1, it waits for its step and is dropped if that is over",
    ),
    names.RESUME: (Event.RESUME, "`true`", "goes on after a pause"),
}
"""Annotation -> what happens, what its value may be, what it does."""

EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "Healthy": ("Normal", "the Deployment was adopted, or a release was taken back: stable serves everybody"),
    "Started": ("Normal", "a release begins: of which version, beside which, and why"),
    "StepStarted": ("Normal", "a step begins, with what it gives the canary"),
    "Approved": ("Normal", "`promote` was accepted: the step is left as soon as nothing else holds it"),
    "Paused": (
        "Normal, Warning",
        "the release is held: by a person, by an approval, or (Warning) by what is wrong",
    ),
    "Resumed": ("Normal", "a paused release goes on, other than by `promote`"),
    "StrategyEdited": (
        "Normal",
        "`spec.strategy` was edited in a release, which goes on with the steps that it had",
    ),
    "Promoting": ("Normal", "the last step passed: the canary is handed over to the Deployment"),
    "Promoted": ("Normal", "the new version is the Deployment's own"),
    "Reverting": ("Warning", "everybody goes back to stable, and why"),
    "Reverted": ("Warning", "the canary is gone, and the Deployment stays paused at its template"),
    "Invalid": ("Warning", "an error finding keeps the Rollout from releasing anything"),
    "Cured": ("Normal", "what made the Rollout Invalid is gone"),
    "NativeRoll": ("Warning", "the Deployment rolled by itself, past the steps"),
    "PausedAgain": ("Warning", "somebody un-paused the Deployment in a release; it was paused again"),
    "PodsShort": ("Warning", "canary pods are missing, so its share is lowered"),
    "Corrected": (
        "Warning",
        "weights, pins or subsets changed by others were put back: by whom, and what to set",
    ),
    "CommandRefused": ("Warning", "a command made no sense, and was dropped: why"),
    "GateFailing": ("Warning", "the gate fails, and is only told of, as `promote=full` was asked for"),
    "StrayRequests": ("Warning", "requests still reach a canary after everybody was sent back"),
    "LeftPaused": (
        "Warning",
        "the Rollout was deleted, and its Deployment stays paused at a template never released",
    ),
    "ServingSideChanged": ("Warning", "of two Deployments: all weights were moved by hand to the idle one"),
    "UngatedChange": (
        "Warning",
        "of two Deployments: the one that serves rolls a new template, past every gate",
    ),
    "WriteFails": ("Warning", "the API server does not take a write: which, and why"),
}
"""Reason -> type and when. Warning findings are Events as well, by their codes."""

CONDITIONS: Final[Mapping[str, tuple[str, str]]] = {
    "Ready": ("stable serves everybody and no release runs", "the phase"),
    "Reconciling": ("the Rollout is not yet where it wants to be: a release runs, or begins", "the phase"),
    "Stalled": ("`Invalid` or `Reverted`: somebody has to do something", "the phase"),
    "Paused": (
        "a release is held",
        "`Spec`, `Command`, `Approval`, `Inconclusive`, `Finding` or `MaxDuration`; else `NotPaused`",
    ),
    "TrafficVerified": (
        "requests go as routed; Unknown where nothing can be said",
        "see [verified traffic](traffic.md#verified-traffic)",
    ),
}
"""Type -> when it is True, and what its reason is."""

MARKS: Final = (
    (names.LABEL, "label of the Deployment", "the Rollout's name; the gate looks for it"),
    (
        names.HELD_BY,
        "annotation of the Deployment",
        "the Rollout that holds it, while the gate's pause stands",
    ),
    (
        names.LABEL,
        "label of a ReplicaSet",
        "the Rollout that made it; it keeps the label once it is promoted",
    ),
    (
        names.FINALIZER,
        "finalizer of the Rollout",
        "there is something to take back before the Rollout may go",
    ),
    (names.CLAIM, "annotation of the Rollout", "the command that was taken, and is carried out once"),
)


@dataclass(frozen=True)
class Row:
    """A field: its path below the table's object, its schema, whether it must be given, rules from above."""

    path: str
    schema: Schema
    required: bool
    rules: tuple[str, ...]


def rows(schema: Schema, path: str = "") -> Iterator[Row]:
    """All fields below an object, each followed by its own."""
    for name, field in schema.get("properties", {}).items():
        at = f"{path}.{name}" if path else name
        yield Row(at, field, name in schema.get("required", ()), _rules(schema, f".{name}"))
        inner, suffix = _inner(field)
        yield from rows(inner, f"{at}{suffix}")


def _inner(field: Schema) -> tuple[Schema, str]:
    """The schema that has the fields of an object, or of the entries of a list or map, and its path's end."""
    if "items" in field:
        return field["items"], "[]"
    if "additionalProperties" in field:
        return field["additionalProperties"], ".<name>"
    return field, ""


def _rules(schema: Schema, field_path: str | None) -> tuple[str, ...]:
    """What the CEL rules of an object ask of one of its fields; of itself for None."""
    found = [rule for rule in schema.get(VALIDATIONS, ()) if rule.get("fieldPath") == field_path]
    return tuple(str(rule["message"]).removeprefix("must be ").removeprefix("must have ") for rule in found)


def type_of(field: Schema) -> str:
    """What a person writes there."""
    messages = {rule["message"] for rule in field.get(VALIDATIONS, ())}
    if f"must be {DURATION_FORM}" in messages:
        return "duration"
    if f"must be {PERCENTAGE_FORM}" in messages:
        return "percentage"
    if "items" in field:
        return f"list of {type_of(field['items'])}s"
    if "additionalProperties" in field:
        return f"map of {type_of(field['additionalProperties'])}s"
    return "time" if field.get("format") == "date-time" else str(field["type"])


_FORMS: Final = (DURATION_FORM, PERCENTAGE_FORM)
_BOUNDS: Final = (
    ("minimum", "maximum", ""),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " entries"),
    ("minLength", "maxLength", " characters"),
)


def allowed(row: Row) -> str:
    """Which values are taken, as far as the type does not say it."""
    field = row.schema
    inner, _ = _inner(field)
    said = [f"`{value}`" for value in field.get("enum", ())]
    parts = [", ".join(said)] if said else []
    parts += [_range(field.get(low), field.get(high), unit) for low, high, unit in _BOUNDS]
    own = _rules(field, None)
    if type_of(field) in {"duration", "percentage"} or own:
        parts = [part for part in parts if "characters" not in part]
    if inner is not field:
        own += tuple(f"each {rule}" for rule in _rules(inner, None))
    parts += [rule for rule in (*own, *row.rules) if rule not in _FORMS]
    return "; ".join(filter(None, parts))


def _range(low: object, high: object, unit: str) -> str:
    if high is None:
        return "" if low is None else f"at least {low}{unit}"
    return f"at most {high}{unit}" if low is None else f"{low} to {high}{unit}"


def default_of(row: Row) -> str:
    """What holds where the field is left out."""
    if row.required:
        return "required"
    default = row.schema.get("default")
    if default is None or default == {}:
        return "see below" if default == {} else ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    head = tuple(head)
    cells = [head, ("---",) * len(head), *(tuple(line) for line in lines)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in cells)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _spec() -> str:
    """A table for the fields of the spec itself, and one for what is below each object of it."""
    schema = structural_schema(RolloutSpec)
    head = ("field", "type", "default", "allowed", "meaning")
    top = [row for row in rows(schema) if "." not in row.path]
    text = table(head, map(_spec_line, top))
    for row in top:
        if "properties" in row.schema:
            text += f"\n### spec.{row.path}\n\n" + table(head, map(_spec_line, rows(row.schema)))
    return text


def _spec_line(row: Row) -> tuple[str, ...]:
    meaning = _one_line(row.schema["description"])
    return f"`{row.path}`", type_of(row.schema), default_of(row), allowed(row), meaning


def _status() -> str:
    found = rows(structural_schema(RolloutStatus))
    shown = [row for row in found if not row.path.startswith("conditions[]")]
    lines = ((f"`{row.path}`", type_of(row.schema), _one_line(row.schema["description"])) for row in shown)
    return table(("field", "type", "meaning"), lines)


def _conditions() -> str:
    lines = ((f"`{name}`", when, reason) for name, (when, reason) in CONDITIONS.items())
    return table(("type", "True when", "reason"), lines)


def phases_of(event: Event) -> list[State]:
    """Where a command is carried out; elsewhere it is dropped."""
    idle = {Cell.NOTHING, Cell.STAY, Cell.REFUSE}
    return [state for state in State if TABLE[event, state] not in idle]


def _commands() -> str:
    lines = (
        (f"`{name}`", value, ", ".join(f"`{state}`" for state in phases_of(event)), what)
        for name, (event, value, what) in COMMANDS.items()
    )
    return table(("annotation of the Rollout", "value", "in phase", "what it does"), lines)


def _marks() -> str:
    return table(("name", "where", "meaning"), ((f"`{name}`", where, what) for name, where, what in MARKS))


def _events() -> str:
    return table(("reason", "type", "when"), ((f"`{name}`", *told) for name, told in EVENTS.items()))


def _settings() -> str:
    lines = (
        (f"`{flag_of(name)}`", f"`{env_of(name)}`", _setting(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return table(("flag", "environment", "default", "meaning"), lines)


def _setting(default: object) -> str:
    if default is None or default == "":
        return ""
    return f"`{format_duration(default) if isinstance(default, timedelta) else default}`"


def _metrics() -> str:
    ours = [m for m in Instruments().registry.collect() if m.name.startswith("rollout_controller")]
    suffix = {"counter": "_total", "info": "_info"}
    return table(
        ("metric", "type", "what"),
        ((f"`{m.name}{suffix.get(m.type, '')}`", m.type, m.documentation) for m in ours),
    )


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "spec": _spec,
    "status": _status,
    "conditions": _conditions,
    "commands": _commands,
    "marks": _marks,
    "events": _events,
    "settings": _settings,
    "metrics": _metrics,
}
"""What stands in the page between marks of this name."""

"""Types of single fields: how a value looks in Python, in JSON, and in the schema of the CRD.

Each carries its CEL rules next to its Python check, because both must refuse the same values: the API server
at apply, `parse_spec` for objects stored before a rule existed.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    PlainSerializer,
    StrictFloat,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from rollout_controller.api.quantities import (
    DURATION_FORM,
    DURATION_MAX_LENGTH,
    DURATION_PATTERN,
    PERCENTAGE_FORM,
    PERCENTAGE_MAX_LENGTH,
    PERCENTAGE_PATTERN,
    QuantityError,
    format_duration,
    format_percentage,
    parse_duration,
    parse_percentage,
)

VALIDATIONS: Final = "x-kubernetes-validations"
Schema = dict[str, Any]
_Value = TypeVar("_Value")


def cel(rule: str, message: str, *, field_path: str | None = None) -> Schema:
    """One CEL rule of the CRD: `message` is what a person reads when `rule` is false."""
    path = {} if field_path is None else {"fieldPath": field_path}
    return {"rule": rule, "message": message, **path}


def wrong(expected: str, *, found: str | None = None, field: str = "") -> PydanticCustomError:
    """The error of a Python check.

    `field` is below the value that is checked, like `.scale`; `found` replaces that value's repr.
    """
    context = {"expected": expected, "found": found, "field": field}
    return PydanticCustomError("rollout", "expected {expected}", context)


def _reader(parse: Callable[[str], _Value], form: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        # A bare number has no unit: nobody can tell 0.01 from 0.01 %.
        if isinstance(value, bool | int | float) or value is None:
            raise wrong(form)
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except QuantityError as error:
            raise wrong(error.expected) from error

    return read


def _duration_schema(*more: Schema) -> WithJsonSchema:
    form = cel(f"self.size() > 0 && self.matches('{DURATION_PATTERN}')", f"must be {DURATION_FORM}")
    return WithJsonSchema({"type": "string", "maxLength": DURATION_MAX_LENGTH, VALIDATIONS: [form, *more]})


def _at_least(least: timedelta) -> Callable[[timedelta], timedelta]:
    def check(value: timedelta) -> timedelta:
        if value < least:
            raise wrong(f"at least {format_duration(least)}")
        return value

    return check


def _at_least_rule(least: timedelta) -> Schema:
    # A malformed string passes here: one message, that of the form, is enough.
    text = format_duration(least)
    rule = f"self.size() == 0 || !self.matches('{DURATION_PATTERN}') || duration(self) >= duration('{text}')"
    return cel(rule, f"must be at least {text}")


_read_duration = BeforeValidator(_reader(parse_duration, DURATION_FORM))
_write_duration = PlainSerializer(format_duration, return_type=str, when_used="json")

_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)

Duration = Annotated[timedelta, _read_duration, _write_duration, _duration_schema()]
"""Zero or longer."""


def _format_elapsed(value: timedelta) -> str:
    return format_duration(max(value, timedelta(0)))


Elapsed = Annotated[
    timedelta,
    _read_duration,
    PlainSerializer(_format_elapsed, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""A duration in the status. Nothing may ever refuse a status: there are no rules, and where a clock was set
back the duration is none."""

Seconds = Annotated[
    timedelta,
    _read_duration,
    AfterValidator(_at_least(_SECOND)),
    _write_duration,
    _duration_schema(_at_least_rule(_SECOND)),
]
"""A second or longer: what a loop waits, or what a time limit allows."""

Latency = Annotated[
    timedelta,
    _read_duration,
    AfterValidator(_at_least(_MILLISECOND)),
    _write_duration,
    _duration_schema(_at_least_rule(_MILLISECOND)),
]
"""A millisecond or longer."""


def _below_all(value: float) -> float:
    if value >= 1:
        raise wrong("a percentage below 100%, or the check can never fail")
    return value


ErrorLimit = Annotated[
    float,
    BeforeValidator(_reader(parse_percentage, PERCENTAGE_FORM)),
    AfterValidator(_below_all),
    PlainSerializer(format_percentage, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": PERCENTAGE_MAX_LENGTH,
            VALIDATIONS: [
                cel(f"self.matches('{PERCENTAGE_PATTERN}')", f"must be {PERCENTAGE_FORM}"),
                cel("!self.startsWith('100')", "must be below 100%, or the check can never fail"),
            ],
        }
    ),
]
"""A percentage as its fraction: `"1%"` is 0.01."""


def _open_interval(value: float) -> float:
    if not 0 < value < 1:
        raise wrong("a quantile above 0 and below 1, like 0.99")
    return value


Quantile = Annotated[
    StrictFloat,
    AfterValidator(_open_interval),
    WithJsonSchema(
        {
            "type": "number",
            VALIDATIONS: [cel("self > 0.0 && self < 1.0", "must be above 0 and below 1, like 0.99")],
        }
    ),
]


def _name(pattern: str, longest: int, form: str) -> tuple[AfterValidator, WithJsonSchema]:
    compiled = re.compile(pattern.replace("$", r"\Z"))

    def check(value: str) -> str:
        if len(value) > longest or compiled.match(value) is None:
            raise wrong(form)
        return value

    rule = cel(f"self.matches('{pattern}')", f"must be {form}")
    schema = {"type": "string", "maxLength": longest, VALIDATIONS: [rule]}
    return AfterValidator(check), WithJsonSchema(schema)


_LABEL_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_SUBDOMAIN_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

_object_check, _object_schema = _name(
    _SUBDOMAIN_PATTERN, 253, "the name of an object in this namespace: a-z, 0-9, '-' and '.', like web"
)
ObjectName = Annotated[str, _object_check, _object_schema]
"""The name of an object in the Rollout's namespace."""

_deployment_check, _deployment_schema = _name(
    # The canary ReplicaSet's name is this one, a dash and a hash of up to ten characters, 253 in all.
    _SUBDOMAIN_PATTERN,
    242,
    "the name of a Deployment in this namespace: a-z, 0-9, '-' and '.', at most 242 characters, like web",
)
DeploymentName = Annotated[str, _deployment_check, _deployment_schema]

_subset_check, _subset_schema = _name(
    _LABEL_PATTERN, 63, "the name of a subset: a-z, 0-9 and '-', at most 63 characters, like stable"
)
SubsetName = Annotated[str, _subset_check, _subset_schema]


_service_check, _service_schema = _name(
    _LABEL_PATTERN, 63, "the name of a Service in this namespace: a-z, 0-9 and '-', like web"
)
ServiceName = Annotated[str, _service_check, _service_schema]


def _route_name(value: str) -> str:
    if not 1 <= len(value) <= 253:
        raise wrong("the name of an http route, 1 to 253 characters")
    return value


RouteName = Annotated[
    str, AfterValidator(_route_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 253})
]
"""Istio allows any text as the name of a route."""


_HEADER_PATTERN: Final = "^[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_header_check, _header_schema = _name(
    _HEADER_PATTERN, 128, "the name of a header in lower case, as Istio wants it, like x-canary"
)
HeaderName = Annotated[str, _header_check]
"""The key of a map: its rule stands at the map, as a structural schema has none for keys."""

HEADER_RULE: Final = cel(
    f"self.all(name, name.size() <= 128 && name.matches('{_HEADER_PATTERN}'))",
    "must have names of headers in lower case, as Istio wants them, like x-canary",
)


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Timestamp = Annotated[
    AwareDatetime, AfterValidator(_in_utc), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""RFC 3339 in UTC, with microseconds when there are any: a time read back equals the time written."""

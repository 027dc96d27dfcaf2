"""A Rollout as small as it can be, and the table of wrong ones with what each is told.

The API server checks an object at apply; `parse_spec` checks it again when it is read. Both are held to this
one table.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MINIMAL: Final[dict[str, Any]] = {
    "apiVersion": "rollout-controller.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "web"},
    "spec": {
        "workload": {"deployment": "web"},
        "traffic": {
            "istio": {
                "virtualServices": [{"name": "web", "routes": ["primary"]}],
                "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
            }
        },
        "strategy": {"canary": {}},
        "analysis": {
            "checks": [{"errorRate": {"max": "1%"}}, {"latency": {"quantile": 0.99, "max": "500ms"}}]
        },
    },
}

GONE: Final = object()
"""As a change: the field is taken away."""


def rollout(changes: Mapping[str, Any] | None = None, *, name: str = "web") -> dict[str, Any]:
    """The minimal Rollout with fields of its spec changed: `{"strategy.canary.minPods": 0}`."""
    result = copy.deepcopy(MINIMAL)
    result["metadata"]["name"] = name
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        target: Any = result["spec"]
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        key = int(last) if isinstance(target, list) else last
        if value is GONE:
            del target[key]
        else:
            target[key] = value
    return result


@dataclass(frozen=True)
class Wrong:
    """A Rollout that is refused. `says` is all of what kubectl prints below its first line, but for the API
    server's own remark that it left out later checks; `parsed` is what `parse_spec` says of the same."""

    what: str
    changes: Mapping[str, Any]
    says: str
    parsed: str


_DURATION = 'a duration like "90s", "5m" or "1h30m" (units h, m, s, ms, us, in this order)'
_PERCENTAGE = 'a percentage like "1%" or "0.5%", from 0% to 100% with at most four decimals'
_STEPS = "weights that do not fall from step to step and end at 100, like 5, 10, 25, 50, 100"
_SCALE = "at least the step's weight and mirror: fewer pods would carry more than their share"
_HOSTS = {"virtualServices": [{"name": "web"}]}
_HEADER = "the name of a header in lower case, as Istio wants it, like x-canary"
_SERVICE = "the name of a Service in this namespace: a-z, 0-9 and '-', like web"
_WINDOW = "at least the interval, or requests between two readings are never judged"
_OBJECT = "the name of an object in this namespace: a-z, 0-9, '-' and '.', like web"
_DEPLOYMENT = (
    "the name of a Deployment in this namespace: a-z, 0-9, '-' and '.', at most 242 characters, like web"
)
_WORKLOAD = "either deployment, or both stable and canary"
_SUBSET = "the name of a subset: a-z, 0-9 and '-', at most 63 characters, like stable"


def _duration(what: str, path: str, value: str) -> Wrong:
    return Wrong(
        what,
        {path: value},
        f'spec.{path}: Invalid value: "{value}": must be {_DURATION}',
        f"spec.{path}: expected {_DURATION}, found {value!r}",
    )


def _mistyped(what: str, path: str, value: Any, type_: str, found: str, expected: str) -> Wrong:
    where = "spec." + path.replace(".0", "[0]").replace(".1", "[1]")
    return Wrong(
        what,
        {path: value},
        f'{where}: Invalid value: "{found}": {where} in body must be of type {type_}: "{found}"',
        f"{where}: expected {expected}, found {value!r}",
    )


def _missing(what: str, path: str) -> Wrong:
    where = f"spec.{path}"
    return Wrong(what, {path: GONE}, f"{where}: Required value", f"{where}: expected a value, found none")


def _limit(what: str, path: str, value: int, server: str, expected: str) -> Wrong:
    return Wrong(
        what,
        {path: value},
        f"spec.{path}: Invalid value: {value}: spec.{path} in body should be {server}",
        f"spec.{path}: expected {expected}, found {value}",
    )


def _steps(what: str, weights: list[int], says: str, parsed: str) -> Wrong:
    steps = {"strategy.canary.steps": [{"weight": weight} for weight in weights]}
    path = "spec.strategy.canary.steps"
    return Wrong(what, steps, says.format(path=path), parsed.format(path=path))


def _unsorted(what: str, weights: list[int]) -> Wrong:
    found = ", ".join(str(weight) for weight in weights)
    return _steps(
        what,
        weights,
        f"{{path}}: Invalid value: must have {_STEPS}",
        f"{{path}}: expected {_STEPS}, found {found}",
    )


def _error_rate(what: str, value: str, expected: str) -> Wrong:
    where = "spec.analysis.checks[0].errorRate.max"
    return Wrong(
        what,
        {"analysis.checks.0.errorRate.max": value},
        f'{where}: Invalid value: "{value}": must be {expected}',
        f"{where}: expected {'a percentage ' if expected.startswith('below') else ''}{expected}"
        f", found {value!r}",
    )


WRONG: Final = (
    # durations
    _duration("a duration in words", "bake", "5 minutes"),
    _duration("an empty duration", "drain", ""),
    _duration("units out of order", "minDuration", "30s5m"),
    _duration("a fraction of an hour", "maxDuration", "1.5h"),
    _duration("a negative duration", "analysis.warmup", "-5s"),
    _duration("a number without its unit", "progressDeadline", "600"),
    _duration("a malformed interval, told once", "analysis.interval", "10 s"),
    _mistyped("a bare number for a duration", "bake", 300, "string", "integer", _DURATION),
    Wrong(
        "a step's malformed minDuration",
        {"strategy.canary.steps": [{"weight": 50, "minDuration": "5min"}, {"weight": 100}]},
        f'spec.strategy.canary.steps[0].minDuration: Invalid value: "5min": must be {_DURATION}',
        f"spec.strategy.canary.steps[0].minDuration: expected {_DURATION}, found '5min'",
    ),
    Wrong(
        "an interval of nothing",
        {"analysis.interval": "0s"},
        'spec.analysis.interval: Invalid value: "0s": must be at least 1s',
        "spec.analysis.interval: expected at least 1s, found '0s'",
    ),
    Wrong(
        "a window shorter than the interval",
        {"analysis.window": "5s"},
        f"spec.analysis.window: Invalid value: must be {_WINDOW}",
        f"spec.analysis.window: expected {_WINDOW}, found 5s with interval 10s",
    ),
    # checks
    _error_rate("a fraction for a percentage", "0.01", _PERCENTAGE),
    _error_rate("more than all", "101%", _PERCENTAGE),
    _error_rate("a limit that nothing exceeds", "100%", "below 100%, or the check can never fail"),
    _mistyped(
        "a bare fraction for a percentage",
        "analysis.checks.0.errorRate.max",
        0.01,
        "string",
        "number",
        _PERCENTAGE,
    ),
    Wrong(
        "two kinds in one check",
        {"analysis.checks.0.latency": {"quantile": 0.5, "max": "1s"}},
        "spec.analysis.checks[0]: Invalid value: must have exactly one of errorRate and latency",
        "spec.analysis.checks[0]: expected exactly one of errorRate and latency, found both",
    ),
    Wrong(
        "a check of no kind",
        {"analysis.checks.0": {}},
        "spec.analysis.checks[0]: Invalid value: must have exactly one of errorRate and latency",
        "spec.analysis.checks[0]: expected exactly one of errorRate and latency, found neither",
    ),
    Wrong(
        "no checks",
        {"analysis.checks": []},
        "spec.analysis.checks: Invalid value: 0: spec.analysis.checks in body should have at least 1 items",
        "spec.analysis.checks: expected 1 or more items, found []",
    ),
    _missing("checks left out", "analysis.checks"),
    _missing("the analysis left out", "analysis"),
    Wrong(
        "a quantile in percent",
        {"analysis.checks.1.latency.quantile": 99},
        "spec.analysis.checks[1].latency.quantile: Invalid value: 99: must be above 0 and below 1, like 0.99",
        "spec.analysis.checks[1].latency.quantile: expected a quantile above 0 and below 1, like 0.99"
        ", found 99",
    ),
    _mistyped(
        "a quantile in quotes",
        "analysis.checks.1.latency.quantile",
        "0.99",
        "number",
        "string",
        "a number",
    ),
    Wrong(
        "a latency limit of nothing",
        {"analysis.checks.1.latency.max": "0s"},
        'spec.analysis.checks[1].latency.max: Invalid value: "0s": must be at least 1ms',
        "spec.analysis.checks[1].latency.max: expected at least 1ms, found '0s'",
    ),
    _limit(
        "a reading judged without requests",
        "analysis.minRequests",
        0,
        "greater than or equal to 1",
        "at least 1",
    ),
    _limit(
        "no failing reading allowed", "analysis.failureLimit", 0, "greater than or equal to 1", "at least 1"
    ),
    Wrong(
        "an unknown consequence",
        {"analysis.inconclusive": {"then": "Abort"}},
        'spec.analysis.inconclusive.then: Unsupported value: "Abort": supported values: "Pause", "Revert"',
        "spec.analysis.inconclusive.then: expected 'Pause' or 'Revert', found 'Abort'",
    ),
    # strategy
    _unsorted("falling weights", [50, 25, 100]),
    _unsorted("a last step below all", [5, 50]),
    _steps(
        "a negative weight",
        [-1, 100],
        "{path}[0].weight: Invalid value: -1: {path}[0].weight in body should be greater than or equal to 0",
        "{path}[0].weight: expected at least 0, found -1",
    ),
    _steps(
        "a weight above all",
        [50, 101],
        "{path}[1].weight: Invalid value: 101: {path}[1].weight in body should be less than or equal to 100\n"
        f"{{path}}: Invalid value: must have {_STEPS}",
        "{path}[1].weight: expected at most 100, found 101",
    ),
    _steps(
        "no steps",
        [],
        "{path}: Invalid value: 0: {path} in body should have at least 1 items",
        "{path}: expected 1 or more items, found []",
    ),
    _steps(
        "too many steps",
        [100] * 51,
        "{path}: Too many: 51: must have at most 50 items",
        "{path}: expected at most 50 items, found 51",
    ),
    Wrong(
        "a step that sends nothing",
        {"strategy.canary.steps": [{"scale": 50}, {"weight": 100}]},
        "spec.strategy.canary.steps[0]: Invalid value: must have a weight, or a mirror, or both: something"
        " has to be sent to the canary",
        "spec.strategy.canary.steps[0]: expected a weight, or a mirror, or both: something has to be sent to"
        " the canary, found neither",
    ),
    Wrong(
        "steps that end with a mirror",
        {"strategy.canary.steps": [{"weight": 50}, {"mirror": 100}]},
        f"spec.strategy.canary.steps: Invalid value: must have {_STEPS}",
        f"spec.strategy.canary.steps: expected {_STEPS}, found 50",
    ),
    Wrong(
        "fewer pods than the copies need",
        {"strategy.canary.steps": [{"mirror": 50, "scale": 20}, {"weight": 100}]},
        f"spec.strategy.canary.steps[0].scale: Invalid value: must be {_SCALE}",
        f"spec.strategy.canary.steps[0].scale: expected {_SCALE}, found 20 with mirror 50",
    ),
    Wrong(
        "a pinned header in capitals",
        {"strategy.canary.pin": [{"headers": {"X-Canary": {"exact": "true"}}}]},
        "spec.strategy.canary.pin[0].headers: Invalid value: must have names of headers in lower case, as"
        " Istio wants them, like x-canary",
        f"spec.strategy.canary.pin[0].headers.X-Canary: expected {_HEADER}, found 'X-Canary'",
    ),
    Wrong(
        "a pinned header that must be two things",
        {"strategy.canary.pin": [{"headers": {"x-canary": {"exact": "a", "prefix": "b"}}}]},
        "spec.strategy.canary.pin[0].headers[x-canary]: Invalid value: must have exactly one of exact, prefix"
        " and regex",
        "spec.strategy.canary.pin[0].headers.x-canary: expected exactly one of exact, prefix and regex, found"
        " exact and prefix",
    ),
    Wrong(
        "an expression that is none",
        {"strategy.canary.pin": [{"headers": {"x-region": {"regex": "(eu"}}}]},
        'spec.strategy.canary.pin[0].headers[x-region].regex: Invalid value: "string": error parsing regexp:'
        " missing closing ): `(eu` evaluating rule: must be a regular expression of RE2, as Envoy refuses all"
        " routes with another one",
        "spec.strategy.canary.pin[0].headers.x-region.regex: expected a regular expression of RE2, as Envoy"
        " refuses all routes with another one, found '(eu': missing ): (eu",
    ),
    Wrong(
        "two strategies",
        {"strategy.blueGreen": {}},
        "spec.strategy: Invalid value: must have exactly one of canary and blueGreen",
        "spec.strategy: expected exactly one of canary and blueGreen, found both",
    ),
    Wrong(
        "subsets and Services",
        {"traffic.istio.services": {"stable": "web", "canary": "web-canary"}},
        "spec.traffic.istio: Invalid value: must have exactly one of destinationRule and services",
        "spec.traffic.istio: expected exactly one of destinationRule and services, found both",
    ),
    Wrong(
        "one Service for both versions",
        {"traffic.istio": {**_HOSTS, "services": {"stable": "a", "canary": "a"}}},
        "spec.traffic.istio.services.canary: Invalid value: must be another Service than stable",
        "spec.traffic.istio.services.canary: expected another Service than stable, found 'a'",
    ),
    Wrong(
        "a Service's name with a dot",
        {"traffic.istio": {**_HOSTS, "services": {"stable": "a.b", "canary": "a"}}},
        f'spec.traffic.istio.services.stable: Invalid value: "a.b": must be {_SERVICE}',
        f"spec.traffic.istio.services.stable: expected {_SERVICE}, found 'a.b'",
    ),
    Wrong(
        "a weight in quotes",
        {"strategy.canary.steps": [{"weight": "10%"}, {"weight": 100}]},
        'spec.strategy.canary.steps[0].weight: Invalid value: "string":'
        ' spec.strategy.canary.steps[0].weight in body must be of type integer: "string"',
        "spec.strategy.canary.steps[0].weight: expected a whole number, found '10%'",
    ),
    Wrong(
        "fewer pods than their share",
        {"strategy.canary.steps": [{"weight": 50, "scale": 20}, {"weight": 100}]},
        f"spec.strategy.canary.steps[0].scale: Invalid value: must be {_SCALE}",
        f"spec.strategy.canary.steps[0].scale: expected {_SCALE}, found 20 with weight 50",
    ),
    _limit("no pods", "strategy.canary.minPods", 0, "greater than or equal to 1", "at least 1"),
    _missing("the strategy left out", "strategy"),
    Wrong(
        "a strategy of no kind",
        {"strategy.canary": GONE},
        "spec.strategy: Invalid value: must have exactly one of canary and blueGreen",
        "spec.strategy: expected exactly one of canary and blueGreen, found neither",
    ),
    # workload and traffic
    Wrong(
        "a Deployment's name in capitals",
        {"workload.deployment": "Web"},
        f'spec.workload.deployment: Invalid value: "Web": must be {_DEPLOYMENT}',
        f"spec.workload.deployment: expected {_DEPLOYMENT}, found 'Web'",
    ),
    Wrong(
        "an empty name",
        {"workload.deployment": ""},
        f'spec.workload.deployment: Invalid value: "": must be {_DEPLOYMENT}',
        f"spec.workload.deployment: expected {_DEPLOYMENT}, found ''",
    ),
    Wrong(
        "no Deployment",
        {"workload": {}},
        f"spec.workload: Invalid value: must have {_WORKLOAD}",
        f"spec.workload: expected {_WORKLOAD}, found neither",
    ),
    Wrong(
        "one Deployment and two",
        {"workload.stable": {"deployment": "web-v1"}, "workload.canary": {"deployment": "web-v2"}},
        f"spec.workload: Invalid value: must have {_WORKLOAD}",
        f"spec.workload: expected {_WORKLOAD}, found deployment and stable and canary",
    ),
    Wrong(
        "one of two Deployments",
        {"workload": {"canary": {"deployment": "web-v2"}}},
        f"spec.workload: Invalid value: must have {_WORKLOAD}",
        f"spec.workload: expected {_WORKLOAD}, found canary",
    ),
    Wrong(
        "one Deployment for both sides",
        {"workload": {"stable": {"deployment": "web"}, "canary": {"deployment": "web"}}},
        "spec.workload.canary.deployment: Invalid value: must be another Deployment than stable's",
        "spec.workload.canary.deployment: expected another Deployment than stable's, found 'web'",
    ),
    Wrong(
        "a VirtualService of another namespace",
        {"traffic.istio.virtualServices.0.name": "shop/web"},
        f'spec.traffic.istio.virtualServices[0].name: Invalid value: "shop/web": must be {_OBJECT}',
        f"spec.traffic.istio.virtualServices[0].name: expected {_OBJECT}, found 'shop/web'",
    ),
    Wrong(
        "no VirtualService",
        {"traffic.istio.virtualServices": []},
        "spec.traffic.istio.virtualServices: Invalid value: 0:"
        " spec.traffic.istio.virtualServices in body should have at least 1 items",
        "spec.traffic.istio.virtualServices: expected 1 or more items, found []",
    ),
    Wrong(
        "a VirtualService twice",
        {"traffic.istio.virtualServices": [{"name": "web"}, {"name": "web"}]},
        'spec.traffic.istio.virtualServices[1]: Duplicate value: {"name":"web"}',
        "spec.traffic.istio.virtualServices: expected each VirtualService once, found web, web",
    ),
    Wrong(
        "a route twice",
        {"traffic.istio.virtualServices.0.routes": ["a", "a"]},
        'spec.traffic.istio.virtualServices[0].routes[1]: Duplicate value: "a"',
        "spec.traffic.istio.virtualServices[0].routes: expected each route once, found a, a",
    ),
    Wrong(
        "one subset for both",
        {"traffic.istio.destinationRule.canarySubset": "stable"},
        "spec.traffic.istio.destinationRule.canarySubset: Invalid value:"
        " must be another subset than stableSubset",
        "spec.traffic.istio.destinationRule.canarySubset: expected another subset than stableSubset"
        ", found 'stable'",
    ),
    Wrong(
        "a subset's name that Istio refuses",
        {"traffic.istio.destinationRule.canarySubset": "Canary_1"},
        f'spec.traffic.istio.destinationRule.canarySubset: Invalid value: "Canary_1": must be {_SUBSET}',
        f"spec.traffic.istio.destinationRule.canarySubset: expected {_SUBSET}, found 'Canary_1'",
    ),
    # the rest
    _limit("a way back of less than none", "rollbackWindow", -1, "greater than or equal to 0", "at least 0"),
    _limit("more ways back than are kept", "rollbackWindow", 11, "less than or equal to 10", "at most 10"),
    _mistyped("a switch in words", "paused", "yes", "boolean", "string", "true or false"),
)

UNKNOWN: Final = (
    "strategy.abTest",
    "strategy.canary.setWeight",
    "analysis.mode",
    "traffic.istio.mesh",
)
"""Fields below `spec` that do not exist (yet): whoever writes one must hear of it."""

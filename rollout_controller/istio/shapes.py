"""The form of the objects that findings are made from, as far as it is certain: types, and fields of no use.

The API server checks it all against Istio's own definitions; a linter has only the files. Where we write,
entries of a route and of `subsets`, a field that is not known here is an error; around that, where a newer
Istio may have more, only one that looks like a known one misspelt is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from rollout_controller.core.finding import Finding
from rollout_controller.istio.finding import error, member, warning

WRONG_TYPE: Final = "WrongType"
UNKNOWN_FIELD: Final = "UnknownField"

STRING, NUMBER, FLAG = "a string", "a whole number", "true or false"
"""Types of single values, in the words in which a person is told what was expected."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with these fields. Of a `closed` one they are all that there are, of an open one those that
    are looked at, and of one that is `exact` but open, those that Istio has today."""

    known: Mapping[str, Any]
    closed: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Each:
    """A list, or with `named` a mapping from any name, of values of one shape."""

    item: Any
    named: bool = False


_STRINGS: Final = Each(STRING)
_LABELS: Final = Each(STRING, named=True)
_MAP: Final = Fields({})
_SELECTOR: Final = Fields({"matchLabels": _LABELS, "matchExpressions": Each(_MAP)})
_METADATA: Final = Fields({"labels": _LABELS, "annotations": _LABELS, "managedFields": Each(_MAP)})
_TARGET: Final = Fields({"host": STRING, "subset": STRING, "port": _MAP}, closed=True)
_TEXT: Final = Fields({"exact": STRING, "prefix": STRING, "regex": STRING}, exact=True)
_MATCH: Final = Fields(
    {
        "name": STRING,
        "uri": _TEXT,
        "scheme": _TEXT,
        "method": _TEXT,
        "authority": _TEXT,
        "headers": Each(_TEXT, named=True),
        "port": NUMBER,
        "sourceLabels": _LABELS,
        "gateways": _STRINGS,
        "queryParams": Each(_TEXT, named=True),
        "ignoreUriCase": FLAG,
        "withoutHeaders": Each(_TEXT, named=True),
        "sourceNamespace": STRING,
        "statPrefix": STRING,
    },
    exact=True,
)
_ROUTE: Final = Each(Fields({"destination": _TARGET, "weight": NUMBER, "headers": _MAP}, closed=True))
_LAYER4: Final = Each(
    Fields({"match": Each(Fields({"port": NUMBER, "sniHosts": _STRINGS})), "route": _ROUTE}, exact=True)
)
"""Tls and tcp routes: neither has a name."""
_RETRIES: Final = Fields(
    {
        "attempts": NUMBER,
        "perTryTimeout": STRING,
        "retryOn": STRING,
        "retryRemoteLocalities": FLAG,
        "retryIgnorePreviousHosts": FLAG,
        "backoff": STRING,
    },
    exact=True,
)
_REWRITE: Final = Fields({"uri": STRING, "authority": STRING, "uriRegexRewrite": _MAP}, closed=True)
_CORS: Final = Fields({"allowOrigins": Each(_TEXT), "allowMethods": _STRINGS, "allowHeaders": _STRINGS})
_HTTP: Final = Fields(
    {
        "name": STRING,
        "match": Each(_MATCH),
        "route": _ROUTE,
        "redirect": _MAP,
        "directResponse": _MAP,
        "delegate": _MAP,
        "rewrite": _REWRITE,
        "timeout": STRING,
        "retries": _RETRIES,
        "fault": _MAP,
        "mirror": _TARGET,
        "mirrors": Each(Fields({"destination": _TARGET, "percentage": _MAP})),
        "mirrorPercent": NUMBER,
        "mirrorPercentage": _MAP,
        "corsPolicy": _CORS,
        "headers": _MAP,
    },
    exact=True,
)
_TLS: Final = Fields(
    {
        "mode": STRING,
        "clientCertificate": STRING,
        "privateKey": STRING,
        "caCertificates": STRING,
        "credentialName": STRING,
        "subjectAltNames": _STRINGS,
        "sni": STRING,
        "insecureSkipVerify": FLAG,
        "caCrl": STRING,
    },
    exact=True,
)
_OUTLIERS: Final = Fields(
    {
        "consecutiveErrors": NUMBER,
        "splitExternalLocalOriginErrors": FLAG,
        "consecutiveLocalOriginFailures": NUMBER,
        "consecutiveGatewayErrors": NUMBER,
        "consecutive5xxErrors": NUMBER,
        "interval": STRING,
        "baseEjectionTime": STRING,
        "maxEjectionPercent": NUMBER,
        "minHealthPercent": NUMBER,
        "outlierDetectionHttpErrorCodes": Each(NUMBER),
    },
    exact=True,
)
_OF_PORT: Final = {
    "loadBalancer": _MAP,
    "connectionPool": _MAP,
    "outlierDetection": _OUTLIERS,
    "tls": _TLS,
}
_POLICY: Final = Fields(
    {
        **_OF_PORT,
        "portLevelSettings": Each(Fields({**_OF_PORT, "port": _MAP}, exact=True)),
        "tunnel": _MAP,
        "proxyProtocol": _MAP,
        "retryBudget": _MAP,
    },
    exact=True,
)
_SUBSET: Final = Fields({"name": STRING, "labels": _LABELS, "trafficPolicy": _POLICY}, closed=True)
_TEMPLATE: Final = Fields({"metadata": _METADATA, "spec": _MAP})

SHAPES: Final[Mapping[str, Fields]] = {
    "VirtualService": Fields(
        {
            "hosts": _STRINGS,
            "gateways": _STRINGS,
            "http": Each(_HTTP),
            "tls": _LAYER4,
            "tcp": _LAYER4,
            "exportTo": _STRINGS,
        },
        exact=True,
    ),
    "DestinationRule": Fields(
        {
            "host": STRING,
            "trafficPolicy": _POLICY,
            "subsets": Each(_SUBSET),
            "exportTo": _STRINGS,
            "workloadSelector": _MAP,
        },
        exact=True,
    ),
    "Deployment": Fields(
        {
            "replicas": NUMBER,
            "selector": _SELECTOR,
            "template": _TEMPLATE,
            "strategy": Fields({"type": STRING, "rollingUpdate": _MAP}, exact=True),
            "minReadySeconds": NUMBER,
            "revisionHistoryLimit": NUMBER,
            "paused": FLAG,
            "progressDeadlineSeconds": NUMBER,
        },
        exact=True,
    ),
    "Service": Fields(
        {
            "selector": _LABELS,
            "ports": Each(
                Fields({"name": STRING, "appProtocol": STRING, "protocol": STRING, "port": NUMBER})
            ),
        }
    ),
    "Gateway": Fields({"servers": Each(Fields({"hosts": _STRINGS}))}),
    "ServiceEntry": Fields({"hosts": _STRINGS}),
    "PeerAuthentication": Fields(
        {"selector": _SELECTOR, "mtls": Fields({"mode": STRING}), "portLevelMtls": _MAP}
    ),
    "HorizontalPodAutoscaler": Fields(
        {
            "scaleTargetRef": Fields({"kind": STRING, "name": STRING}),
            "metrics": Each(Fields({"type": STRING})),
        }
    ),
    "Namespace": _MAP,
}
"""By kind, what its spec looks like."""


def shape_findings(kind: str, title: str, obj: Mapping[str, Any]) -> Iterator[Finding]:
    """What in the form of an object of a known kind is wrong: an error of type `WrongType` makes it one that
    cannot be looked at."""
    for field, shape in (("metadata", _METADATA), ("spec", SHAPES[kind])):
        if obj.get(field) is not None:
            yield from _check(title, field, shape, obj[field])


def _check(title: str, path: str, shape: Any, value: Any, *, entry: bool = False) -> Iterator[Finding]:
    """Null is as good as nothing, but for an `entry` of a list or of labels."""
    if value is None and not entry:
        return
    expected = _expected(shape)
    if not _is(expected, value):
        quotes = expected == STRING and isinstance(value, bool | int | float)
        fix = f'Write "{value}", in quotes.' if quotes else "Correct it."
        yield error(WRONG_TYPE, title, path, f"expected {expected}, found {value!r}", fix)
    elif isinstance(shape, Each):
        for key, item in value.items() if shape.named else enumerate(value):
            below = member(path, str(key)) if shape.named else f"{path}[{key}]"
            entry = shape.item == STRING or not shape.named
            yield from _check(title, below, shape.item, item, entry=entry)
    elif isinstance(shape, Fields):
        yield from _unknown(title, path, shape, value)
        for field, inner in shape.known.items():
            yield from _check(title, f"{path}.{field}", inner, value.get(field))


def _unknown(title: str, path: str, shape: Fields, value: Mapping[Any, Any]) -> Iterator[Finding]:
    for field in [str(key) for key in value if key not in shape.known]:
        close = get_close_matches(field, shape.known, n=1)
        if shape.closed or (shape.exact and close):
            tell = error if shape.closed else warning
            meant = f'Did you mean "{close[0]}"? Else remove it.' if close else "Remove it."
            yield tell(UNKNOWN_FIELD, title, f"{path}.{field}", "there is no such field", meant)


def _expected(shape: Any) -> str:
    if isinstance(shape, Each):
        return "a mapping" if shape.named else "a list"
    return "a mapping" if isinstance(shape, Fields) else str(shape)


def _is(expected: str, value: Any) -> bool:
    if expected == NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    types = {STRING: str, FLAG: bool, "a list": list, "a mapping": dict}
    return isinstance(value, types[expected])

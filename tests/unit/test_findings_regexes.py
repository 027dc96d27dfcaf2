"""Regular expressions that Envoy cannot read, in header pins and in routes."""

from __future__ import annotations

import pytest

from rollout_controller.api import parse_spec
from rollout_controller.api.parse import SpecError
from rollout_controller.api.regex import regex_problem
from rollout_controller.core.patch import Json
from tests.support.findings import codes, found, routed, told
from tests.support.istio_objects import half


@pytest.mark.parametrize("pattern", ["eu|us", ".*", "(?i)eu", r"\d+", "", "(?P<zone>eu)", "ä+"])
def test_what_re2_reads_is_a_regular_expression(pattern: str) -> None:
    assert regex_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(eu", "missing ): (eu"),
        ("[a", "missing ]: [a"),
        ("a**", "bad repetition operator: **"),
        ("(?=eu)", "invalid perl operator: (?="),  # fine in other languages
        (r"(a)\1", r"invalid escape sequence: \1"),
    ],
)
def test_what_re2_does_not_read_is_refused_with_its_reason(pattern: str, why: str) -> None:
    assert regex_problem(pattern) == why


def with_match(**match: Json) -> dict[str, Json]:
    return routed({**half(100, 0), "match": [{"uri": {"prefix": "/"}}, match]})


BAD = {"regex": "(eu"}


def test_a_route_that_envoy_cannot_read_is_an_error() -> None:
    assert told(virtual_services=with_match(uri=BAD)) == [
        "error InvalidRegex: VirtualService shop/web spec.http[0].match[1].uri.regex:"
        ' "(eu" is no regular expression of RE2 (missing ): (eu), so Envoy refuses all routes with it and'
        " keeps the old ones. Correct it."
    ]


@pytest.mark.parametrize(
    ("services", "path"),
    [
        (with_match(scheme=BAD), "match[1].scheme.regex"),
        (with_match(method=BAD), "match[1].method.regex"),
        (with_match(authority=BAD), "match[1].authority.regex"),
        (with_match(headers={"x-a": {}, "x-b": BAD}), "match[1].headers.x-b.regex"),
        (with_match(withoutHeaders={"x-b": BAD}), "match[1].withoutHeaders.x-b.regex"),
        (with_match(queryParams={"b": BAD}), "match[1].queryParams.b.regex"),
        (routed({**half(100, 0), "corsPolicy": {"allowOrigins": [BAD]}}), "corsPolicy.allowOrigins[0].regex"),
        (
            routed({**half(100, 0), "rewrite": {"uriRegexRewrite": {"match": "(eu", "rewrite": "/"}}}),
            "rewrite.uriRegexRewrite.match",
        ),
    ],
)
def test_every_place_of_a_regular_expression_is_looked_at(services: dict[str, Json], path: str) -> None:
    assert [f.path for f in found(virtual_services=services) if f.code == "InvalidRegex"] == [
        f"spec.http[0].{path}"
    ]


def test_right_ones_and_labels_are_left_alone() -> None:
    match: Json = {
        "uri": {"regex": "/(a|b)"},
        "headers": {"x-a": {"exact": "(eu"}},
        "sourceLabels": {"regex": "("},
    }
    assert "error InvalidRegex" not in codes(virtual_services=with_match(**match))


def test_a_pin_that_envoy_cannot_read_is_refused_with_its_field() -> None:
    pins = [{"headers": {"x-region": {"regex": "(eu"}}}]
    spec = {
        "workload": {"deployment": "web"},
        "traffic": {
            "istio": {"virtualServices": [{"name": "web"}], "services": {"stable": "a", "canary": "b"}}
        },
        "strategy": {"canary": {"pin": pins}},
        "analysis": {"checks": [{"errorRate": {"max": "1%"}}]},
    }
    with pytest.raises(SpecError) as refused:
        parse_spec(spec)
    assert str(refused.value) == (
        "spec.strategy.canary.pin[0].headers.x-region.regex: expected a regular expression of RE2, as Envoy"
        " refuses all routes with another one, found '(eu': missing ): (eu"
    )

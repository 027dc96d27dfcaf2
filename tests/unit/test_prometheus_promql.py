"""The text of queries: no value ends its literal, and pods are matched by the names Kubernetes gives them."""

import re
from datetime import timedelta
from urllib.parse import quote as in_url

import pytest

from rollout_controller.prometheus.promql import (
    Labels,
    Scope,
    buckets_query,
    pod_pattern,
    quote,
    requests_query,
    scrapes_query,
)

SCOPE = Scope.of("shop", "web", canary="7d9f6c5b44", stable="66f7b8c9d5")
SPAN = timedelta(seconds=30)


@pytest.mark.parametrize(
    ("replica_set", "pod", "matches"),
    [
        ("web-7d9f6c5b44", "web-7d9f6c5b44-x2v9k", True),
        ("web-7d9f6c5b44", "web-7d9f6c5b44-x2v9k-0", False),
        ("web-7d9f6c5b44", "web-7d9f6c5b44", False),
        ("web-7d9f6c5b44", "api-web-7d9f6c5b44-x2v9k", False),
        ("web-7d9f6c5b44", "web-7d9f6c5b44-x2v9", False),
        ("web.v1-7d9f6c5b44", "web.v1-7d9f6c5b44-x2v9k", True),
        ("web.v1-7d9f6c5b44", "web-v1-7d9f6c5b44-x2v9k", False),
        # The API server keeps 58 characters of what it is to add five to.
        ("w" * 50 + "-7d9f6c5b44", "w" * 50 + "-7d9f6c5" + "x2v9k", True),
        ("w" * 60 + "-7d9f6c5b44", "w" * 58 + "x2v9k", True),
    ],
)
def test_pod_names_are_matched_as_kubernetes_generates_them(
    replica_set: str, pod: str, matches: bool
) -> None:
    assert (re.fullmatch(pod_pattern(replica_set), pod) is not None) == matches


@pytest.mark.parametrize(
    ("length", "told_apart"), [(3, True), (46, True), (56, True), (57, False), (200, False)]
)
def test_sides_are_told_apart_as_long_as_a_pod_name_holds_some_of_the_hash(
    length: int, told_apart: bool
) -> None:
    scope = Scope.of("shop", "w" * length, canary="7d9f6c5b44", stable="66f7b8c9d5")
    assert scope.told_apart == told_apart


@pytest.mark.parametrize(
    ("value", "literal"),
    [("shop", '"shop"'), ('a"} or b{c="', '"a\\"} or b{c=\\""'), ("a\\", '"a\\\\"'), ("a\nb", '"a\\nb"')],
)
def test_no_value_can_end_its_literal(value: str, literal: str) -> None:
    assert quote(value) == literal


def test_labels_are_named_as_set_and_extra_ones_match_everywhere() -> None:
    labels = Labels(pod="kubernetes_pod_name", namespace="ns", reporter="waypoint", extra={"cluster": 'e"u'})
    for text in (requests_query(labels, SCOPE, SPAN), buckets_query(labels, SCOPE, SPAN)):
        selectors = re.findall(r'\b(istio_\w+|up)\{(.*?")\}', text)
        assert selectors
        for name, matchers in selectors:
            assert 'ns="shop"' in matchers
            assert 'cluster="e\\"u"' in matchers
            assert 'kubernetes_pod_name=~"web-' in matchers
            assert ('reporter="waypoint"' in matchers) == (name != "up")
        assert "on (pod)" not in text
    assert scrapes_query(labels, SCOPE, SPAN).endswith("[30000ms]")


def test_a_range_is_never_empty() -> None:
    assert scrapes_query(Labels(), SCOPE, timedelta(0)).endswith("[1ms]")


def test_the_longest_query_fits_into_the_address_line_of_a_usual_proxy() -> None:
    longest = Scope.of("n" * 63, "w" * 46, canary="7d9f6c5b44", stable="66f7b8c9d5")
    for text in (requests_query(Labels(), longest, SPAN), buckets_query(Labels(), longest, SPAN)):
        assert len(in_url(text)) < 8000

"""Reading pods' own counters."""

from math import inf, isnan

import pytest

from e2e.app.metrics import Metrics
from e2e.demo.counts import Counts, parse, total
from e2e.demo.observer import canary_weight, revision_of
from e2e.demo.stage import document


def counted(*answers: tuple[int, float]) -> Counts:
    """What a pod of the demo application says after these answers (status, milliseconds)."""
    metrics = Metrics({"POD_NAME": "web-5d4f-x", "POD_LABELS": "pod-template-hash=5d4f"})
    for status, spent in answers:
        metrics.count(status, spent, through_gateway=True)
    return parse(metrics.render())


def test_requests_and_server_errors_are_counted() -> None:
    counts = counted((200, 3), (200, 3), (404, 3), (500, 3), (503, 3))
    assert (counts.requests, counts.errors, counts.error_rate) == (5, 2, 0.4)


def test_series_of_several_statuses_make_one_histogram() -> None:
    counts = counted((200, 3), (500, 30), (200, 20000))
    upto = dict(counts.buckets)
    assert (upto[1], upto[5], upto[50], upto[10000], upto[inf]) == (0, 1, 2, 2, 3)


def test_a_pod_that_served_nothing_has_no_rate_and_no_quantile() -> None:
    nothing = counted()
    assert isnan(nothing.error_rate)
    assert isnan(nothing.quantile(0.99))


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    assert counted((200, 300), (200, 300)).quantile(0.5) == pytest.approx(375)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert Counts(1, 0, ((100.0, 0.0), (inf, 1.0))).quantile(0.99) == 100


def test_what_came_since_is_the_difference() -> None:
    before, after = counted((200, 3)), counted((200, 3), (500, 300), (500, 300))
    since = after - before
    assert (since.requests, since.errors) == (2, 2)
    assert since.quantile(0.5) == pytest.approx(375)


def test_pods_add_up() -> None:
    both = total([counted((200, 3)), counted((500, 3))])
    assert (both.requests, both.errors, dict(both.buckets)[5]) == (2, 1, 2)


def test_a_pods_name_tells_its_revision() -> None:
    assert revision_of("web-6c8f9b7d4-x2x9k") == "6c8f9b7d4"
    assert revision_of("") == ""


def test_the_canarys_weight_is_that_of_its_subset() -> None:
    service = document("virtualservice")
    assert canary_weight(service) == 0
    service["spec"]["http"][1]["route"][1]["weight"] = 25
    assert canary_weight(service) == 25

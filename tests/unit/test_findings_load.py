"""Retries, outlier detection, autoscalers, and a window that is too short."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import codes, everywhere, named, routed, ruled, stages, told
from tests.support.istio_objects import deployment, half, route, to

# -- retries ---------------------------------------------------------------------------------------------


def retried(**retries: Any) -> dict[str, Json]:
    return routed({**half(100, 0), "retries": retries})


def test_retries_are_told_with_what_they_come_to_in_the_largest_step() -> None:
    assert told(virtual_services=retried(attempts=3)) == [
        "warning RetriesMultiplyLoad: VirtualService shop/web spec.http[0].retries.attempts: a canary that"
        " fails gets up to 4 times the requests of each step (at 50 % as many as 200 % of all). Set it to 2"
        " or less, or let retryOn be connect-failure,refused-stream: these requests the canary has not seen"
        " yet."
    ]


def test_without_a_step_between_there_is_nothing_to_reckon() -> None:
    [finding] = told(virtual_services=retried(attempts=3), stages=stages(100))
    assert "up to 4 times the requests of each step. Set it" in finding


@pytest.mark.parametrize("retries", [{}, {"attempts": 0}, {"attempts": 2}, {"perTryTimeout": "1s"}])
def test_no_more_retries_than_istio_makes_by_itself_are_fine(retries: Json) -> None:
    assert codes(virtual_services=retried(**retries)) == []


def test_retries_that_are_never_made_for_failing_answers_are_fine() -> None:
    assert codes(virtual_services=retried(attempts=5, retryOn="connect-failure, refused-stream")) == []
    assert codes(virtual_services=retried(attempts=5, retryOn="connect-failure,5xx")) != []


def test_routes_that_are_not_managed_may_retry_as_they_like() -> None:
    beta = route(to(host="beta.example.com"), match=[{"uri": {"prefix": "/b"}}], retries={"attempts": 9})
    assert codes(virtual_services=routed(beta, half(100, 0))) == []


# -- outlier detection -----------------------------------------------------------------------------------


def outliers(**detection: Any) -> Json:
    return ruled(trafficPolicy={"outlierDetection": detection})


def test_an_ejection_of_all_canary_pods_is_told() -> None:
    assert told(destination_rule=outliers(maxEjectionPercent=100)) == [
        "warning CanaryMayBeEjected: DestinationRule shop/web spec.trafficPolicy.outlierDetection"
        ".maxEjectionPercent: 100 lets Envoy take all canary pods out at once, and their share of requests"
        " gets 503. Set it to 50 or less, or minHealthPercent to 50."
    ]


def test_an_ejection_of_the_only_canary_pod_is_told() -> None:
    assert told(destination_rule=outliers(), stages=stages(5, 100, min_pods=1)) == [
        "warning CanaryMayBeEjected: DestinationRule shop/web spec.trafficPolicy.outlierDetection: the"
        " smallest step has one canary pod, and Envoy before 1.31 takes one out whatever the percentage: its"
        " share of requests gets 503. Have 2 pods or more in each step (minPods of the Rollout, replicas of"
        " the Deployment), or set minHealthPercent to 50."
    ]


@pytest.mark.parametrize(
    ("detection", "changes", "told_of"),
    [
        ({"maxEjectionPercent": 50}, {}, False),
        ({}, {}, False),
        ({"maxEjectionPercent": 100, "minHealthPercent": 50}, {}, False),
        ({"maxEjectionPercent": 100, "consecutive5xxErrors": 0}, {}, False),
        (
            {"maxEjectionPercent": 100, "consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3},
            {},
            True,
        ),
        ({}, {"deployment": deployment(replicas=1)}, True),
        ({}, {"stages": stages(20, 100, min_pods=1)}, False),
        ({}, {"stages": stages(5, 100, min_pods=1), "deployment": None}, False),
    ],
)
def test_whether_a_whole_canary_can_be_ejected(detection: Json, changes: Json, told_of: bool) -> None:
    found = codes(destination_rule=outliers(**detection), **changes)
    assert ("warning CanaryMayBeEjected" in found) is told_of


def test_the_canary_subsets_own_detection_counts_before_the_rules() -> None:
    own = {"name": "canary", "trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 10}}}
    all_out = {"outlierDetection": {"maxEjectionPercent": 100}}
    assert codes(destination_rule=ruled({"name": "stable"}, own, trafficPolicy=all_out)) == []
    [finding] = told(destination_rule=ruled({"name": "stable"}, {"name": "canary", "trafficPolicy": all_out}))
    assert "spec.subsets[1].trafficPolicy.outlierDetection.maxEjectionPercent: 100" in finding


# -- autoscalers -----------------------------------------------------------------------------------------


def autoscaler(*metrics: str, target: str = "web", kind: str = "Deployment", place: str = "shop") -> Json:
    reference = {"kind": kind, "name": target}
    types = [{"type": metric} for metric in metrics]
    return named("HorizontalPodAutoscaler", "web", place, scaleTargetRef=reference, metrics=types)


def test_an_autoscaler_that_counts_canary_pods_is_told() -> None:
    assert told(autoscalers=everywhere(autoscaler("External", "Resource"))) == [
        "warning AutoscalerCountsCanary: HorizontalPodAutoscaler shop/web spec.metrics[1]: this metric is"
        " taken over canary pods as well, as the Deployment's selector matches them: a release may be"
        " answered with more replicas than the load needs. Use a metric of type Object or External, such as"
        " the requests of the Service, or let maxReplicas bound it."
    ]


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (autoscaler("Pods"), True),
        (autoscaler("ContainerResource"), True),
        (autoscaler(), True),  # without metrics it is 80 % of the requested CPU
        (autoscaler("Object", "External"), False),
        (autoscaler("Resource", target="pay"), False),
        (autoscaler("Resource", kind="StatefulSet"), False),
        (autoscaler("Resource", place="pay"), False),
    ],
)
def test_only_metrics_of_our_pods_count_the_canarys(one: Json, counts: bool) -> None:
    assert codes(autoscalers=everywhere(one)) == (["warning AutoscalerCountsCanary"] if counts else [])


# -- the window ------------------------------------------------------------------------------------------


def test_a_window_under_three_scrapes_is_told() -> None:
    found = told(window=timedelta(seconds=20), scrape=timedelta(seconds=15))
    assert found == [
        "warning WindowTooShort: Rollout shop/web spec.analysis.window: 20 s hold fewer than 3 scrapes of"
        " Prometheus, one every 15 s, so readings look back 45 s. Set it to 45s or more, or let Prometheus"
        " scrape more often."
    ]


@pytest.mark.parametrize(("window", "scrape"), [(45, 15), (60, 15), (20, None), (None, 15)])
def test_a_window_of_three_scrapes_or_one_of_which_nothing_is_known_is_fine(
    window: int | None, scrape: int | None
) -> None:
    assert codes(window=_seconds(window), scrape=_seconds(scrape)) == []


def _seconds(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=count)

"""Findings about ports that speak no http, and about routes that have no requests to judge."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import codes, everywhere, routed, some, told
from tests.support.istio_objects import deployment, half, service, to

TCP = {"name": "tcp-web", "port": 80}


def ported(*ports: Json) -> Any:
    made = service({"app": "web"})
    return everywhere({**made, "spec": {**made["spec"], "ports": list(ports)}})


def test_a_service_of_plain_tcp_under_http_routes_is_an_error() -> None:
    assert told(services=ported(TCP)) == [
        'error PortWithoutHttp: Service shop/web spec.ports[0].name: "tcp-web" says that this port speaks no'
        " http: Istio ignores http routes there, so their weights move nobody in the mesh. Set appProtocol:"
        " http, or let the name begin with http."
    ]


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ([{"port": 80, "appProtocol": "tcp"}], ["error PortWithoutHttp"]),
        ([{"port": 80, "name": "http", "appProtocol": "tcp"}], ["error PortWithoutHttp"]),
        ([{"port": 443, "name": "https"}, TCP], ["error PortWithoutHttp"]),
        ([{"port": 80, "name": "TCP"}], ["error PortWithoutHttp"]),
        ([{"port": 80, "name": "web", "protocol": "UDP"}], ["error PortWithoutHttp"]),
        ([{**TCP, "appProtocol": "http"}], []),
        ([{**TCP, "appProtocol": "kubernetes.io/h2c"}], []),
        ([TCP, {"name": "http-web", "port": 81}], []),
        ([{"port": 80}], []),
        ([{"port": 80, "name": "tcpish"}], []),  # looked into
        ([{"port": 80, "name": "grpc-web"}], []),
        ([{"port": 80, "name": "http2"}], []),
        ([], []),
    ],
)
def test_a_port_speaks_what_it_says_first(ports: list[Json], found: list[str]) -> None:
    assert codes(services=ported(*ports)) == found


@pytest.mark.parametrize(
    ("gateways", "found"),
    [(["edge"], []), (["edge", "mesh"], ["warning PortWithoutHttp"]), (["mesh"], ["error PortWithoutHttp"])],
)
def test_gateways_take_every_port_for_http(gateways: list[str], found: list[str]) -> None:
    services = routed(half(100, 0), gateways=gateways, hosts=["shop.example"])
    assert codes(services=ported(TCP), virtual_services=services, gateways=some()) == found


LAYER4 = [{"match": [{"port": 5432}], "route": [to("stable", 100), to("canary", 0)]}]


def test_plain_tcp_is_told_to_be_judged_by_nothing() -> None:
    services = routed(tcp=LAYER4)
    assert codes(virtual_services=services, services=ported(TCP)) == ["warning NeverJudged"]
    [finding] = told(virtual_services=services, services=ported(TCP))
    assert "each step is left by promote alone" in finding


def test_tcp_beside_http_is_judged_by_http() -> None:
    assert codes(virtual_services=routed(half(100, 0), tcp=LAYER4)) == []


@pytest.mark.parametrize(
    ("limit", "window", "found"),
    [(0, 3, ["warning NoOldVersions"]), (0, 0, []), (1, 3, []), (None, 3, [])],
)
def test_a_deployment_that_keeps_no_old_version_is_told(
    limit: int | None, window: int, found: list[str]
) -> None:
    kept = deployment(revisionHistoryLimit=limit)
    assert codes(deployment=kept, rollback_window=window) == found


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ("5xx,reset", []),
        ("503, connect-failure", []),
        ("", []),
        ("5xxx", ["warning UnknownRetryCondition"]),
        ("gateway_error,resets", ["warning UnknownRetryCondition"] * 2),
    ],
)
def test_a_condition_of_retries_that_istio_does_not_know_is_told(conditions: str, found: list[str]) -> None:
    retries = {"attempts": 2, "retryOn": conditions}
    assert codes(virtual_services=routed({**half(100, 0), "retries": retries})) == found


def test_the_condition_that_was_probably_meant_is_told() -> None:
    [finding] = told(virtual_services=routed({**half(100, 0), "retries": {"retryOn": "gateway_error"}}))
    assert finding.endswith('Did you mean "gateway-error"? Correct or remove it.')

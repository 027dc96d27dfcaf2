"""What is read of istiod's page about the proxies: who has not taken the newest routes, and where to look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout_controller.istiod.syncz import ROUTES, Proxy, behind, candidates, parse

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD, NEW = "2026-01-01T11:59:00Z/7" + "0" * 36, "2026-01-01T11:59:50Z/8" + "0" * 36


def entry(name: str = "gw-0.istio-system", **fields: Any) -> dict[str, Any]:
    """A proxy in step, as istiod 1.31 tells of one."""
    routes = {"sent": NEW, "acked": NEW, "sentTime": "2026-01-01T11:59:50.123456789Z"}
    usual = {
        "cluster_id": "Kubernetes",
        "proxy": name,
        "proxy_type": "router",
        "istio_version": "1.31.0",
        "cluster_sent": OLD,
        "cluster_acked": OLD,
        "route_sent": NEW,
        "route_acked": NEW,
        "resources": {ROUTES: routes},
    }
    return {**usual, **fields}


def late(error: str = "", sent: str = "2026-01-01T11:59:50Z") -> dict[str, Any]:
    """The newest routes were sent and not taken."""
    routes = {"sent": NEW, "acked": OLD, "sentTime": sent, **({"lastError": error} if error else {})}
    return entry(route_acked=OLD, resources={ROUTES: routes})


def told(*entries: Any, now: datetime | None = NOW) -> list[str]:
    return [f"{sender.proxy} {sender.why}" for sender in behind(parse(list(entries)), now)]


NOT_TAKEN = "gw-0.istio-system has not taken the routes that istiod sent it last"


def test_a_page_is_read_as_it_is() -> None:
    (proxy,) = parse([entry()])
    assert proxy == Proxy(
        "gw-0.istio-system", True, NEW, NEW, datetime(2026, 1, 1, 11, 59, 50, 123456, tzinfo=UTC)
    )


def test_a_proxy_in_step_is_not_behind() -> None:
    assert told(entry(), entry("web-1.shop", proxy_type="sidecar")) == []


def test_a_proxy_that_did_not_take_the_newest_routes_is_and_its_reason_is_told() -> None:
    assert told(late()) == [NOT_TAKEN]
    assert told(late("bad regex\n  in route")) == [f"{NOT_TAKEN}: bad regex in route"]
    assert len(told(late("x" * 10_000))[0]) < 300


def test_a_push_that_is_under_way_is_not_late_yet_but_a_refusal_is_final() -> None:
    just = (NOW - timedelta(seconds=1)).isoformat()
    assert told(late(sent=just)) == []
    assert told(late("refused", sent=just)) == [f"{NOT_TAKEN}: refused"]
    assert told(late(sent=just), now=None) == [NOT_TAKEN]
    assert told(late(sent="soon")) == [NOT_TAKEN]


def test_an_older_istiod_that_tells_less_is_understood() -> None:
    assert told({"proxy": "a.b", "route_sent": NEW, "route_acked": OLD}) == [
        "a.b has not taken the routes that istiod sent it last"
    ]
    assert told({"proxy": "a.b"}, {"proxy": "c.d", "resources": None}, {"proxy_type": "router"}) == []


@pytest.mark.parametrize("raw", [{}, None, "no", [1], [["proxy"]]])
def test_something_else_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="expected a list of objects"):
        parse(raw)


def test_gateways_are_looked_at_first_then_the_namespace_then_the_others() -> None:
    page = [
        entry("z.pay", proxy_type="sidecar"),
        entry("b.shop", proxy_type="sidecar"),
        entry("a.pay", proxy_type="sidecar"),
        entry("gw.istio-system"),
        entry("ztunnel.istio-system", route_sent="", route_acked=""),
    ]
    found = [proxy.id for proxy in candidates(parse(page), "shop")]
    assert found == ["gw.istio-system", "b.shop", "a.pay", "z.pay"]

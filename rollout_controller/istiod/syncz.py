"""What istiod's page /debug/syncz says of the proxies that are connected to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from rollout_controller.ports import Sender

ROUTES: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
UNDER_WAY: Final = timedelta(seconds=2)
"""A proxy may take so long to answer a push before it counts as behind."""
_LONGEST: Final = 200
"""Characters of a proxy's own words that are repeated."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy: its id (`name.namespace`), whether it is a gateway, and its routes.

    `sent` and `acked` are the nonces of the last routes sent and of the last ones taken; `sent_at` when that
    was, None if istiod does not say; `error` why the proxy refused what it was sent, "" if it did not.
    """

    id: str
    gateway: bool = False
    sent: str = ""
    acked: str = ""
    sent_at: datetime | None = None
    error: str = ""


def parse(raw: Any) -> list[Proxy]:
    """The proxies of a page. Raises ValueError if it is none."""
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise ValueError("expected a list of objects")
    return [_proxy(one) for one in raw if one.get("proxy")]


def behind(proxies: Iterable[Proxy], now: datetime | None) -> list[Sender]:
    """Those that have not taken the routes that istiod sent them last. `now` is istiod's time, if known."""
    return [
        Sender(one.id, "has not taken the routes that istiod sent it last" + (one.error and f": {one.error}"))
        for one in proxies
        if one.sent and one.sent != one.acked and (one.error or not _under_way(one, now))
    ]


def candidates(proxies: Iterable[Proxy], namespace: str) -> list[Proxy]:
    """Those that have routes, the likeliest to be of interest first: gateways, then this namespace's."""
    with_routes = [one for one in proxies if one.acked]
    return sorted(with_routes, key=lambda p: (not p.gateway, not p.id.endswith(f".{namespace}"), p.id))


def _under_way(one: Proxy, now: datetime | None) -> bool:
    return now is not None and one.sent_at is not None and now - one.sent_at < UNDER_WAY


def _proxy(raw: dict[str, Any]) -> Proxy:
    resources = raw.get("resources")
    routes = resources.get(ROUTES) if isinstance(resources, dict) else None
    routes = routes if isinstance(routes, dict) else {}
    words = " ".join(str(routes.get("lastError") or "").split())
    return Proxy(
        id=str(raw["proxy"]),
        gateway=raw.get("proxy_type") == "router",
        sent=str(raw.get("route_sent") or ""),
        acked=str(raw.get("route_acked") or ""),
        sent_at=_time(routes.get("sentTime")),
        error=words[:_LONGEST],
    )


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None

"""How findings are worded, and the one that a host of any object can earn.

An error means that users would be hurt, or that a release could not be judged or moved at all; a warning is
worth telling. Each names the object, the field, what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.routing import Routing

DEPLOYMENT: Final = "Deployment"
SERVICE: Final = "Service"
VIRTUAL_SERVICE: Final = "VirtualService"
DESTINATION_RULE: Final = "DestinationRule"
GATEWAY: Final = "Gateway"
PEER_AUTHENTICATION: Final = "PeerAuthentication"
AUTOSCALER: Final = "HorizontalPodAutoscaler"

INCOMPLETE_HOST: Final = "IncompleteHost"


def error(code: str, obj: str, path: str, sentence: str, fix: str) -> Finding:
    """A finding that holds a release."""
    return Finding(code, "error", obj, path, sentence, fix)


def warning(code: str, obj: str, path: str, sentence: str, fix: str) -> Finding:
    """A finding that is told and holds nothing."""
    return Finding(code, "warning", obj, path, sentence, fix)


def title(kind: str, routing: Routing, name: str) -> str:
    """An object of our namespace as people write it: `VirtualService shop/web`."""
    return f"{kind} {routing.namespace}/{name}"


def titled(kind: str, obj: Json) -> str:
    """Any object as people write it."""
    return f"{kind} {obj['metadata'].get('namespace')}/{obj['metadata']['name']}"


def member(path: str, key: str) -> str:
    """The path to a label, in brackets where a dot of its own would be read as a step."""
    return f'{path}["{key}"]' if "." in key or "/" in key else f"{path}.{key}"


def nearest(wanted: str, present: Iterable[str]) -> str | None:
    """The name that was probably meant, None if none comes close."""
    close = get_close_matches(wanted, [name for name in present if name], n=1)
    return close[0] if close else None


def guess(wanted: str, present: Iterable[str]) -> str:
    """A question with a space behind it, or nothing when no name comes close."""
    close = nearest(wanted, present)
    return f'Did you mean "{close}"? ' if close else ""


def named_route(index: int, route: Json) -> str:
    """An http route in a sentence: `spec.http[0] ("primary")`."""
    name = route.get("name")
    return f'spec.http[{index}] ("{name}")' if name else f"spec.http[{index}]"


def host_findings(routing: Routing, obj: str, path: str, host: str) -> Iterator[Finding]:
    """Istio completes `web`, but takes `web.shop` for a full name, which no Service has."""
    full = routing.resolve(host)
    if "." in host.rstrip(".") and full != host.rstrip(".").lower():
        yield error(
            INCOMPLETE_HOST,
            obj,
            path,
            f'Istio takes "{host}" for a full host name, and no Service has that one',
            f"Write {full.partition('.')[0]} or {full}.",
        )

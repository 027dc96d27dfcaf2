"""Regular expressions that are none: Envoy refuses the whole route configuration that has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rollout_controller.api.regex import regex_problem
from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, member, titled
from rollout_controller.istio.routing import http_routes, is_own

INVALID_REGEX: Final = "InvalidRegex"

_TEXTS: Final = ("uri", "scheme", "method", "authority")
_NAMED: Final = ("headers", "withoutHeaders", "queryParams")


def regex_findings(service: Json) -> Iterator[Finding]:
    """Findings about all http routes of a VirtualService: one wrong expression takes all with it."""
    for index, route in http_routes(service):
        if is_own(route):
            continue
        for path, pattern in _patterns(route, f"spec.http[{index}]"):
            why = regex_problem(pattern) if isinstance(pattern, str) else None
            if why is not None:
                yield error(
                    INVALID_REGEX,
                    titled(VIRTUAL_SERVICE, service),
                    path,
                    f'"{pattern}" is no regular expression of RE2 ({why}), so Envoy refuses all routes with'
                    " it and keeps the old ones",
                    "Correct it.",
                )


def _patterns(route: Json, path: str) -> Iterator[tuple[str, Any]]:
    """Every regular expression of a route, with its path."""
    for number, block in enumerate(route.get("match") or []):
        at = f"{path}.match[{number}]"
        texts = [(f"{at}.{field}", block.get(field)) for field in _TEXTS]
        for field in _NAMED:
            texts += [
                (member(f"{at}.{field}", name), text) for name, text in (block.get(field) or {}).items()
            ]
        yield from ((f"{where}.regex", (text or {}).get("regex")) for where, text in texts)
    origins = (route.get("corsPolicy") or {}).get("allowOrigins") or []
    for number, origin in enumerate(origins):
        yield f"{path}.corsPolicy.allowOrigins[{number}].regex", (origin or {}).get("regex")
    rewrite = (route.get("rewrite") or {}).get("uriRegexRewrite") or {}
    yield f"{path}.rewrite.uriRegexRewrite.match", rewrite.get("match")

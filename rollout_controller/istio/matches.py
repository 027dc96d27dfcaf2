"""Which requests an http route leaves to those below it: whether one match covers another.

Istio takes the first http route of which a match block holds; the conditions of a block are joined by "and",
the blocks of a route by "or". Everything here is conservative: "covers" is only said where it is certain, so
a regular expression covers itself and, as `.*`, everything. (A request whose path is not one, `OPTIONS *`, is
left out of account: the prefix `/` covers every path.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rollout_controller.core.patch import Json
from rollout_controller.istio.routing import is_own

_TEXTS: Final = ("scheme", "method", "authority")
_NO_CONDITION: Final = frozenset({"name", "statPrefix"})
_CONDITIONS: Final = frozenset(
    {
        *_TEXTS,
        "uri",
        "ignoreUriCase",
        "headers",
        "withoutHeaders",
        "queryParams",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "gateways",
    }
)
_ALL_PATHS: Final = (("prefix", "/"), ("regex", ".*"), ("regex", "/.*"))
_ALL_TEXTS: Final = ("regex", ".*")


def covers(general: Json, specific: Json) -> bool:
    """Whether every request that meets `specific` certainly meets `general`; both are `HTTPMatchRequest`s.

    A condition of `general` that is not known here is not met for certain; one of `specific` only narrows.
    """
    return (
        general.keys() <= _CONDITIONS | _NO_CONDITION
        and _uri_covers(general, specific)
        and all(_text_covers(general.get(field), specific.get(field)) for field in _TEXTS)
        and _headers_cover(general.get("headers") or {}, specific.get("headers") or {})
        and _absences_cover(general.get("withoutHeaders") or {}, specific.get("withoutHeaders") or {})
        and _parameters_cover(general.get("queryParams") or {}, specific.get("queryParams") or {})
        and all(not general.get(f) or general[f] == specific.get(f) for f in ("port", "sourceNamespace"))
        and (general.get("sourceLabels") or {}).items() <= (specific.get("sourceLabels") or {}).items()
        and _gateways_cover(general.get("gateways") or (), specific.get("gateways") or ())
    )


def swallows(route: Json, match: Json) -> bool:
    """Whether a raw http route certainly takes every request of this match from the routes below it.

    One that delegates does not: what none of the delegate's routes takes goes on to the next one.
    """
    return not route.get("delegate") and any(covers(block, match) for block in _blocks(route))


def takers(http: Sequence[Json], index: int, bound: Sequence[str] = ()) -> list[int]:
    """The routes above the one at `index` that leave it no request at all; none if it may still get some.

    Routes that we added (`rollout-controller/...`) are not asked: each stands above the one it refines.
    `bound` are the gateways that the VirtualService is bound to, which a match without `gateways` means.
    """
    taken = [taker(http, index, block, bound) for block in _blocks(http[index])]
    found = {first for first in taken if first is not None}
    return sorted(found) if None not in taken else []


def taker(http: Sequence[Json], index: int, match: Json, bound: Sequence[str] = ()) -> int | None:
    """The first route above the one at `index` that certainly takes every request of this match."""
    (wanted,) = _blocks(_bound({"match": [match]}, bound))
    above = ((i, _bound(r, bound)) for i, r in enumerate(http[:index]) if not is_own(r))
    return next((i for i, route in above if swallows(route, wanted)), None)


def _blocks(route: Json) -> Sequence[Json]:
    return route.get("match") or [{}]


def _bound(route: Json, bound: Sequence[str]) -> Json:
    """The route with the VirtualService's gateways in each match that names none."""
    if not bound:
        return route
    blocks = [block if block.get("gateways") else {**block, "gateways": bound} for block in _blocks(route)]
    return {**route, "match": blocks}


def _only(condition: Json | None) -> tuple[str, str] | None:
    """A StringMatch as (exact|prefix|regex, value), None if it is of another form."""
    if condition is None or len(condition) != 1:
        return None
    ((form, value),) = condition.items()
    return (form, value) if form in {"exact", "prefix", "regex"} and isinstance(value, str) else None


def _string_covers(general: Json, specific: Json) -> bool:
    if general == specific:
        return True
    wide, narrow = _only(general), _only(specific)
    if wide is None or narrow is None:
        return False
    if wide == _ALL_TEXTS:
        return True
    return wide[0] == "prefix" and narrow[0] in {"exact", "prefix"} and narrow[1].startswith(wide[1])


def _text_covers(general: Json | None, specific: Json | None) -> bool:
    if general is None:
        return True
    return specific is not None and _string_covers(general, specific)


def _uri_covers(general: Json, specific: Json) -> bool:
    wide, narrow = general.get("uri"), specific.get("uri")
    if wide is None or _only(wide) in _ALL_PATHS:
        return True
    if narrow is None:
        return False
    if general.get("ignoreUriCase"):
        return _string_covers(_lower(wide), _lower(narrow))
    return not specific.get("ignoreUriCase") and _string_covers(wide, narrow)


def _lower(condition: Json) -> Json:
    """Without case; a regular expression keeps its own, as `ignoreUriCase` does not concern it."""
    return {k: v.lower() if k in {"exact", "prefix"} else v for k, v in condition.items()}


def _named(conditions: Mapping[str, Any]) -> dict[str, Json]:
    """Conditions by the name of a header, which knows no case."""
    return {name.lower(): condition or {} for name, condition in conditions.items()}


def _headers_cover(general: Mapping[str, Any], specific: Mapping[str, Any]) -> bool:
    narrow = _named(specific)
    return all(name in narrow and _header(wide, narrow[name]) for name, wide in _named(general).items())


def _header(general: Json, specific: Json) -> bool:
    """A header without condition has to be there; one with a condition has to be there as well."""
    return not general or _string_covers(general, specific)


def _absences_cover(general: Mapping[str, Any], specific: Mapping[str, Any]) -> bool:
    """What `general` does not want, `specific` must not want either: there the wider one is the narrower."""
    narrow = _named(specific)
    return all(
        name in narrow and _header(narrow[name], unwanted) for name, unwanted in _named(general).items()
    )


def _parameters_cover(general: Mapping[str, Any], specific: Mapping[str, Any]) -> bool:
    return all(
        name in specific and _string_covers(wide or {}, specific[name] or {})
        for name, wide in general.items()
    )


def _gateways_cover(general: Iterable[str], specific: Sequence[str]) -> bool:
    """Gateways are an "or": the specific ones have to be among the general ones, and none means all."""
    wide = set(general)
    return not wide or (bool(specific) and set(specific) <= wide)

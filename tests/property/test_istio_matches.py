"""What is said to cover really covers: no request meets the specific match and not the general one."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from rollout_controller.core.patch import Json
from rollout_controller.istio.matches import covers

values = st.sampled_from(["a", "ab", "A", "b"])
texts = st.one_of(
    st.builds(lambda form, value: {form: value}, st.sampled_from(["exact", "prefix"]), values),
    st.sampled_from([{"regex": ".*"}, {"regex": "a.*"}]),
)
names = st.sampled_from(["x", "y"])
conditions: st.SearchStrategy[Json] = st.dictionaries(names, texts | st.just({}), max_size=2)
paths = st.sampled_from(["/", "/a", "/A", "/ab", "/b"])
matches = st.fixed_dictionaries(
    {},
    optional={
        "uri": st.builds(lambda form, path: {form: path}, st.sampled_from(["exact", "prefix"]), paths),
        "ignoreUriCase": st.booleans(),
        "method": st.sampled_from([{"exact": "GET"}, {"exact": "PUT"}]),
        "headers": conditions,
        "withoutHeaders": conditions,
        "queryParams": st.dictionaries(names, texts, max_size=2),
        "port": st.sampled_from([80, 81]),
        "gateways": st.lists(st.sampled_from(["mesh", "web"]), min_size=1, max_size=2),
    },
)
requests = st.fixed_dictionaries(
    {
        "path": paths,
        "method": st.sampled_from(["GET", "PUT"]),
        "headers": st.dictionaries(names, values, max_size=2),
        "query": st.dictionaries(names, values, max_size=2),
        "port": st.sampled_from([80, 81]),
        "gateway": st.sampled_from(["mesh", "web"]),
    }
)


def meets(request: Json, match: Json) -> bool:
    """What a proxy does, as Istio documents it."""
    path, uri = request["path"], match.get("uri")
    if uri is not None and match.get("ignoreUriCase"):
        path, uri = path.lower(), {form: value.lower() for form, value in uri.items()}
    return (
        (uri is None or _fits(path, uri))
        and ("method" not in match or _fits(request["method"], match["method"]))
        and all(_present(request["headers"], n, c) for n, c in match.get("headers", {}).items())
        and not any(_present(request["headers"], n, c) for n, c in match.get("withoutHeaders", {}).items())
        and all(_present(request["query"], n, c) for n, c in match.get("queryParams", {}).items())
        and match.get("port", request["port"]) == request["port"]
        and request["gateway"] in match.get("gateways", [request["gateway"]])
    )


def _present(found: dict[str, str], name: str, condition: Json) -> bool:
    return name in found and (not condition or _fits(found[name], condition))


def _fits(value: str, condition: dict[str, Any]) -> bool:
    ((form, wanted),) = condition.items()
    if form == "regex":
        return re.fullmatch(wanted, value) is not None
    return value == wanted if form == "exact" else value.startswith(wanted)


@given(matches, matches, requests)
def test_no_request_meets_a_covered_match_only(general: Json, specific: Json, request: Json) -> None:
    covered = covers(general, specific)
    event(f"covered: {covered}")
    if covered and meets(request, specific):
        assert meets(request, general)


@given(matches)
def test_every_match_covers_itself_and_is_covered_by_the_empty_one(match: Json) -> None:
    assert covers({}, match)
    assert covers(match, match)


@given(matches, matches, matches)
def test_covering_is_transitive(one: Json, two: Json, three: Json) -> None:
    if covers(one, two) and covers(two, three):
        assert covers(one, three)

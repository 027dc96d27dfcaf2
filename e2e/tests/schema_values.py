"""Hypothesis strategies for whatever a structural schema admits, and for fields that it does not know yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

Schema = Mapping[str, Any]
WORDS: Final = st.sampled_from(["a", "web", "v1", "x-user", "/shop", "5s", "~1", "é", ""])
UNKNOWN: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
MOST_FIELDS: Final = 5
"""An object gets so many of its optional fields at most, so that an example can be read."""


def values_of(schema: Schema) -> st.SearchStrategy[Any]:
    """Values of this shape. Rules (oneOf, CEL, patterns) are not obeyed: what survives must not depend on
    them."""
    if "enum" in schema:
        return st.sampled_from(list(schema["enum"]))
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 9) | WORDS
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return st.lists(values_of(schema.get("items", {})), max_size=2)
        case "string":
            return WORDS
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(0, 100)
        case "number":
            return st.sampled_from([0, 0.1, 1, 50, 99.9])
        case _:
            return UNKNOWN


def _object(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        return st.dictionaries(WORDS, values_of(more), max_size=2)
    fields = {name: st.deferred(_later(one)) for name, one in schema.get("properties", {}).items()}
    if not fields:
        return st.dictionaries(WORDS, UNKNOWN, max_size=2)
    return _some_of({**fields, "fromTheFuture": UNKNOWN}, frozenset(schema.get("required", ())))


def _later(schema: Schema) -> Any:
    return lambda: values_of(schema)


@st.composite
def _some_of(
    draw: st.DrawFn, fields: Mapping[str, st.SearchStrategy[Any]], required: frozenset[str]
) -> dict[str, Any]:
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=MOST_FIELDS)) | required
    return {name: draw(fields[name]) for name in sorted(chosen) if name in fields}

"""The patch applier that other tests trust, held to the examples of RFC 6902."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.jsonpatch import FailedTest, PatchError, apply


@pytest.mark.parametrize(
    ("document", "op", "after"),
    [
        ({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"op": "add", "path": "/a", "value": 2}, {"a": 2}),
        ({"a": 1}, {"op": "add", "path": "/", "value": 2}, {"a": 1, "": 2}),
        ({"a": [1, 3]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, 3]}),
        ({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": [1]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2]}),
        ({"a": [1, 2]}, {"op": "replace", "path": "/a/0", "value": 3}, {"a": [3, 2]}),
        ({"a": [1, 2]}, {"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"a": {"x/y": 1, "m~n": 2}}, {"op": "remove", "path": "/a/x~1y"}, {"a": {"m~n": 2}}),
        ({"m~1n": 1}, {"op": "replace", "path": "/m~01n", "value": 2}, {"m~1n": 2}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": {"b": [1]}}, {"op": "test", "path": "/a", "value": {"b": [1]}}, {"a": {"b": [1]}}),
    ],
)
def test_an_operation_does_what_the_rfc_says(
    document: dict[str, Any], op: dict[str, Any], after: dict[str, Any]
) -> None:
    assert apply(document, [op]) == after


@pytest.mark.parametrize(
    "op",
    [
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "add", "path": "/missing/child", "value": 1},
        {"op": "add", "path": "/list/2", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "remove", "path": "/list/-"},
        {"op": "add", "path": "/text/child", "value": 1},
        {"op": "add", "path": "text", "value": 1},
        {"op": "move", "path": "/text", "from": "/list"},
    ],
)
def test_an_operation_that_does_not_fit_fails(op: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        apply({"list": [1], "text": "t"}, [op])


@pytest.mark.parametrize(
    "op",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": "1"},
        {"op": "test", "path": "/b", "value": None},
    ],
)
def test_a_test_of_another_value_fails(op: dict[str, Any]) -> None:
    with pytest.raises(FailedTest):
        apply({"a": 1}, [op])


def test_a_patch_that_fails_changes_nothing() -> None:
    document = {"a": {"b": 1}}
    ops = [{"op": "replace", "path": "/a/b", "value": 2}, {"op": "test", "path": "/a/b", "value": 1}]
    with pytest.raises(FailedTest):
        apply(document, ops)
    assert document == {"a": {"b": 1}}


def test_a_patched_document_shares_nothing_with_the_patch() -> None:
    value: dict[str, Any] = {"b": 1}
    patched = apply({}, [{"op": "add", "path": "/a", "value": value}])
    value["b"] = 2
    assert patched == {"a": {"b": 1}}

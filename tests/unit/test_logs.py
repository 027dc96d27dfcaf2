"""Logs: one object per line, each with its Rollout, and no secret whatever is logged."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from rollout_controller.app import logs
from rollout_controller.app.logs import REDACTED
from tests.support.logging import restored_logging

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with restored_logging():
        yield


def written(format_: Literal["json", "pretty"], **fields: Any) -> str:
    stream = io.StringIO()
    logs.configure(format_, "info", stream)
    structlog.get_logger("test").info("something happened", **fields)
    return stream.getvalue()


def test_a_line_is_one_json_object_with_time_level_and_what_is_bound() -> None:
    with structlog.contextvars.bound_contextvars(namespace="shop", rollout="web", stage="25%"):
        line = json.loads(written("json", weight=25))
    assert line.pop("time").endswith("Z")
    assert line == {
        "namespace": "shop",
        "rollout": "web",
        "stage": "25%",
        "weight": 25,
        "event": "something happened",
        "level": "info",
    }


def test_lines_of_libraries_have_the_same_form() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logging.getLogger("some.library").warning("retry %d", 3)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["level"]) == ("retry 3", "some.library", "warning")


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    logs.configure("json", "warning", stream)
    structlog.get_logger("test").info("quiet")
    assert stream.getvalue() == ""


SECRETS: list[dict[str, Any]] = [
    {"token": "hunter2"},
    {"Authorization": "Basic hunter2"},
    {"headers": {"authorization": "hunter2", "x-api-key": "hunter2"}},
    {"settings": [{"password": "hunter2"}]},
    {"error": "401 for Bearer hunter2hunter2"},
    {"url": "http://me:hunter2@prometheus:9090"},
    {"error": ValueError("bearer hunter2-and-more")},
    {"detail": f"token is {JWT}"},
    {"pem": "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----"},
]


@pytest.mark.parametrize("format_", ["json", "pretty"])
@pytest.mark.parametrize("fields", SECRETS)
def test_secrets_do_not_get_into_lines(format_: Literal["json", "pretty"], fields: dict[str, Any]) -> None:
    line = written(format_, **fields)
    assert "hunter2" not in line
    assert JWT not in line
    assert REDACTED in line


@pytest.mark.parametrize("format_", ["json", "pretty"])
def test_tracebacks_show_neither_secrets_nor_local_variables(format_: Literal["json", "pretty"]) -> None:
    stream = io.StringIO()
    logs.configure(format_, "info", stream)
    hidden = "hunter" + "2"
    try:
        raise RuntimeError(f"refused: Bearer {hidden}{hidden}")
    except RuntimeError:
        structlog.get_logger("test").exception("failed")
    assert "RuntimeError: refused" in stream.getvalue()
    assert hidden not in stream.getvalue()


def test_ordinary_words_are_left_as_they_are() -> None:
    fields = {
        "command": "abort=bad@123",
        "weight": 25,
        "paused": True,
        "reason": None,
        "note": "a basic test",
    }
    line = json.loads(written("json", **fields))
    assert {key: line[key] for key in fields} == fields

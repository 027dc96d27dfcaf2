"""The API server's audit log: whose calls, which kinds, and what counts as a refresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.audit import AuditLog, Call, counted_apart, parse, status_in, writes_by_kind

OURS = "rollout-controller/0.1.0"


def _line(verb: str = "patch", resource: str = "virtualservices", agent: str = OURS, **more: Any) -> str:
    target = {"resource": resource, "namespace": "shop", "name": "web"}
    if "/" in resource:
        target["resource"], target["subresource"] = resource.split("/")
    return json.dumps(
        {
            "verb": verb,
            "userAgent": agent,
            "objectRef": target,
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-11-20T20:00:00.000000Z",
            "stageTimestamp": "2026-11-20T20:00:00.004500Z",
            **more,
        }
    )


def _call(verb: str = "patch", resource: str = "virtualservices", agent: str = OURS, **more: Any) -> Call:
    call = parse(_line(verb, resource, agent, **more))
    assert call is not None
    return call


def _status(**status: Any) -> Call:
    body = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/status", "value": {"phase": "Progressing", **status}},
    ]
    return _call(resource="rollouts/status", requestObject=body)


def test_a_line_tells_who_called_what_and_when_it_was_answered() -> None:
    call = _call(resource="rollouts/status", requestURI="/apis/x?fieldManager=y")
    assert (call.by_controller, call.is_write, call.resource) == (True, True, "rollouts/status")
    assert (call.namespace, call.name, call.code, call.dry_run) == ("shop", "web", 200, False)
    assert call.answered - call.received == pytest.approx(0.0045, abs=1e-6)


def test_a_call_that_concerns_no_object_is_left_out() -> None:
    line = json.loads(_line())
    del line["objectRef"]
    assert parse(json.dumps(line)) is None


def test_only_the_controllers_writes_are_counted() -> None:
    calls = [
        _call(),
        _call(agent="kubectl/v1.36.3"),
        _call(verb="get"),
        _call(verb="list"),
        _call(verb="watch"),
        _call(verb="delete", resource="replicasets"),
    ]
    assert writes_by_kind(calls) == {"patch virtualservices": 1, "delete replicasets": 1}


def test_a_status_write_that_moves_numbers_and_sentences_alone_is_a_refresh() -> None:
    first = _status(weight=5, message="1 request", readings=[{"value": "0%"}], verdict={"result": "pass"})
    numbers = _status(
        weight=5, message="9 requests", readings=[], verdict={"result": "pass", "sentence": "0 % of 9"}
    )
    assert writes_by_kind([first, numbers]) == {"patch rollouts/status": 1, "status refreshes": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"weight": 10},
        {"phase": "Paused"},
        {"stage": {"reached": 5}},
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"findings": [{"code": "X"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_status_write_that_tells_anything_else_is_no_refresh(change: dict[str, Any]) -> None:
    first = {"weight": 5, "verdict": {"result": "pass"}}
    assert writes_by_kind([_status(**first), _status(**{**first, **change})]) == {"patch rollouts/status": 2}


@pytest.mark.parametrize("verdict", [{"result": "pass"}, {"result": "inconclusive", "failures": 1}])
def test_a_status_write_that_tells_a_verdict_alone_is_counted_by_itself(verdict: dict[str, Any]) -> None:
    first = _status(weight=5, verdict={"result": "inconclusive", "failures": 0})
    kinds = writes_by_kind([first, _status(weight=5, verdict=verdict, message="9 requests")])
    assert kinds == {"patch rollouts/status": 1, "patch rollouts/status (a verdict alone)": 1}
    assert counted_apart(kinds) == (2, 0)
    both = writes_by_kind([first, _status(weight=10, verdict=verdict)])
    assert both == {"patch rollouts/status": 2}


def test_refreshes_are_told_per_rollout() -> None:
    other = parse(
        _line(
            resource="rollouts/status",
            objectRef={"resource": "rollouts", "subresource": "status", "namespace": "shop", "name": "pay"},
            requestObject=[{"op": "add", "path": "/status", "value": {"phase": "Progressing"}}],
        )
    )
    assert other is not None
    assert writes_by_kind([_status(), other]) == {"patch rollouts/status": 2}


def test_commands_events_and_dry_runs_have_kinds_of_their_own() -> None:
    claim = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/metadata/annotations/rollout-controller.dev~1abort"},
    ]
    finalizer = [{"op": "add", "path": "/metadata/finalizers", "value": []}]
    calls = [
        _call(resource="rollouts", requestObject=claim),
        _call(resource="rollouts", requestObject=finalizer),
        _call(verb="create", resource="events"),
        _call(resource="deployments", requestURI="/apis/apps/v1/x?dryRun=All"),
    ]
    kinds = writes_by_kind(calls)
    assert kinds == {"commands": 1, "patch rollouts": 1, "Events": 1, "patch deployments (dry run)": 1}
    assert counted_apart(kinds) == (2, 2)


def test_a_body_without_a_status_gives_none() -> None:
    assert status_in(None) == {}
    assert status_in([{"op": "test", "path": "/status", "value": {"phase": "Healthy"}}]) == {}


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    whole = _line()
    file.write_text(whole + "\n" + whole[:40])
    log = AuditLog(file)
    assert len(log.read()) == 1
    file.write_text(whole + "\n" + whole + "\n")
    assert len(log.read()) == 2
    assert len(log.read()) == 2


async def test_a_call_that_is_not_in_the_log_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.audit.WRITTEN_WITHIN", 0.01)
    file = tmp_path / "audit.log"
    file.write_text(_line(verb="get") + "\n")
    log = AuditLog(file)
    assert (await log.find(lambda call: call.verb == "get", "a read")).verb == "get"
    with pytest.raises(LookupError, match="does not tell of a write of the rule"):
        await log.find(lambda call: call.is_write, "a write of the rule")

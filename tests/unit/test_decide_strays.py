"""Requests that still reach a canary after everybody was sent back: told once, and shown while they come."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.model import Decision, Notice, Observed
from tests.builders import AT_25, at_step, but, command, healthy, promoting, reverted, reverting

GATEWAY = "proxy gw-0.istio-system has not taken the routes that istiod sent it last"
STRAYING = but(reverting(), strays={"new": GATEWAY}, busy={"new": True})


def told(d: Decision) -> list[Notice]:
    return [notice for notice in d.notices if notice.reason == "StrayRequests"]


def codes(d: Decision) -> Iterable[str]:
    return [finding.code for finding in d.display.findings]


def test_the_first_look_that_sees_them_tells_it_with_who_sends_them() -> None:
    d = decide(STRAYING)
    (notice,) = told(d)
    assert notice.type == "Warning"
    assert notice.message.startswith(
        f"requests still reach canary new, though everybody was sent back to old: {GATEWAY}. Look for"
    )
    assert d.facts.strayed


def test_they_are_told_once_and_shown_while_they_come() -> None:
    again = decide(but(STRAYING, facts={"strayed": True}))
    assert told(again) == []
    assert list(codes(again)) == ["StrayRequests"]
    assert "requests still reach canary new" in again.display.message
    assert decide(but(again_seen := but(STRAYING, facts={"strayed": True}), strays={})).facts.strayed
    assert list(codes(decide(but(again_seen, strays={})))) == []


def test_the_message_does_not_say_that_everybody_is_back_while_some_are_not() -> None:
    message = decide(but(STRAYING, facts={"strayed": True})).display.message
    assert message.startswith("all routes lead to stable old again, the canary is being drained: ")
    assert "everybody is back" not in message
    assert "everybody is back" in decide(but(STRAYING, strays={})).display.message


def test_the_finding_names_the_deployment_whose_pods_are_reached() -> None:
    (found,) = decide(STRAYING).display.findings
    assert (found.object, found.path) == ("Deployment shop/web", "")
    assert "(Deployment shop/web: requests still reach canary new" in decide(STRAYING).display.message


def test_if_nobody_knows_who_sends_them_that_is_left_out() -> None:
    (notice,) = told(decide(but(STRAYING, strays={"new": ""})))
    assert "sent back to old. Look for" in notice.message


def test_they_change_nothing_of_what_is_done() -> None:
    assert decide(STRAYING).effects == decide(but(STRAYING, strays={})).effects
    assert decide(STRAYING).facts.phase is decide(but(STRAYING, strays={})).facts.phase


@pytest.mark.parametrize("o", [healthy(), at_step(AT_25), promoting(), reverted()])
def test_nothing_strays_but_in_a_revert(o: Observed) -> None:
    d = decide(but(o, strays={"new": GATEWAY, "old": GATEWAY}))
    assert told(d) == []
    assert list(codes(d)) == []
    assert not d.facts.strayed


def test_the_next_release_begins_without_them() -> None:
    retried = decide(but(reverted(), facts={"strayed": True}, command=command("retry")))
    assert not retried.facts.strayed

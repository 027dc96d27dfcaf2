"""Which requests a pin must have caught: those sent while its route was there and known."""

from typing import Any

from bench.history import Change
from bench.scenes.bluegreen import LIVE_AFTER, sent_while_pinned
from e2e.load import Answer


def seen(at: float, *names: str, kind: str = "virtualservices") -> Change:
    item: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {"http": [{"name": name} for name in names]}}
    return Change(kind, "MODIFIED", item, at, at)


def sent(at: float) -> Answer:
    return Answer(1, at, at, at + 0.01, 200, "v2", "web-1", "")


PIN = "rollout-controller/web/pin/primary"


def test_requests_count_from_when_the_route_is_known_until_it_goes() -> None:
    changes = [seen(1, "primary"), seen(2, PIN, "primary"), seen(5, "primary")]
    answers = [sent(1.5), sent(2.1), sent(2 + LIVE_AFTER), sent(4.9), sent(5.0), sent(6)]
    assert [answer.sent for answer in sent_while_pinned(answers, changes)] == [2 + LIVE_AFTER, 4.9]


def test_without_a_pinned_route_none_counts_and_other_objects_say_nothing() -> None:
    answers = [sent(3)]
    assert sent_while_pinned(answers, [seen(1, "primary")]) == []
    assert sent_while_pinned(answers, [seen(1, PIN, kind="destinationrules")]) == []


def test_a_route_that_stays_is_counted_to_the_end() -> None:
    assert len(sent_while_pinned([sent(3), sent(30)], [seen(1, PIN, "primary")])) == 2

"""Events: written in order by a task of their own, at most once, and never in anybody's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rollout_controller.kube.events import Events
from rollout_controller.kube.rest import Rest
from rollout_controller.ports import Json
from tests.support.apiserver import Answer, ApiServer, hangs, says, serving

ROLLOUT: Json = {"metadata": {"name": "web", "namespace": "shop", "uid": "u1"}, "spec": {}}


@asynccontextmanager
async def events(
    rest_answer: Answer, *script: Answer, size: int = 10
) -> AsyncIterator[tuple[Events, ApiServer, list[str]]]:
    counted: list[str] = []
    async with serving(*script, rest=rest_answer) as server:
        rest = Rest(server.configuration)
        made = Events(rest, counted.append, size=size)
        yield made, server, counted
        await made.stop(0.1)
        await rest.close()


async def test_an_event_says_who_tells_what_of_which_rollout() -> None:
    async with events(says({"kind": "Event"}, 201)) as (tell, server, counted):
        tell.start()
        tell.notify(ROLLOUT, "Warning", "Reverted", "error rate 5 %")
        await tell.stop(5)
        body = server.bodies[0]
        assert server.requests[0].path == "/api/v1/namespaces/shop/events"
        assert (body["type"], body["reason"], body["message"]) == ("Warning", "Reverted", "error rate 5 %")
        assert body["involvedObject"] == {
            "apiVersion": "rollout-controller.dev/v1alpha1",
            "kind": "Rollout",
            "namespace": "shop",
            "name": "web",
            "uid": "u1",
        }
        assert counted == ["sent"]


async def test_events_keep_their_order_and_have_different_names() -> None:
    async with events(says({"kind": "Event"}, 201)) as (tell, server, _):
        for n in range(5):
            tell.notify(ROLLOUT, "Normal", f"R{n}", "")
        tell.start()
        await tell.stop(5)
        assert [b["reason"] for b in server.bodies] == ["R0", "R1", "R2", "R3", "R4"]
        assert len({b["metadata"]["name"] for b in server.bodies}) == 5


async def test_a_full_queue_drops_and_counts_and_does_not_block() -> None:
    async with events(hangs, size=3) as (tell, _, counted):
        for n in range(5):
            tell.notify(ROLLOUT, "Normal", f"R{n}", "")
        assert counted == ["dropped", "dropped"]


async def test_a_refused_event_is_not_tried_again_and_the_next_one_is_written() -> None:
    async with events(says({"kind": "Event"}, 201), says({"message": "no"}, 403)) as (tell, server, counted):
        tell.start()
        tell.notify(ROLLOUT, "Normal", "A", "")
        tell.notify(ROLLOUT, "Normal", "B", "")
        await tell.stop(5)
        assert [b["reason"] for b in server.bodies] == ["A", "B"]
        assert counted == ["failed", "sent"]


async def test_stopping_waits_no_longer_than_it_was_given() -> None:
    async with events(hangs) as (tell, _, _):
        tell.start()
        tell.notify(ROLLOUT, "Normal", "A", "")
        begun = asyncio.get_running_loop().time()
        await tell.stop(0.2)
        assert 0.2 <= asyncio.get_running_loop().time() - begun < 1


@pytest.mark.parametrize("letter", ["x", "é", "🚀"])
async def test_a_long_note_is_cut_at_a_letter_and_fits(letter: str) -> None:
    async with events(says({"kind": "Event"}, 201)) as (tell, server, _):
        tell.start()
        tell.notify(ROLLOUT, "Normal", "A", letter * 2000)
        await tell.stop(5)
        note = server.bodies[0]["message"]
        assert 1000 < len(note.encode()) <= 1024
        assert set(note) == {letter, "…"}

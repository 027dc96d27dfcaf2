"""Releases from one version to the next, under load, on the real parts."""

import json

import pytest

from e2e.tests.controller import Controller
from e2e.tests.support import Namespace
from e2e.tests.world import HOLD, LABEL, World, analysis

pytestmark = pytest.mark.real

RATE = 100.0
"""Requests per second."""


async def test_a_good_release_goes_to_the_end_without_a_failed_request(
    namespace: Namespace, controller: Controller
) -> None:
    world = await World.begin(namespace, controller)
    async with world.load(RATE) as load:
        await world.release("v2")
        await world.phase("Progressing")
        status = await world.phase("Healthy")
        await world.assert_at_rest("v2")
    assert load.failures() == []
    assert load.versions()["v2"] > 0
    assert load.answers[-1].version == "v2"
    assert status["history"][0]["outcome"] == "Promoted"
    steps = [event.split(" ")[2] for event in await world.events("StepStarted")]
    assert steps == ["1/5:", "2/5:", "3/5:", "4/5:", "5/5:"]

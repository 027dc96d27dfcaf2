"""What is remembered of sightings: since when the traffic is what it is."""

from datetime import UTC, datetime, timedelta

from rollout_controller.controller.memory import Memory
from rollout_controller.istio.reading import TrafficReading

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_subset_that_comes_back_has_to_settle_anew_also_where_nothing_is_pinned() -> None:
    memory = Memory()
    there = TrafficReading(canary_weight=(0, 0), subsets=(None, None))
    missing = TrafficReading(canary_weight=(0, 0), subsets=(None, None), lacks=(False, True))
    seen = [
        memory.sight(one, str(n), NOW + timedelta(seconds=n))
        for n, one in enumerate((there, missing, there, there))
    ]
    assert [(one.subsets_since - NOW).total_seconds() for one in seen] == [0, 1, 2, 2]
    assert {one.weights_since for one in seen} == {NOW}

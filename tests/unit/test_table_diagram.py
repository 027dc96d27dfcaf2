"""The picture of the table, which docs/architecture.md shows."""

from __future__ import annotations

from rollout_controller.core.release import Phase
from rollout_controller.core.table import TABLE, State, diagram


def arrows() -> dict[tuple[str, str], list[str]]:
    lines = [line.strip() for line in diagram().splitlines() if "-->" in line]
    pairs = [line.split(": ", 1) for line in lines]
    return {(path.split(" --> ")[0], path.split(" --> ")[1]): words.split(", ") for path, words in pairs}


def test_every_way_of_the_table_is_drawn_once() -> None:
    drawn = arrows()
    assert len(drawn) == sum("-->" in line for line in diagram().splitlines())
    for (event, state), cell in TABLE.items():
        if isinstance(cell, Phase) and cell.value != state.value:
            ways = [drawn.get((source, cell.value), []) for source in (state.value, "Running")]
            assert any(event.value in way for way in ways), f"{state} --> {cell}: {event}"


def test_nothing_is_drawn_that_is_not_in_the_table() -> None:
    ends = {end for pair in arrows() for end in pair}
    assert ends == {state.value for state in State} | {"[*]", "Running"}
    assert ("HandedOver", "Reverting") not in arrows()


def test_labels_are_short_enough_to_be_read() -> None:
    for (source, target), words in arrows().items():
        assert len(", ".join(words)) <= 70, f"{source} --> {target}"

"""The pages of docs/ say what the code says."""

from __future__ import annotations

import pytest
import yaml

from docs import examples
from docs.generate import FOLDER, PAGES, main, renewed
from rollout_controller.core.template import HASH_LABEL


@pytest.mark.parametrize("name", PAGES)
def test_what_is_generated_in_a_page_is_of_today(name: str) -> None:
    page = (FOLDER / name).read_text()
    assert renewed(name, page) == page, "run python -m docs.generate"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_its_marks_is_told_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"docs/{name}: expected the marks"):
        renewed(name, "no marks")


def test_the_check_passes_on_the_pages_of_today() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize("name", examples.EXAMPLES)
def test_an_example_is_yaml_of_what_the_edits_make(name: str) -> None:
    assert yaml.safe_load(examples.rendered(name)) == examples.EXAMPLES[name]()


def test_the_examples_show_what_their_sections_are_about() -> None:
    shown = {name: examples.rendered(name) for name in examples.EXAMPLES}
    assert f"{HASH_LABEL}: {examples.CANARY}" in shown["subsets"]
    assert "weight: 95" in shown["weights"]
    assert "rollout-controller/web/pin/primary" in shown["pins"]
    assert "value: 20" in shown["mirror"]
    assert "weight: 0" in shown["back"]
    assert "weight: 100" in shown["back"]
    assert f"{HASH_LABEL}: {examples.STABLE}" in shown["services"]
    assert [line.strip() for line in shown["foreign"].splitlines() if "weight" in line] == [
        "weight: 52",
        "weight: 18",
        "weight: 30",
    ]
    assert "port: 5432" in shown["tcp"]

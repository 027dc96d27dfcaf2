"""The CustomResourceDefinition says what the models say, and is fit for people, cost limits and git."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, Field

from rollout_controller.api import RUNNING_PHASES
from rollout_controller.api.crd import custom_resource_definition, main, render
from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.status import RolloutStatus
from rollout_controller.core.release import RUNNING

CRDS = Path(__file__).parents[2] / "crds"


def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, with its path; the elements of a list are at `path[]`."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


SPEC = tuple(walk(structural_schema(RolloutSpec), "spec"))
STATUS = tuple(walk(structural_schema(RolloutStatus), "status"))


def test_the_file_is_what_the_models_say() -> None:
    assert (CRDS / "rollouts.yaml").read_text(encoding="utf-8") == render()


def test_check_tells_a_file_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rollouts.yaml"
    assert main([str(path), "--check"]) == 1
    assert "run python -m rollout_controller.api.crd" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main([str(path), "--check"]) == 0
    path.write_text(path.read_text(encoding="utf-8").replace("minimum: 1", "minimum: 0"), encoding="utf-8")
    assert main([str(path), "--check"]) == 1


def test_the_written_text_is_the_definition() -> None:
    assert yaml.safe_load(render()) == custom_resource_definition()


def test_every_field_is_described() -> None:
    bare = [path for path, schema in SPEC + STATUS if not path.endswith("[]") and "description" not in schema]
    assert bare == []


def test_every_string_and_list_of_the_spec_is_bounded() -> None:
    unbounded = [
        path
        for path, schema in SPEC
        if (schema["type"] == "string" and not {"maxLength", "enum"} & schema.keys())
        or (schema["type"] == "array" and "maxItems" not in schema)
    ]
    assert unbounded == []


def test_elements_of_lists_have_no_defaults() -> None:
    assert [path for path, schema in SPEC if "[]" in path and "default" in schema] == []


def test_every_rule_has_a_message() -> None:
    rules = [(path, rule) for path, schema in SPEC for rule in schema.get("x-kubernetes-validations", [])]
    assert len(rules) > 20
    assert [path for path, rule in rules if not rule.get("message")] == []


def test_nothing_of_the_status_is_required_or_defaulted_but_a_conditions_type_and_status() -> None:
    demanding = [path for path, schema in STATUS if {"required", "default"} & schema.keys()]
    assert demanding == ["status.conditions[]"]


def test_no_rule_can_refuse_a_status() -> None:
    assert [path for path, schema in STATUS if "x-kubernetes-validations" in schema] == []


def test_the_phases_in_which_a_release_runs_are_those_of_the_core() -> None:
    assert set(RUNNING_PHASES) == {phase.value for phase in RUNNING}


def test_a_keyword_that_would_be_lost_is_an_error() -> None:
    class Model(BaseModel):
        either: int | str

    with pytest.raises(TypeError, match="one type beside null"):
        structural_schema(Model)

    class Multiples(BaseModel):
        of_two: Annotated[int, Field(multiple_of=2)]

    with pytest.raises(TypeError, match="multipleOf"):
        structural_schema(Multiples)


def test_a_map_keeps_the_schema_of_its_values() -> None:
    class Counts(BaseModel):
        by_name: dict[str, int]

    by_name = structural_schema(Counts)["properties"]["by_name"]
    assert by_name == {"type": "object", "additionalProperties": {"type": "integer"}}

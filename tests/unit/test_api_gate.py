"""The gate's policies speak of the same label, annotation and field manager as the controller."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout_controller.api import FIELD_MANAGER, HELD_BY, LABEL
from rollout_controller.controller.gate import KEPT

GATE = Path(__file__).parents[2] / "deploy" / "gate"


def documents(file: str) -> tuple[dict[str, Any], dict[str, Any]]:
    policy, binding = yaml.safe_load_all((GATE / file).read_text(encoding="utf-8"))
    return policy, binding


@pytest.mark.parametrize("file", ["hold.yaml", "keep.yaml"])
def test_a_policy_selects_updates_of_adopted_deployments_and_nothing_else(file: str) -> None:
    policy, binding = documents(file)
    constraints = policy["spec"]["matchConstraints"]
    assert constraints["objectSelector"] == {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}
    assert constraints["resourceRules"] == [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
    ]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]


@pytest.mark.parametrize("file", ["hold.yaml", "keep.yaml"])
def test_a_policy_that_cannot_be_evaluated_refuses_and_needs_no_crd(file: str) -> None:
    policy, _ = documents(file)
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert "paramKind" not in policy["spec"]


def test_the_policies_use_the_controllers_names() -> None:
    hold, keep = documents("hold.yaml")[0]["spec"], documents("keep.yaml")[0]["spec"]
    mutation = hold["mutations"][0]["applyConfiguration"]["expression"]
    assert f'annotations: {{"{HELD_BY}": variables.rollout}}' in mutation
    assert f'labels: {{"{LABEL}": variables.rollout}}' in mutation
    held, stranger = (condition["expression"] for condition in keep["matchConditions"])
    assert f'oldObject.metadata.?annotations[?"{HELD_BY}"].hasValue()' in held
    assert stranger.endswith(f'!= "{FIELD_MANAGER}"')


def test_a_refusal_by_the_gate_is_told_from_one_by_others() -> None:
    (validation,) = documents("keep.yaml")[0]["spec"]["validations"]
    assert KEPT in validation["messageExpression"]


def test_everything_in_the_folder_is_applied() -> None:
    listed = yaml.safe_load((GATE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert sorted(listed) == sorted(
        path.name for path in GATE.glob("*.yaml") if path.name != "kustomization.yaml"
    )

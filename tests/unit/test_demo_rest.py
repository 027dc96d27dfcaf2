"""Whether a live object is what git says."""

import copy
from typing import Any

import pytest

from e2e.demo.rest import differences

SAID: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"http": [{"name": "primary", "route": [{"weight": 100}, {"weight": 0}]}]},
}


def found(**metadata: Any) -> dict[str, Any]:
    """The same as the API server would give it back."""
    live = copy.deepcopy(SAID)
    live["metadata"] |= {"uid": "1", "resourceVersion": "7", "generation": 3, **metadata}
    return live


def test_an_object_as_applied_does_not_differ() -> None:
    note = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "deployment.kubernetes.io/revision": "2",
    }
    assert differences(SAID, found(annotations=note)) == []


def test_a_weight_left_behind_is_named_with_its_path() -> None:
    live = found()
    live["spec"]["http"][0]["route"][1]["weight"] = 5
    assert differences(SAID, live) == ["spec.http[0].route[1].weight: git says 0, the cluster says 5"]


def test_a_field_beyond_git_is_a_difference() -> None:
    live = found()
    live["spec"]["paused"] = True
    assert differences(SAID, live) == ["spec.paused: git has none, the cluster says True"]


def test_a_field_that_is_lost_is_a_difference() -> None:
    live = found()
    del live["spec"]["http"][0]["name"]
    assert differences(SAID, live) == ["spec.http[0].name: git says 'primary', the cluster has none"]


def test_an_entry_more_is_a_difference() -> None:
    live = found()
    live["spec"]["http"].append({"name": "rollout-controller/pin"})
    (line,) = differences(SAID, live)
    assert line.startswith("spec.http: git says [")


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_a_mark_left_behind_is_a_difference(where: str) -> None:
    live = found()
    live["metadata"].setdefault(where, {})["rollout-controller.dev/x"] = "y"
    assert differences(SAID, live) == [
        f"metadata.{where}.rollout-controller.dev/x: git has none, the cluster says 'y'"
    ]


def test_labels_that_are_expected_must_be_there() -> None:
    ours = {"rollout-controller.dev/rollout": "web"}
    assert differences(SAID, found(labels={"app": "web", **ours}), labels=ours) == []
    assert len(differences(SAID, found(), labels=ours)) == 1

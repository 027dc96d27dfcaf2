"""What a person who applies a wrong Rollout reads: which field, and what it should be."""

import pytest

from e2e.localcluster.cluster import LocalCluster
from e2e.tests.crd_objects import UNKNOWN, WRONG, Wrong, rollout
from e2e.tests.install import install_crd
from e2e.tests.kubectl import Kubectl

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def kubectl(cluster: LocalCluster) -> Kubectl:
    kubectl = Kubectl.of(cluster, "default")
    install_crd(kubectl)
    return kubectl


_CUT_SHORT = "<nil>: Invalid value: null: some validation rules were not checked"
"""The API server's remark beside an error of the schema itself."""


def complaints(err: str, name: str = "web") -> set[str]:
    """The errors in what kubectl printed, without the API server's remark."""
    first = f'The Rollout "{name}" is invalid: '
    assert err.startswith(first)
    lines = (line.removeprefix("* ").strip() for line in err.removeprefix(first).splitlines())
    return {line for line in lines if line and not line.startswith(_CUT_SHORT)}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_rollout_is_refused_with_a_message_that_helps(kubectl: Kubectl, wrong: Wrong) -> None:
    err = kubectl.refused("apply", "-f", "-", stdin=rollout(wrong.changes))
    assert complaints(err) == set(wrong.says.split("\n"))


def test_every_wrong_field_is_told_at_once(kubectl: Kubectl) -> None:
    wrong = rollout({"bake": "x", "strategy.canary.minPods": 0})
    err = kubectl.refused("apply", "-f", "-", stdin=wrong)
    assert {line.split(":")[0] for line in complaints(err)} == {"spec.bake", "spec.strategy.canary.minPods"}


@pytest.mark.parametrize("path", UNKNOWN)
def test_kubectl_refuses_a_field_that_does_not_exist(kubectl: Kubectl, path: str) -> None:
    err = kubectl.refused("apply", "-f", "-", stdin=rollout({path: {}}))
    assert f'unknown field "spec.{path}"' in err


def test_a_name_too_long_for_the_label_is_refused(kubectl: Kubectl) -> None:
    name = "a" * 64
    err = kubectl.refused("apply", "-f", "-", stdin=rollout(name=name))
    assert complaints(err, name) == {
        "metadata.name: Invalid value: must have at most 63 characters:"
        " it becomes the value of a label on the Deployment"
    }


def test_a_rollout_without_a_spec_is_refused(kubectl: Kubectl) -> None:
    bare = {key: value for key, value in rollout().items() if key != "spec"}
    err = kubectl.refused("apply", "-f", "-", stdin=bare)
    assert complaints(err) == {"spec: Required value"}

"""The gate on a real API server: a new template comes out paused, whoever writes it and however.

No controller runs in any of these tests: what holds here holds while it is down.
"""

import copy
import json
from typing import Any

import pytest

from e2e.localcluster.cluster import LocalCluster
from e2e.tests.install import deployment, install_gate
from e2e.tests.kubectl import Kubectl
from e2e.tests.support import Namespace

pytestmark = pytest.mark.real

LABEL = "rollout-controller.dev/rollout"
HELD_BY = "rollout-controller.dev/held-by"
OURS = "--field-manager=rollout-controller"
UNPAUSE = {"spec": {"paused": False}, "metadata": {"annotations": {HELD_BY: None}}}


def read(kubectl: Kubectl) -> dict[str, Any]:
    return kubectl.get("deployment/web")


def image(obj: dict[str, Any]) -> str:
    return str(obj["spec"]["template"]["spec"]["containers"][0]["image"])


def held(obj: dict[str, Any]) -> tuple[bool, str | None]:
    """Whether it is paused, and by which Rollout it is held."""
    return obj["spec"].get("paused", False), obj["metadata"].get("annotations", {}).get(HELD_BY)


HELD = (True, "shop")
FREE = (False, None)


@pytest.fixture(scope="module", autouse=True)
def gate(cluster: LocalCluster) -> None:
    install_gate(Kubectl.of(cluster, "default"))


@pytest.fixture
def kubectl(cluster: LocalCluster, namespace: Namespace) -> Kubectl:
    return Kubectl.of(cluster, namespace.name)


@pytest.fixture
def at_rest(kubectl: Kubectl) -> Kubectl:
    """A Deployment `web` of Rollout `shop`, un-paused, its ReplicaSet made."""
    kubectl("apply", "-f", "-", stdin=deployment())
    wait_observed(kubectl)
    return kubectl


@pytest.fixture
def on_hold(at_rest: Kubectl) -> Kubectl:
    """The same, after a new template came."""
    at_rest("set", "image", "deployment/web", "web=web:2")
    assert held(read(at_rest)) == HELD
    return at_rest


def wait_observed(kubectl: Kubectl) -> None:
    """Until the Deployment controller has acted upon the latest write."""
    generation = read(kubectl)["metadata"]["generation"]
    condition = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
    kubectl("wait", condition, "deployment/web", "--timeout=20s")


def merge(patch: dict[str, Any], *arguments: str) -> tuple[str, ...]:
    """The arguments that make kubectl merge something into the Deployment."""
    return ("patch", "deployment/web", "--type=merge", "-p", json.dumps(patch), *arguments)


def replace(kubectl: Kubectl, obj: dict[str, Any], *arguments: str) -> None:
    """Put it in the place of what is there, whatever the Deployment controller wrote meanwhile."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    kubectl("replace", "-f", "-", *arguments, stdin={**obj, "metadata": metadata})


def without_marks(obj: dict[str, Any]) -> dict[str, Any]:
    """A Deployment as somebody writes it who knows nothing of us: no label, no annotation, no pause."""
    result = copy.deepcopy(obj)
    result["metadata"]["labels"].pop(LABEL, None)
    result["metadata"].get("annotations", {}).pop(HELD_BY, None)
    result["spec"].pop("paused", None)
    return result


def with_image(obj: dict[str, Any], name: str) -> dict[str, Any]:
    result = copy.deepcopy(obj)
    result["spec"]["template"]["spec"]["containers"][0]["image"] = name
    return result


# -- a new template -------------------------------------------------------------------------------------


def test_set_image_comes_out_paused(at_rest: Kubectl) -> None:
    at_rest("set", "image", "deployment/web", "web=web:2")
    changed = read(at_rest)
    assert (image(changed), held(changed)) == ("web:2", HELD)


def test_apply_comes_out_paused(at_rest: Kubectl) -> None:
    at_rest("apply", "-f", "-", stdin=deployment("web:2"))
    changed = read(at_rest)
    assert (image(changed), held(changed)) == ("web:2", HELD)


def test_restart_comes_out_paused(at_rest: Kubectl) -> None:
    at_rest("rollout", "restart", "deployment/web")
    assert held(read(at_rest)) == HELD


def test_undo_comes_out_paused(on_hold: Kubectl) -> None:
    on_hold(*merge(UNPAUSE, OURS))
    wait_observed(on_hold)
    on_hold("rollout", "undo", "deployment/web")
    changed = read(on_hold)
    assert (image(changed), held(changed)) == ("web:1", HELD)


@pytest.mark.parametrize("way", ["--server-side=true", "--server-side=false"])
def test_apply_with_an_explicit_paused_false_comes_out_paused(at_rest: Kubectl, way: str) -> None:
    manifest = deployment("web:2")
    manifest["spec"]["paused"] = False
    at_rest(
        "apply", way, "--force-conflicts" if "true" in way else "--force=false", "-f", "-", stdin=manifest
    )
    changed = read(at_rest)
    assert (image(changed), held(changed)) == ("web:2", HELD)


def test_a_template_change_by_our_own_field_manager_comes_out_paused(at_rest: Kubectl) -> None:
    dry_run = ("set", "image", "deployment/web", "web=web:2", OURS, "--dry-run=server", "-o", "json")
    assert held(json.loads(at_rest(*dry_run))) == HELD
    assert held(read(at_rest)) == FREE


def test_a_write_that_strips_the_label_comes_out_paused_and_labelled(at_rest: Kubectl) -> None:
    replace(at_rest, with_image(without_marks(read(at_rest)), "web:2"))
    changed = read(at_rest)
    assert (image(changed), held(changed)) == ("web:2", HELD)
    assert changed["metadata"]["labels"] == {"app": "web", LABEL: "shop"}


def test_a_write_that_brings_label_and_template_comes_out_paused(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=without_marks(deployment()))
    kubectl("apply", "-f", "-", stdin=deployment("web:2"))
    assert held(read(kubectl)) == HELD


def test_a_second_template_stays_paused(on_hold: Kubectl) -> None:
    replace(on_hold, with_image(without_marks(read(on_hold)), "web:3"))
    changed = read(on_hold)
    assert (image(changed), held(changed)) == ("web:3", HELD)


def test_no_replica_set_is_made_for_a_held_template(at_rest: Kubectl) -> None:
    at_rest("set", "image", "deployment/web", "web=web:2")
    wait_observed(at_rest)
    sets = at_rest.get("replicasets")["items"]
    assert [image(replica_set) for replica_set in sets] == ["web:1"]


# -- whatever leaves the template as it is --------------------------------------------------------------


def test_scaling_is_not_paused(at_rest: Kubectl) -> None:
    at_rest("scale", "deployment/web", "--replicas=3")
    changed = read(at_rest)
    assert (changed["spec"]["replicas"], held(changed)) == (3, FREE)


def test_the_same_manifest_again_is_not_paused(at_rest: Kubectl) -> None:
    manifest = deployment()
    manifest["spec"]["replicas"] = 2
    at_rest("apply", "-f", "-", stdin=manifest)
    changed = read(at_rest)
    assert (changed["spec"]["replicas"], held(changed)) == (2, FREE)


def test_a_held_deployment_can_be_scaled(on_hold: Kubectl) -> None:
    on_hold("scale", "deployment/web", "--replicas=3")
    on_hold("patch", "deployment/web", "-p", '{"spec":{"replicas":4}}')
    changed = read(on_hold)
    assert (changed["spec"]["replicas"], held(changed)) == (4, HELD)


@pytest.mark.parametrize("way", ["--server-side=true", "--server-side=false"])
def test_applying_the_held_manifest_again_keeps_it_held(at_rest: Kubectl, way: str) -> None:
    first = ("apply", way, "--field-manager=git", "-f", "-")
    if "true" in way:
        at_rest(*first, "--force-conflicts", stdin=deployment())
    at_rest(*first, stdin=deployment("web:2"))
    at_rest(*first, stdin=deployment("web:2"))
    assert held(read(at_rest)) == HELD


def test_another_deployment_is_untouched(kubectl: Kubectl) -> None:
    manifest = without_marks(deployment())
    kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("set", "image", "deployment/web", "web=web:2")
    assert held(read(kubectl)) == FREE
    kubectl("rollout", "pause", "deployment/web")
    kubectl("rollout", "resume", "deployment/web")
    assert held(read(kubectl)) == FREE


def test_a_pause_of_somebodys_own_can_be_ended(at_rest: Kubectl) -> None:
    at_rest("rollout", "pause", "deployment/web")
    at_rest("rollout", "resume", "deployment/web")
    assert held(read(at_rest)) == FREE


# -- un-pausing -----------------------------------------------------------------------------------------


def test_resume_is_refused_with_what_to_do_instead(on_hold: Kubectl) -> None:
    err = on_hold.refused("rollout", "resume", "deployment/web")
    assert "Deployment web is held by Rollout shop" in err
    annotate = f"kubectl -n {on_hold.namespace} annotate rlt shop rollout-controller.dev/promote=true"
    assert annotate in err
    for word in ("promote=true", "=full", "resume=true", "abort=", "retry=true", OURS):
        assert word in err
    assert held(read(on_hold)) == HELD


def test_resume_then_set_image_stays_held(on_hold: Kubectl) -> None:
    on_hold.refused("rollout", "resume", "deployment/web")
    on_hold("set", "image", "deployment/web", "web=web:3")
    changed = read(on_hold)
    assert (image(changed), held(changed)) == ("web:3", HELD)


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"spec": {"paused": False}}, id="un-paused"),
        pytest.param({"spec": {"paused": None}}, id="pause taken away"),
        pytest.param({"metadata": {"annotations": {HELD_BY: None}}}, id="annotation taken away"),
        pytest.param({"metadata": {"annotations": None}}, id="all annotations taken away"),
        pytest.param({"metadata": {"labels": {LABEL: None}}}, id="label taken away"),
        pytest.param(UNPAUSE, id="both at once"),
    ],
)
def test_a_stranger_cannot_let_go(on_hold: Kubectl, patch: dict[str, Any]) -> None:
    err = on_hold.refused(*merge(patch))
    assert "denied request: Deployment web is held by Rollout shop" in err
    assert held(read(on_hold)) == HELD


def test_a_client_that_names_no_field_manager_cannot_let_go(on_hold: Kubectl) -> None:
    path = f"/apis/apps/v1/namespaces/{on_hold.namespace}/deployments/web"
    said = without_marks(read(on_hold))
    del said["metadata"]["resourceVersion"]  # whatever the Deployment controller writes meanwhile
    err = on_hold.refused("replace", "--raw", path, "-f", "-", stdin=said)
    assert "Deployment web is held by Rollout shop" in err


@pytest.mark.parametrize("name", ["rollout-controller-2", "Rollout-Controller", "kubectl"])
def test_another_field_manager_cannot_let_go(on_hold: Kubectl, name: str) -> None:
    err = on_hold.refused(*merge(UNPAUSE, f"--field-manager={name}"))
    assert "Deployment web is held by Rollout shop" in err


def test_a_manifest_that_insists_on_paused_false_is_refused_while_held(on_hold: Kubectl) -> None:
    manifest = deployment("web:2")
    manifest["spec"]["paused"] = False
    err = on_hold.refused("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    assert "Deployment web is held by Rollout shop" in err


def test_our_field_manager_lets_go_and_the_template_rolls(on_hold: Kubectl) -> None:
    on_hold(*merge(UNPAUSE, OURS))
    assert held(read(on_hold)) == FREE
    wait_observed(on_hold)
    sets = on_hold.get("replicasets")["items"]
    assert sorted(image(replica_set) for replica_set in sets) == ["web:1", "web:2"]


def test_resume_with_our_field_manager_is_the_way_out(on_hold: Kubectl) -> None:
    on_hold("rollout", "resume", "deployment/web", OURS)
    assert not read(on_hold)["spec"].get("paused", False)


def test_our_field_manager_takes_the_label_away_for_good(on_hold: Kubectl) -> None:
    on_hold(*merge(UNPAUSE, OURS))
    on_hold(*merge({"metadata": {"labels": {LABEL: None}}}, OURS))
    on_hold("set", "image", "deployment/web", "web=web:3")
    on_hold("rollout", "pause", "deployment/web")
    on_hold("rollout", "resume", "deployment/web")
    changed = read(on_hold)
    assert (image(changed), held(changed)) == ("web:3", FREE)


def test_what_a_deleted_rollout_left_on_hold_stays_on_hold(on_hold: Kubectl) -> None:
    """The controller deletes with Rollout and label, but leaves a template paused that was never released."""
    on_hold(*merge({"metadata": {"labels": {LABEL: None}}}, OURS))
    assert held(read(on_hold)) == HELD
    on_hold("rollout", "resume", "deployment/web")
    assert not read(on_hold)["spec"].get("paused", False)

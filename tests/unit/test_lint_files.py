"""What stands in files and would be lost without a word: documents that are no objects, and objects twice."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.support.linting import ALL, DEPLOYMENT, ROLLOUT, RULE, SERVICE, Shell, everything


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


# -- documents that are no objects -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DEPLOYMENT.partition("\n")[2], "Deployment web apiVersion: there is none, so it is no object."),
        (
            DEPLOYMENT.replace("kind: Deployment\n", ""),
            "apps/v1 web kind: there is none, so it is no object.",
        ),
        ("", "File: it is empty, so there is nothing to check."),
        ("  \n", "File: it is empty, so there is nothing to check."),
        ("web\n", "Document: expected an object, found the single value 'web'."),
        ("- a\n- b\n", "Document: expected an object, found a list."),
        ("[]\n", "Document: expected an object, found a list."),
        (f"- {{kind: A}}\n---\n{DEPLOYMENT}", "Document: expected an object, found a list."),
    ],
)
def test_a_document_that_is_no_object_is_an_error_with_its_place(shell: Shell, text: str, words: str) -> None:
    everything(shell)
    shell.write(more_yaml=text, deployment_yaml="# kept elsewhere\n---\n" + DEPLOYMENT)
    row = next(row for row in shell.rows() if row["code"] == "NotAnObject")
    assert f"{row['object']} {row['path']}".strip() + f": {row['sentence']}." == words
    assert (row["file"], row["line"], row["severity"], shell.status) == ("more.yaml", 1, "error", 1)


def test_an_object_without_both_is_told_twice_and_items_of_lists_have_their_lines(shell: Shell) -> None:
    everything(shell)
    shell.write(list_yaml="apiVersion: v1\nkind: List\nitems:\n- metadata: {name: web}\n  spec: {}\n")
    assert shell.found() == ["list.yaml:4 error NotAnObject"] * 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("patch", "spec: {replicas: 3}\n"),
        ("patch", "- op: remove\n  path: /spec\n"),
        ("colours", "colour: red\n"),
        ("Chart", "apiVersion: v2\nname: shop\n"),
        ("values", ""),
        ("kustomization", "resources: [rollout.yaml, vs.yaml, dr.yaml, deployment.yaml]\n"),
    ],
)
def test_what_need_not_be_an_object_is_passed_over(shell: Shell, name: str, text: str) -> None:
    everything(shell)
    shell.write(**{f"{name}_yaml": text})
    assert shell.found() == []


def test_a_file_of_comments_is_worth_a_word_in_a_directory_and_an_error_by_its_name(shell: Shell) -> None:
    everything(shell)
    shell.write(notes_yaml="# later\n")
    assert (shell.found(), shell.status) == (["notes.yaml:1 warning NotAnObject"], 0)
    assert "notes.yaml:1 error NotAnObject" in shell.found(str(shell.folder / "notes.yaml"))


def test_an_empty_standard_input_is_an_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    [row] = shell.rows("-")
    assert (row["code"], row["fix"]) == ("NotAnObject", "See why the command before printed nothing.")
    assert shell.status == 1


# -- objects twice -----------------------------------------------------------------------------------------


def test_an_object_that_is_given_twice_is_an_error_that_names_both_places(shell: Shell) -> None:
    everything(shell)
    shell.write(zz_yaml="# again\n---\n" + RULE)
    [row] = shell.rows()
    assert (row["file"], row["line"], row["code"]) == ("zz.yaml", 3, "GivenTwice")
    assert row["object"] == "DestinationRule shop/web"
    assert row["sentence"].endswith("dr.yaml:1 as well, and the one applied last counts")
    assert shell.status == 1


def test_an_object_of_two_environments_is_not_given_twice(shell: Shell) -> None:
    everything(shell)
    shell.write(staging__dr_yaml=RULE, prod__dr_yaml=RULE)
    assert "GivenTwice" not in {row["code"] for row in shell.rows()}


def test_a_file_that_is_named_twice_is_read_once(shell: Shell) -> None:
    everything(shell)
    assert shell.found(str(shell.folder), str(shell.folder / "dr.yaml")) == []


@pytest.mark.parametrize(
    "files",
    [
        {"pay_yaml": RULE.replace("namespace: shop", "namespace: pay").replace("host: web", "host: w")},
        {"overlay__kustomization_yaml": "resources: [..]\n", "overlay__dr_yaml": RULE},
        {
            "overlay__kustomization_yaml": "resources: [dr.yaml]\n",
            "overlay__dr_yaml": RULE,  # another overlay: they are not applied side by side
        },
    ],
)
def test_patches_overlays_and_other_namespaces_are_not_the_same_object(
    shell: Shell, files: dict[str, str]
) -> None:
    everything(shell)
    shell.write(**files)
    assert "GivenTwice" not in [row["code"] for row in shell.rows()]


def test_what_a_kustomization_lists_twice_is_given_twice(shell: Shell) -> None:
    everything(shell)
    listed = ", ".join([*ALL, "zz.yaml"])
    shell.write(kustomization_yaml=f"resources: [{listed}]\n", zz_yaml=RULE)
    assert shell.found() == ["zz.yaml:1 error GivenTwice"]


# -- Rollouts that claim the same --------------------------------------------------------------------------

RIVAL = ROLLOUT.replace("name: web, namespace", "name: web-two, namespace")


def test_two_rollouts_that_claim_the_same_are_told_at_the_second(shell: Shell) -> None:
    everything(shell)
    shell.write(two_yaml=RIVAL)
    [row] = shell.rows()
    assert (row["file"], row["line"], row["code"]) == ("two.yaml", 5, "ClaimedByAnother")
    assert row["sentence"] == (
        "Rollout web claims Deployment web as well, and only the one that is created first gets it"
    )
    assert shell.status == 1


def test_rollouts_of_two_namespaces_claim_nothing_of_each_other(shell: Shell) -> None:
    everything(shell)
    shell.write(two_yaml=RIVAL.replace("namespace: shop", "namespace: pay"))
    assert "ClaimedByAnother" not in [row["code"] for row in shell.rows()]


# -- versions and kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "before", "after", "words"),
    [
        ("vs", "istio.io/v1", "istio.io/v2", "apiVersion expected networking.istio.io/v1 or"),
        ("vs", "networking.istio.io/v1", "networking.istio.io", "apiVersion expected networking.istio.io/v1"),
        ("vs", "networking.istio", "networkng.istio", "apiVersion expected networking.istio.io/v1"),
        ("dr", "kind: DestinationRule", "kind: DestinationRules", "kind there is no DestinationRules in"),
        ("deployment", "apps/v1", "apps/v1beta1", "apiVersion expected apps/v1, found apps/v1beta1"),
        ("deployment", "apps/v1", "app/v1", "apiVersion expected apps/v1, found app/v1"),
        (
            "rollout",
            "rollout-controller.dev",
            "rollout-controler.dev",
            "apiVersion expected rollout-controller",
        ),
    ],
)
def test_a_version_or_kind_that_does_not_exist_is_an_error(
    shell: Shell, file: str, before: str, after: str, words: str
) -> None:
    everything(shell, **{file: ALL[f"{file}.yaml"].replace(before, after, 1)})
    told = [f"{row['path']} {row['sentence']}" for row in shell.rows() if row["code"] == "UnknownVersion"]
    assert [one.startswith(words) for one in told] == [True]
    assert shell.status == 1


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("networking.istio.io/v1alpha3", "VirtualService"),
        ("networking.istio.io/v1", "EnvoyFilter"),
        ("security.istio.io/v1", "RequestAuthentication"),
        ("gateway.networking.k8s.io/v1", "Gateway"),
        ("appmesh.k8s.aws/v1beta2", "VirtualService"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("serving.knative.dev/v1", "Service"),
        ("apps.openshift.io/v1", "DeploymentConfig"),
        ("v1", "ServiceAccount"),
        ("apps/v1", "StatefulSet"),
        ("autoscaling/v1", "HorizontalPodAutoscaler"),
        ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ],
)
def test_what_exists_or_is_somebody_elses_is_left_alone(shell: Shell, version: str, kind: str) -> None:
    everything(shell)
    shell.write(
        more_yaml=f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: other, namespace: shop}}\n"
    )
    assert shell.found() == []


# -- namespaces --------------------------------------------------------------------------------------------


def test_a_namespace_that_is_given_is_that_of_all_objects_which_name_none(shell: Shell) -> None:
    everything(shell, vs=SERVICE.replace(", namespace: shop", ""))
    assert shell.found() == []
    assert shell.found("-n", "shop", str(shell.folder)) == []
    assert shell.found("-n", "pay", str(shell.folder)) == ["rollout.yaml:8 warning NotAmongFiles"]


# -- places ------------------------------------------------------------------------------------------------


def test_a_finding_about_several_objects_stands_at_the_first_one(shell: Shell) -> None:
    everything(shell)
    made = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, namespace: shop}\n"
    names = ("web", "web-internal", "web-other")
    services = [made.replace("NAME", name) + "spec: {selector: {app: web}}\n" for name in names]
    shell.write(svc_yaml="---\n".join(services))
    [row] = [row for row in shell.rows() if row["code"] == "UnroutedPath"]
    assert row["object"] == "Service shop/web-internal, shop/web-other"
    assert (row["file"], row["line"]) == ("svc.yaml", 6)

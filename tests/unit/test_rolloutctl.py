"""`rolloutctl lint`: what a person in front of files, or a CI job, gets to see."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rollout_controller.cli.rolloutctl import main
from tests.support.linting import ALL, DEPLOYMENT, ROLLOUT, RULE, SERVICE, Shell, everything


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_good_files_give_one_line_and_status_0(shell: Shell) -> None:
    everything(shell)
    assert shell.run() == ("1 Rollout in 4 files: nothing found\n", "")
    assert shell.status == 0


def test_an_error_has_its_place_its_object_what_is_wrong_and_what_to_do_and_status_1(shell: Shell) -> None:
    everything(shell, dr=RULE.replace("        app: web", "        app: wbe"))
    out, _ = shell.run()
    assert out == (
        "dr.yaml:10: error LabelWithoutPods\n"
        "    DestinationRule shop/web spec.subsets[1].labels.app: wbe selects no new pod: the template of"
        " Deployment shop/web has app=web\n"
        "    Did you mean app: web? Else remove it; the versions are told apart by pod-template-hash.\n"
        "\n"
        "1 Rollout in 4 files: 1 error, no warnings\n"
    )
    assert shell.status == 1


def test_json_is_a_list_of_findings(shell: Shell) -> None:
    everything(shell, vs=SERVICE.replace("weight: 100", "weight: 90"))
    [row] = shell.rows()
    assert row == {
        "file": "vs.yaml",
        "line": 8,
        "severity": "error",
        "code": "WeightsNot100",
        "object": "VirtualService shop/web",
        "path": "spec.http[0].route",
        "sentence": "the weights 90 + 0 total 90, so their shares are not what they say",
        "fix": "Make them total 100.",
    }
    assert shell.status == 1


def test_json_without_findings_is_an_empty_list(shell: Shell) -> None:
    everything(shell)
    assert (shell.rows(), shell.status) == ([], 0)


def test_what_is_not_among_the_files_is_told_as_not_checked_and_is_no_error(shell: Shell) -> None:
    shell.write(rollout_yaml=ROLLOUT)
    assert shell.found() == [
        "rollout.yaml:5 warning NotAmongFiles",
        "rollout.yaml:8 warning NotAmongFiles",
        "rollout.yaml:9 warning NotAmongFiles",
    ]
    assert shell.status == 0


def test_a_name_that_is_nearly_among_the_files_is_told(shell: Shell) -> None:
    everything(shell, vs=SERVICE.replace("name: web,", "name: wbe,"))
    [row] = shell.rows()
    assert row["sentence"] == "VirtualService shop/web is not among the files, so it is not checked"
    assert row["fix"] == 'Did you mean "wbe"? Give its file as well, or correct the name.'


def test_services_and_gateways_are_missed_only_if_others_are_there(shell: Shell) -> None:
    at_edge = SERVICE.replace("hosts: [web]", "hosts: [a.example]\n  gateways: [edge, istio-system/public]")
    everything(shell, vs=at_edge)
    assert shell.found() == []
    made = "{{apiVersion: {}, kind: {}, metadata: {{name: {}, namespace: shop}}}}"
    shell.write(
        svc_yaml=made.format("v1", "Service", "webb"),
        gw_yaml=made.format("networking.istio.io/v1", "Gateway", "egde"),
    )
    assert shell.found() == ["dr.yaml:5 warning NotAmongFiles", "vs.yaml:6 warning NotAmongFiles"]
    assert [row["fix"].partition("?")[0] for row in shell.rows()] == [
        'Did you mean "webb"',
        'Did you mean "egde"',
    ]


# -- which files -------------------------------------------------------------------------------------------


def test_several_documents_lists_and_standard_input_are_read(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        "- " + text.replace("\n", "\n  ").rstrip(" ")
        for text in (SERVICE, RULE.replace("host: web", "host: w"))
    )
    text = f"# values\ncolour: red\n---\n{ROLLOUT}---\n---\n{DEPLOYMENT}---\n{listed}"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    [row] = shell.rows("-")
    assert (row["file"], row["code"]) == ("-", "NoManagedRoute")
    assert text.splitlines()[row["line"] - 1].strip() == "http:"


MIRRORING = (
    ROLLOUT.replace("{weight: 50}", "{weight: 0, mirror: 20}")
    + """\
status:
  phase: Progressing
  plan: [{name: mirror, weight: 0, mirror: 20, minDuration: 60s}, {name: full, weight: 100}]
"""
)
COPIED = (
    SERVICE
    + """\
      mirrors:
        - destination: {host: web, subset: canary}
          percentage: {value: 20}
"""
)


def test_copies_of_a_release_that_runs_are_its_own_and_at_rest_somebodys(shell: Shell) -> None:
    everything(shell, rollout=MIRRORING, vs=COPIED)
    assert shell.found() == []
    everything(shell, rollout=MIRRORING.replace("Progressing", "Healthy"), vs=COPIED)
    assert shell.found() == ["vs.yaml:13 error MirrorToCanary"]


def test_a_release_that_runs_is_judged_by_what_it_began_with(shell: Shell) -> None:
    mirrored = SERVICE.replace("route:", "mirror: {host: log}\n      route:")
    everything(shell, rollout=MIRRORING, vs=mirrored)
    assert [row["code"] for row in shell.rows()] == ["MirrorField"], "the plan copies"
    everything(shell, rollout=MIRRORING.replace("mirror: 20, minDuration", "minDuration"), vs=mirrored)
    assert shell.rows() == [], "only the spec copies by now"
    pin = "  pins: [{headers: [{name: x-canary, how: exact, value: a}]}]\n"
    matched = SERVICE.replace("route:", 'match: [{headers: {x-canary: {regex: "b+"}}}]\n      route:')
    everything(shell, rollout=MIRRORING + pin, vs=matched)
    assert "PinNotJoinable" in [row["code"] for row in shell.rows()]


TWO = ROLLOUT.replace("{deployment: web}", "{stable: {deployment: web-v1}, canary: {deployment: web-v2}}")
SPLIT = SERVICE.replace("100", "70").replace("weight: 0", "weight: 30")


@pytest.mark.parametrize(("serving", "other", "share"), [("web-v1", "web-v2", 30), ("web-v2", "web-v1", 70)])
def test_two_deployments_that_both_serve_are_an_error_unless_they_do_so_in_a_release(
    shell: Shell, serving: str, other: str, share: int
) -> None:
    status = f"status: {{phase: PHASE, stable: {serving}}}\n"
    everything(shell, rollout=TWO + status.replace("PHASE", "Healthy"), vs=SPLIT)
    [row] = [row for row in shell.rows() if row["severity"] == "error"]
    assert (row["code"], row["file"]) == ("SplitAtRest", "vs.yaml")
    assert f"{other} is sent {share} % of the requests although no release runs" in row["sentence"]
    everything(shell, rollout=TWO + status.replace("PHASE", "Progressing"), vs=SPLIT)
    assert [row for row in shell.rows() if row["severity"] == "error"] == []


def test_an_idle_deployment_that_is_paused_in_its_file_is_told(shell: Shell) -> None:
    both = [
        DEPLOYMENT.replace("name: web,", f"name: web-{v},").replace("app: web}", f"app: web, version: {v}}}")
        for v in ("v1", "v2")
    ]
    idle = both[1].replace("spec:", "spec:\n  paused: true", 1)
    rule = RULE.replace("{app: web}", "{version: v1}").replace("app: web", "version: v2")
    everything(shell, rollout=TWO, dr=rule, deployment=f"{both[0]}---\n{idle}")
    assert [(row["code"], row["line"]) for row in shell.rows()] == [("IdlePaused", 12)]
    everything(shell, rollout=TWO, dr=rule, deployment="---\n".join(both))
    assert shell.rows() == []


def test_a_status_that_is_none_of_ours_counts_for_nothing(shell: Shell) -> None:
    everything(shell, rollout=ROLLOUT + "status: {phase: Asleep, plan: 7}\n")
    assert shell.found() == []


def test_objects_of_no_namespace_are_beside_every_rollout(shell: Shell) -> None:
    everything(shell, vs=SERVICE.replace(", namespace: shop", ""), dr=RULE.replace(", namespace: shop", ""))
    assert shell.found() == []
    elsewhere = DEPLOYMENT.replace("namespace: shop", "namespace: pay")
    everything(shell, deployment=elsewhere)
    assert shell.found() == ["rollout.yaml:5 warning NotAmongFiles"]


def test_the_namespace_is_that_of_the_kustomization_or_the_flag(shell: Shell) -> None:
    bare = {name.partition(".")[0]: text.replace(", namespace: shop", "") for name, text in ALL.items()}
    full = bare["dr"].replace("host: web", "host: web.shop.svc.cluster.local")
    everything(shell, **{**bare, "dr": full})
    assert shell.found() != []
    assert [row["object"] for row in shell.rows("-n", "shop", str(shell.folder))] == []
    shell.write(kustomization_yaml="kind: Kustomization\nnamespace: shop\nresources: [rollout.yaml]\n")
    assert shell.found() == []


def test_directories_are_read_with_all_below_but_for_hidden_ones(shell: Shell) -> None:
    shell.write(a__rollout_yaml=ROLLOUT, b__c__vs_yaml=SERVICE, _hidden="")
    (shell.folder / ".git").mkdir()
    (shell.folder / ".git" / "broken.yaml").write_text("{")
    (shell.folder / "notes.txt").write_text("{")
    out, _ = shell.run()
    assert "1 Rollout in 2 files" in out


def test_files_without_a_rollout_do_not_look_like_a_success(shell: Shell) -> None:
    shell.write(vs_yaml=SERVICE)
    assert shell.run() == (
        "no Rollout in 1 file, so nothing was judged as one: nothing found\n",
        "rolloutctl: no Rollout in these files: give its file as well\n",
    )
    assert shell.status == 2
    shell.write(vs_yaml=SERVICE.replace("weight: 100", "wieght: 100"))
    shell.run()
    assert shell.status == 1


def test_argos_rollouts_are_somebody_elses(shell: Shell) -> None:
    shell.write(argo_yaml="apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\n")
    assert shell.run()[0].startswith("no Rollout in 1 file")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no *.yaml or *.yml in this directory or below it"),
        ({"a_yaml": "a: ["}, "a.yaml:1: no valid YAML: "),
        ({"a_yaml": "a: {{ .Values.a }}\nb: {{ b }}"}, "render templates first, as with helm template"),
        ({"a_yaml": "a: !vault secret"}, "a.yaml:1: no valid YAML: could not determine a constructor"),
        (
            {"a_yaml": "apiVersion: v1\nkind: Service\nspec:\n  ports:\n  - {port: 80}\n  ports: []\n"},
            "a.yaml:6: the key ports is given twice in one mapping",
        ),
        (
            {"a_yaml": "apiVersion: v1\nkind: Service\napiVersion: v1\nkind: Pod\n"},
            "a.yaml:3: the key apiVersion is given twice in one mapping; divide objects by ---",
        ),
    ],
)
def test_input_that_cannot_be_read_is_told_with_its_place_and_status_2(
    shell: Shell, files: dict[str, str], words: str
) -> None:
    shell.write(**files)
    out, err = shell.run()
    assert (out, shell.status) == ("", 2)
    assert err.startswith("rolloutctl: ")
    assert words in err


def test_an_alias_that_leads_back_to_itself_is_walked_once(shell: Shell) -> None:
    shell.write(a_yaml="apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: a\n  x: *m\n")
    out, err = shell.run()
    assert "twice" not in out + err


def test_values_of_a_chart_may_have_a_key_twice(shell: Shell) -> None:
    shell.write(values_yaml="image: a\nimage: b\n")
    out, err = shell.run()
    assert "twice" not in out + err


def test_all_that_cannot_be_read_is_told_at_once(shell: Shell) -> None:
    shell.write(a_yaml="a: [")
    _, err = shell.run(str(shell.folder / "a.yaml"), str(shell.folder / "none.yaml"))
    assert err.count("rolloutctl: ") == 2
    assert "none.yaml: no such file or directory" in err
    assert shell.status == 2


def test_a_scrape_interval_is_judged_if_it_is_given(shell: Shell) -> None:
    everything(shell)
    found = shell.found("--scrape-interval", "30s", str(shell.folder))
    assert found == ["rollout.yaml:13 warning WindowTooShort"]
    _, err = shell.run("--scrape-interval", "soon", str(shell.folder))
    assert (shell.status, err.startswith("rolloutctl: --scrape-interval: ")) == (2, True)


@pytest.mark.parametrize("argv", [[], ["lint"], ["lint", "-o", "xml", "."], ["walk"]])
def test_what_is_not_understood_ends_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: rolloutctl" in capsys.readouterr().err


def test_help_teaches_by_examples_and_names_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lint", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for words in ("rolloutctl lint k8s/", "helm template", "-o json", "Exit status: 0", "not checked"):
        assert words in text


def test_another_rule_for_the_same_host_is_an_error(shell: Shell) -> None:
    everything(shell)
    shell.write(second_yaml=RULE.replace("name: web,", "name: web-tls,"))
    assert "dr.yaml:5 error ConflictingDestinationRule" in shell.found()
    assert shell.status == 1

"""The form of objects in files: fields that do not exist, and values that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.linting import ALL, ROLLOUT, RULE, SERVICE, Shell, everything


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        (
            "errorRate",
            "errorrate",
            14,
            'UnknownField spec.analysis.checks[0].errorrate there is no such field Did you mean "errorRate"?'
            " Else remove it.",
        ),
        (
            "  strategy:",
            "  colour: red\n  strategy:",
            10,
            "UnknownField spec.colour there is no such field Remove it.",
        ),
        (
            "weight: 50",
            "weight: 500",
            12,
            "InvalidSpec spec.strategy.canary.steps[0].weight expected at most 100, found 500 Correct the"
            " field and apply the Rollout again.",
        ),
        (
            "kind: Rollout",
            "kind: Rolout",
            1,
            "UnknownVersion apiVersion expected rollout-controller.dev/v1alpha1 Rollout, found"
            " rollout-controller.dev/v1alpha1 Rolout Correct apiVersion and kind.",
        ),
        (
            "v1alpha1",
            "v1",
            1,
            "UnknownVersion apiVersion expected rollout-controller.dev/v1alpha1 Rollout, found"
            " rollout-controller.dev/v1 Rollout Correct apiVersion and kind.",
        ),
        (
            "spec:",
            "spce: {}\nspec:",
            4,
            'UnknownField spce there is no such field Did you mean "spec"? Remove it.',
        ),
        ("name: web, namespace", "namespace", 3, "Nameless metadata.name there is no name Give it one."),
    ],
)
def test_a_rollout_is_held_to_its_schema(
    shell: Shell, before: str, after: str, line: int, words: str
) -> None:
    everything(shell, rollout=ROLLOUT.replace(before, after, 1))
    row = shell.rows()[0]
    assert (row["file"], row["line"], row["severity"]) == ("rollout.yaml", line, "error")
    assert f"{row['code']} {row['path']} {row['sentence']} {row['fix']}" == words
    assert shell.status == 1


@pytest.mark.parametrize(
    ("file", "before", "after", "found"),
    [
        ("vs", "          weight: 100", "          wieght: 100", "error UnknownField"),
        ("vs", "subset: stable", "subsets: stable", "error UnknownField"),
        ("dr", "labels: {app: web}", "label: {app: web}", "error UnknownField"),
        ("vs", "      route:", "      retires: {}\n      route:", "warning UnknownField"),
        ("vs", "      route:", "      fromTheFuture: {}\n      route:", None),
        ("dr", "  host: web", "  host: web\n  trafficPolicy: {fromTheFuture: 1}", None),
        ("vs", "      route:", "      retries: {attempt: 1}\n      route:", "warning UnknownField"),
        ("vs", "      route:", "      retries: {attempts: 1, perTryTimeout: 1s}\n      route:", None),
        ("dr", "  host: web", "  host: web\n  trafficPolicy: {loadBalencer: {}}", "warning UnknownField"),
        (
            "dr",
            "  host: web",
            "  host: web\n  trafficPolicy: {outlierDetection: {consecutive5xxError: 1}}",
            "warning UnknownField",
        ),
        ("deployment", "spec:", "spec:\n  replica: 3", "warning UnknownField"),
        ("dr", "spec:", "spce:", "error UnknownField"),
        ("deployment", "spec:", "spec:\n  minReadySeconds: 3\n  revisionHistoryLimit: 2", None),
        ("deployment", "spec:", "spec:\n  paused: false", "warning ExplicitPaused"),
        ("vs", "weight: 100", 'weight: "100"', "error WrongType"),
        ("vs", "hosts: [web]", "hosts: web", "error WrongType"),
        ("vs", "      route:", '      corsPolicy: {allowOrigins: ["*"]}\n      route:', "error WrongType"),
        (
            "vs",
            "      route:",
            '      corsPolicy: {allowOrigins: {exact: "*"}}\n      route:',
            "error WrongType",
        ),
        ("vs", "      route:", "      rewrite: {uriRegexRewrite: /x}\n      route:", "error WrongType"),
        ("vs", "      route:", '      corsPolicy: {allowOrigins: [{exact: "*"}]}\n      route:', None),
        ("vs", "      route:", "      rewrite: {uri: /, authority: a}\n      route:", None),
        ("dr", "{app: web}", "{app: 1}", "error WrongType"),
        ("deployment", "{matchLabels: {app: web}}", "[app]", "error WrongType"),
        ("vs", "metadata: {name: web, namespace: shop}", "metadata: [web]", "error WrongType"),
    ],
)
def test_other_objects_are_held_to_what_is_certain_of_their_form(
    shell: Shell, file: str, before: str, after: str, found: str | None
) -> None:
    everything(shell, **{file: ALL[f"{file}.yaml"].replace(before, after, 1)})
    told = [one.partition(" ")[2] for one in shell.found() if one.startswith(f"{file}.yaml:")]
    assert (found in told) if found else (told == [])


def test_an_object_of_the_wrong_form_is_not_looked_at_any_further(shell: Shell) -> None:
    everything(shell, vs=SERVICE.replace("weight: 100", 'weight: "100"'))
    assert shell.found() == ["rollout.yaml:8 warning NotAmongFiles", "vs.yaml:10 error WrongType"]


def test_what_needs_quotes_is_told_so(shell: Shell) -> None:
    everything(shell, dr=RULE.replace("{app: web}", "{app: web, version: 1}"))
    [row] = [row for row in shell.rows() if row["code"] == "WrongType"]
    assert (row["path"], row["sentence"]) == (
        "spec.subsets[0].labels.version",
        "expected a string, found 1",
    )
    assert row["fix"] == 'Write "1", in quotes.'

"""What a person types, and what comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout_controller.app.settings import Settings, env_of, flag_of
from rollout_controller.cli.main import main
from tests.support.logging import restored_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with restored_logging():
        yield


def test_help_tells_of_every_setting_its_flag_its_variable_and_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert flag_of(name) in text
        assert f"[{env_of(name)}]" in text
        assert field.description
        assert field.description in text
    assert "rollout-controller run --context staging" in text
    assert "default: 3s" in text


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "rollout-controller 0.1.0\n"


def test_the_crd_is_printed_as_it_is_in_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crd"]) == 0
    assert capsys.readouterr().out == (Path(__file__).parents[2] / "crds" / "rollouts.yaml").read_text()


@pytest.mark.parametrize("argv", [[], ["walk"], ["run", "--no-such-flag"]])
def test_what_is_not_understood_ends_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: rollout-controller" in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--workers", "0"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rollout-controller: --workers (ROLLOUT_CONTROLLER_WORKERS): ")
    assert err.count("\n") == 1


def test_a_misplaced_kubeconfig_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--log-level", "error", "--kubeconfig", str(tmp_path / "none")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rollout-controller: kubeconfig {tmp_path}/none: no such file; ")
    assert err.count("\n") == 1


def test_an_api_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [],"
        " contexts: [{name: x, context: {cluster: c}}], current-context: x}"
    )
    assert main(["run", "--log-level", "error", "--kubeconfig", str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("rollout-controller: no answer from the API server at http://127.0.0.1:1: ")
    assert err.count("\n") == 1

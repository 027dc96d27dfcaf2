"""The image's recipe, as far as it can be checked without building it: no test here has a Docker."""

import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


def copied() -> list[str]:
    """What is copied from the repository."""
    own = [args for word, args in instructions() if word == "COPY" and not args.startswith("--from")]
    return [source for args in own for source in args.split()[:-1]]


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def controller() -> Any:
    documents = yaml.safe_load_all((ROOT / "deploy" / "controller.yaml").read_text(encoding="utf-8"))
    return next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]


def test_everything_that_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    assert copied() != []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[1] == "*"
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for source in copied():
        assert (ROOT / source).exists(), f"{source} is copied and does not exist"
        assert any(fnmatch(source, pattern) for pattern in sent), f".dockerignore leaves {source} out"


def test_what_the_package_is_made_of_is_copied() -> None:
    assert {"pyproject.toml", "rollout_controller", project()["readme"], "LICENSE"} <= set(copied())


def test_the_entry_point_is_the_projects_script_and_the_deployment_gives_its_arguments() -> None:
    entry = next(args for word, args in instructions() if word == "ENTRYPOINT")
    (path,) = yaml.safe_load(entry)
    assert Path(path).name in project()["scripts"]
    assert f"{Path(path).parents[1]} {Path(path).parents[1]}" in [
        args.removeprefix("--from=build ") for word, args in instructions() if word == "COPY"
    ]
    (container,) = controller()["containers"]
    assert "command" not in container
    assert container["args"] == ["run"]


def test_the_image_has_a_python_that_the_project_takes() -> None:
    versions = re.findall(r"FROM python:3\.(\d+)-slim", DOCKERFILE.read_text(encoding="utf-8"))
    least = project()["requires-python"].removeprefix(">=3.")
    assert len(versions) == 2
    assert min(map(int, versions)) >= int(least)


def test_the_image_runs_as_the_user_that_the_deployment_demands() -> None:
    user = next(args for word, args in instructions() if word == "USER")
    security = controller()["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_lock_becomes_constraints_that_pin_every_dependency(tmp_path: Path) -> None:
    run = next(args for word, args in instructions() if word == "RUN")
    (command,) = re.findall(r"(sed .*?) > constraints\.txt", run)
    (tmp_path / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    made = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    lines = [line for line in made.stdout.splitlines() if not line.lstrip().startswith("#")]
    pin = re.compile(r"([a-z0-9.-]+)==[\w.!+]+( ; .+)?")
    assert all(pin.fullmatch(line) for line in lines), [line for line in lines if not pin.fullmatch(line)]
    pinned = {line.partition("==")[0] for line in lines}
    wanted = {re.split(r"[<>=~!\[; ]", dependency)[0] for dependency in project()["dependencies"]}
    assert wanted <= pinned


def test_the_readme_says_the_name_that_the_deployment_asks_for() -> None:
    (container,) = controller()["containers"]
    image = f"rollout-controller:{project()['version']}"
    assert container["image"] == image
    assert f"docker build -f deploy/Dockerfile -t {image} ." in DOCKERFILE.read_text(encoding="utf-8")
    assert f"-t example/{image} ." in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_license_is_the_one_that_the_project_names() -> None:
    assert project()["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License\n                           Version 2.0, January 2004")

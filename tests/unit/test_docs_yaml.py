"""What people copy from the pages is right: every YAML in them, and in the demo, is linted."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Final

import pytest

import rollout_controller.istio
from rollout_controller.cli.lint import Linting, lint
from rollout_controller.cli.manifests import read_manifests
from rollout_controller.istio.shapes import SHAPES

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK: Final = re.compile(r"^( *)```ya?ml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The YAML blocks of a page, each with the line on which it begins."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start()) + 1, match[2]) for match in _BLOCK.finditer(text)]


def linted(*texts: str) -> Linting:
    return lint(read_manifests(["-"], ["---\n".join(texts)]), "default")


def errors(found: Linting) -> list[str]:
    return [f"{report.line}: {r}" for report in found.reports if (r := report.finding).severity == "error"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=f"{page.relative_to(ROOT)}:{line}")
        for page in PAGES
        for line, text in blocks(page)
    ],
)
def test_a_block_of_yaml_has_no_errors(text: str) -> None:
    assert errors(linted(text)) == []


def test_the_readmes_release_is_whole_but_for_the_deployment_that_everybody_has() -> None:
    texts = [text for _, text in blocks(ROOT / "README.md")[:2]]
    found = linted(*texts)
    assert found.rollouts == 1
    assert [report.finding.path for report in found.reports] == ["spec.workload.deployment"]


def test_the_demo_has_no_findings_at_all() -> None:
    found = lint(read_manifests([str(ROOT / "demo")]), "default")
    assert (found.reports, found.rollouts) == ((), 1)
    assert found.files == len(list((ROOT / "demo").glob("*.yaml")))


def codes() -> set[str]:
    """All codes of findings: constants that are named as they read, and those of the controller."""
    names = [
        f"rollout_controller.istio.{module.name}"
        for module in iter_modules(rollout_controller.istio.__path__)
    ]
    modules = [
        import_module(n)
        for n in (*names, "rollout_controller.core.spec_findings", "rollout_controller.cli.lint")
    ]
    constants = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, str) and name.isupper() and name.replace("_", "").lower() == value.lower()
    }
    return constants - SHAPES.keys() | {
        "ClaimedDeployment",
        "AlteredCanary",
        "GateNotInForce",
        "AccessDenied",
    }


def test_every_code_is_explained() -> None:
    page = (ROOT / "docs" / "findings.md").read_text()
    explained = set(re.findall(r"^\| ([A-Z]\w+) \| (?:error|warning) \|", page, re.MULTILINE))
    assert codes() - explained == set()
    assert explained - codes() == set()

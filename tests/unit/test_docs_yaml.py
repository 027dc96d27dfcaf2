"""What people copy from the pages is right: every YAML in them, and in the demo, is linted."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Final

import pytest
import yaml

import rollout_controller.istio
from rollout_controller.cli.lint import Linting, lint
from rollout_controller.cli.manifests import read_manifests
from rollout_controller.core import commands, strays
from rollout_controller.core.ownership import CLAIMED
from rollout_controller.core.patch import Json
from rollout_controller.istio.shapes import SHAPES

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
VIRTUAL_SERVICE: Final[Json] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "web", "namespace": "shop"},
}
_BLOCK: Final = re.compile(r"^( *)```ya?ml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The YAML blocks of a page, each with the line on which it begins."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start()) + 1, match[2]) for match in _BLOCK.finditer(text)]


def linted(*texts: str) -> Linting:
    return lint(read_manifests(["-"], ["---\n".join(texts)]), "default")


def completed(text: str, rollout: Json) -> str:
    """The YAML with what a page leaves out: a part of an object, or of `rollout`, as a whole one."""
    documents = [document for document in yaml.safe_load_all(text) if document is not None]
    whole = [_completed(document, rollout) for document in documents]
    return "---\n".join(yaml.safe_dump(one) for one in whole)


def _completed(part: Json, rollout: Json) -> Json:
    if "kind" in part:
        return part
    if part.keys() == {"spec"}:
        return {**rollout, "spec": {**rollout["spec"], **part["spec"]}}
    if part.keys() <= {"http", "tls", "tcp"}:
        return {**VIRTUAL_SERVICE, "spec": {"hosts": ["web"], **part}}
    if part.keys() == {"host", "subsets"}:
        return {**VIRTUAL_SERVICE, "kind": "DestinationRule", "spec": part}
    assert all(isinstance(value, dict) for value in part.values()), f"what are {', '.join(part)} parts of?"
    items = [_titled(title, value, rollout) for title, value in part.items()]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _titled(title: str, part: Json, rollout: Json) -> Json:
    """One of several parts that a page shows at once: a Service by its name, or what is so at some moment."""
    return _service(title, part) if part.keys() == {"selector"} else _completed(part, rollout)


def _service(name: str, spec: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _patched(obj: Json, patch: Json) -> Json:
    """`kubectl patch --type=merge`."""
    merged = dict(obj)
    for key, value in patch.items():
        merged[key] = _patched(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return {key: value for key, value in merged.items() if value is not None}


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
    assert errors(linted(completed(text, _readme_rollout()))) == []


def _readme_rollout() -> Json:
    rollout: Json = yaml.safe_load(blocks(ROOT / "README.md")[0][1])
    return rollout


def test_the_readmes_release_is_whole_but_for_the_deployment_that_everybody_has() -> None:
    texts = [text for _, text in blocks(ROOT / "README.md")[:2]]
    found = linted(*texts)
    assert found.rollouts == 1
    assert [report.finding.path for report in found.reports] == ["spec.workload.deployment"]


@pytest.mark.parametrize(
    ("title", "missing"), [("Two Services", ["spec.workload.deployment"]), ("Two Deployments", [])]
)
def test_what_a_section_starts_from_is_whole_but_for_the_deployment_that_everybody_has(
    title: str, missing: list[str]
) -> None:
    page = (ROOT / "docs" / "traffic.md").read_text()
    section = page.split(f"\n## {title}\n")[1].split("\n**Working with it.**")[0]
    texts = [completed(match[2], _readme_rollout()) for match in _BLOCK.finditer(section)]
    found = linted(*texts)
    assert found.rollouts == 1
    assert [report.finding.path for report in found.reports] == missing


def test_the_demo_has_no_findings_at_all() -> None:
    found = lint(read_manifests([str(ROOT / "demo")]), "default")
    assert (found.reports, found.rollouts) == ((), 1)
    assert found.files == len(list((ROOT / "demo").glob("*.yaml")))


STRATEGIES: Final = sorted((ROOT / "demo" / "strategies").glob("*.yaml"))


@pytest.mark.parametrize("after", STRATEGIES, ids=lambda path: path.stem)
@pytest.mark.parametrize("before", STRATEGIES, ids=lambda path: path.stem)
def test_the_demo_has_no_errors_with_its_strategies_one_after_the_other(
    before: Path, after: Path, tmp_path: Path
) -> None:
    rollout: Json = yaml.safe_load((ROOT / "demo" / "rollout.yaml").read_text())
    for patch in (before, after):
        rollout = _patched(rollout, yaml.safe_load(patch.read_text()))
    (tmp_path / "rollout.yaml").write_text(yaml.safe_dump(rollout))
    others = [str(path) for path in (ROOT / "demo").glob("*.yaml") if path.name != "rollout.yaml"]
    found = lint(read_manifests([str(tmp_path / "rollout.yaml"), *others]), "demo")
    assert ([str(report.finding) for report in found.reports], found.rollouts) == ([], 1)


def codes() -> set[str]:
    """All codes of findings: constants that are named as they read, and those of the controller."""
    names = [
        f"rollout_controller.istio.{module.name}"
        for module in iter_modules(rollout_controller.istio.__path__)
    ]
    modules = [
        import_module(n)
        for n in (
            *names,
            "rollout_controller.cli.forms",
            "rollout_controller.cli.lint",
            "rollout_controller.core.finding",
            "rollout_controller.core.ownership",
            "rollout_controller.core.spec_findings",
        )
    ]
    constants = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, str)
        and value[:1].isupper()
        and name.isupper()
        and name.replace("_", "").lower() == value.lower()
    }
    return constants - SHAPES.keys() | {
        CLAIMED,
        commands.UNKNOWN,
        strays.CODE,
        "AlteredCanary",
        "GateNotInForce",
        "AccessDenied",
    }


def test_every_code_is_explained_once() -> None:
    page = (ROOT / "docs" / "findings.md").read_text()
    explained = re.findall(r"^\| ([A-Z]\w+) \| (?:error|warning) \|", page, re.MULTILINE)
    assert sorted(explained) == sorted(codes())

"""Writes `crds/rollouts.yaml` from the models: `python -m rollout_controller.api.crd [--check] [PATH]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from rollout_controller.api import names
from rollout_controller.api.fields import VALIDATIONS, cel
from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.status import RolloutStatus

DEFAULT_PATH: Final = Path("crds/rollouts.yaml")

_HEADER: Final = """\
# Generated from the models in rollout_controller/api by `python -m rollout_controller.api.crd`: edit those.
"""
_LABEL_VALUE_LENGTH: Final = 63
"""The Rollout's name is the value of a label on its Deployment."""

_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", 0),
    ("Step", "string", ".status.step", 0),
    ("Weight", "integer", ".status.weight", 0),
    ("Verdict", "string", ".status.verdict.result", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Stable", "string", ".status.stable", 1),
    ("Canary", "string", ".status.canary", 1),
    ("Message", "string", ".status.message", 1),
)


def custom_resource_definition() -> dict[str, Any]:
    """The CustomResourceDefinition of Rollout."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": names.LIST_KIND,
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _object_schema()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path, "priority": priority}
                        for name, type_, path, priority in _COLUMNS
                    ],
                }
            ],
        },
    }


def _object_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Moves users from one version of a Deployment to the next, step by step, by evidence.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural_schema(RolloutSpec),
            "status": structural_schema(RolloutStatus),
        },
        VALIDATIONS: [
            cel(
                f"self.metadata.name.size() <= {_LABEL_VALUE_LENGTH}",
                f"must have at most {_LABEL_VALUE_LENGTH} characters:"
                " it becomes the value of a label on the Deployment",
                field_path=".metadata.name",
            ),
            _immutable_while_running("workload"),
            _immutable_while_running("traffic"),
        ],
    }


def _immutable_while_running(field: str) -> dict[str, Any]:
    phases = ", ".join(f"'{phase}'" for phase in names.RUNNING_PHASES)
    return cel(
        "!has(oldSelf.status) || !has(oldSelf.status.phase)"
        f" || !(oldSelf.status.phase in [{phases}])"
        f" || self.spec.{field} == oldSelf.spec.{field}",
        f"cannot change while a release runs: wait for its end, or take it back first with"
        f' kubectl annotate {names.SHORT_NAME} <name> {names.ABORT}="<reason>"',
        field_path=f".spec.{field}",
    )


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented, shared values written out instead of anchored."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        super().increase_indent(flow, False)


def render() -> str:
    """The text of `crds/rollouts.yaml`."""
    body = yaml.dump(
        custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return _HEADER + body


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or with --check compare it; 1 if it differs."""
    parser = argparse.ArgumentParser(
        prog="python -m rollout_controller.api.crd",
        description="Write the CustomResourceDefinition of Rollout, generated from the models.",
    )
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT_PATH, help=f"default: {DEFAULT_PATH}")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file differs")
    options = parser.parse_args(arguments)
    path: Path = options.path
    text = render()
    if not options.check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path} is not what the models say: run python -m rollout_controller.api.crd", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""What a person types about Rollouts: `rolloutctl lint`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from rollout_controller.api.quantities import QuantityError, parse_duration
from rollout_controller.cli.lint import Linting, lint
from rollout_controller.cli.manifests import Unusable, read_manifests

_ABOUT: Final = "Tools for Rollouts, beside kubectl."

_LINT: Final = """\
Check Rollouts, and the objects that they rest on, in YAML files, before anything is in a cluster: fields that
do not exist, values of the wrong form, and all that the controller would find by itself (routes that others
take all of, subsets whose labels no pod has, gateways that serve another host, mutual TLS, retries, ...).

Give the VirtualServices, DestinationRule, Deployment and Service beside the Rollout. What is not among the
files is told as not checked, and is no error. Files may hold several documents and Lists; a directory is read
with all *.yaml and *.yml below it, and a kustomization.yaml gives its namespace to the objects in its folder.
Templates are no YAML: check the output of kustomize or helm.
"""

_LINT_EXAMPLES: Final = """\
examples:
  rolloutctl lint k8s/                              everything below a directory
  kustomize build overlays/prod | rolloutctl lint -
  helm template shop ./chart | rolloutctl lint -n shop -
  rolloutctl lint -o json k8s/ | jq '.[] | select(.severity == "error")'
  kubectl get rlt,vs,dr,deploy,svc,gw -o yaml --show-managed-fields | rolloutctl lint --scrape-interval 30s -
                                                    with the managed fields: who owns what (OwnedByGitOps)

Each finding has file and line, severity and code, the object and field, what is wrong, and what to do. Errors
would hurt users, or keep a release from being moved or judged; warnings are worth knowing.

Exit status: 0 without errors (warnings alone included), 1 with errors, 2 if input or flags cannot be used or
there is no Rollout in the files.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    given = _parser().parse_args(argv)
    try:
        scrape = None if given.scrape_interval is None else parse_duration(given.scrape_interval)
        manifests = read_manifests(given.files, sys.stdin)
    except Unusable as problem:
        for line in str(problem).splitlines():
            print(f"rolloutctl: {line}", file=sys.stderr)
        return 2
    except QuantityError as problem:
        print(f"rolloutctl: --scrape-interval: {problem}", file=sys.stderr)
        return 2
    found = lint(manifests, given.namespace, scrape)
    print(as_json(found) if given.output == "json" else as_text(found))
    if found.count("error"):
        return 1
    if not found.rollouts:
        print("rolloutctl: no Rollout in these files: give its file as well", file=sys.stderr)
        return 2
    return 0


def as_text(found: Linting) -> str:
    """For a person: a block for each finding, headed by its place, and a line that counts them."""
    blocks = [
        f"{report.file}:{report.line}: {finding.severity} {finding.code}\n"
        f"    {f'{finding.object} {finding.path}'.strip()}: {finding.sentence}\n"
        f"    {finding.fix}\n"
        for report in found.reports
        for finding in (report.finding,)
    ]
    seen = f"{_count(found.rollouts, 'Rollout')} in {_count(found.files, 'file')}"
    if not found.rollouts:
        seen = f"no Rollout in {_count(found.files, 'file')}, so nothing was judged as one"
    errors, warnings = found.count("error"), found.count("warning")
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}" if found.reports else "nothing found"
    return "\n".join([*blocks, f"{seen}: {counts}"])


def as_json(found: Linting) -> str:
    """For a program: a list of findings."""
    rows = [
        {
            "file": report.file,
            "line": report.line,
            "severity": report.finding.severity,
            "code": report.finding.code,
            "object": report.finding.object,
            "path": report.finding.path,
            "sentence": report.finding.sentence,
            "fix": report.finding.fix,
        }
        for report in found.reports
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("rolloutctl", description=_ABOUT, formatter_class=form)
    parser.add_argument("--version", action="version", version=f"rolloutctl {version('rollout-controller')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    linting = commands.add_parser(
        "lint",
        help="check Rollouts and the objects beside them in YAML files",
        description=_LINT,
        epilog=_LINT_EXAMPLES,
        formatter_class=form,
    )
    linting.add_argument(
        "files", nargs="+", metavar="FILE", help="a YAML file, a directory, or - for standard input"
    )
    linting.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="form of the output; default: text"
    )
    linting.add_argument(
        "-n",
        "--namespace",
        default=None,
        metavar="NAMESPACE",
        help="namespace of objects that name none; default: that of the Rollout which they are looked at for,"
        " or default",
    )
    linting.add_argument(
        "--scrape-interval",
        metavar="DURATION",
        help="how often Prometheus scrapes, like 30s: a window must hold three scrapes; default: not judged",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The command line: `rollout-controller run`, `rollout-controller crd`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

import structlog
from pydantic.fields import FieldInfo

from rollout_controller.api.quantities import format_duration
from rollout_controller.app.settings import Settings, SettingsError, env_of, flag_of, load

_ABOUT: Final = """\
Progressive delivery on Kubernetes and Istio: a Rollout beside the Deployment you already have moves its users
from one version to the next in steps, and back by itself when the new version does not do well.
"""

_EXAMPLES: Final = """\
examples:
  rollout-controller run                         inside a cluster, or with your kubeconfig's current context
  rollout-controller run --context staging --namespace shop --prometheus http://localhost:9090
  ROLLOUT_CONTROLLER_LOG_FORMAT=json rollout-controller run

Every setting is a flag or an environment variable; the flag counts. Exit status: 0 after SIGTERM or SIGINT,
1 if the controller could not begin or go on, 2 if flags, environment or kubeconfig cannot be used.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    arguments = vars(_parser().parse_args(argv))
    command = arguments.pop("command")
    if command == "crd":
        return _crd()
    return _run(arguments)


def _run(given: dict[str, Any]) -> int:
    try:
        settings = load(given)
    except SettingsError as error:
        return _complain(str(error), status=2)
    # Only now, because the client library takes a quarter of a second to load: --help need not wait for it.
    from rollout_controller.app import logs, wiring
    from rollout_controller.app.health import HealthError
    from rollout_controller.kube.config import ConfigError

    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(wiring.run(settings))
    except ConfigError as error:
        return _complain(str(error), status=2)
    except (wiring.StartError, HealthError) as error:
        return _complain(str(error), status=1)
    except Exception:
        structlog.get_logger(__name__).exception("the controller ended by a defect")
        return 1
    return 0


def _crd() -> int:
    from rollout_controller.api.crd import render

    sys.stdout.write(render())
    return 0


def _complain(sentence: str, *, status: int) -> int:
    print(f"rollout-controller: {sentence}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "rollout-controller", description=_ABOUT, epilog=_EXAMPLES, formatter_class=form
    )
    parser.add_argument(
        "--version", action="version", version=f"rollout-controller {version('rollout-controller')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the controller until it is told to stop",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=form,
    )
    for name, field in Settings.model_fields.items():
        run.add_argument(
            flag_of(name), dest=name, metavar=_form(name), default=argparse.SUPPRESS, help=_help(name, field)
        )
    commands.add_parser("crd", help="print the CustomResourceDefinition of Rollout, for kubectl apply -f -")
    return parser


def _form(name: str) -> str:
    forms = {
        "health_address": "HOST:PORT",
        "prometheus": "URL",
        "istiod": "URL",
        "workers": "N",
        "namespace": "NAME[,NAME]",
    }
    if name.startswith("settle"):
        return "DURATION"
    if name in ("kubeconfig", "prometheus_token_file", "istiod_token_file"):
        return "FILE"
    return forms.get(name, "VALUE")


def _help(name: str, field: FieldInfo) -> str:
    default = field.get_default()
    if isinstance(default, timedelta):
        default = format_duration(default)
    shown = f"; default: {default}" if default not in (None, "") else ""
    return f"{field.description}{shown} [{env_of(name)}]".replace("%", "%%")


if __name__ == "__main__":
    sys.exit(main())

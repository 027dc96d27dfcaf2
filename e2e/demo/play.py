"""What to do with a demo that stays up: commands that may be pasted, all at once or one by one. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.demo.stage import HOST, NAME, NAMESPACE
from e2e.localcluster.layout import REPOSITORY
from rollout_controller.api.names import ABORT, PAUSE, PROMOTE, RESUME, RETRY


@dataclass(frozen=True)
class Places:
    """Where things are: files, and addresses as http://host:port."""

    kubeconfig: Path
    bin: Path
    log: Path
    gateway: str
    metrics: str


def commands(places: Places) -> str:
    """Lines of shell, with what they do as comments."""
    kubectl = f"kubectl -n {NAMESPACE}"
    image = f"{kubectl} set image deployment/{NAME} {NAME}=demo:"
    annotate = f"{kubectl} annotate rlt {NAME} --overwrite "
    patch = f"{kubectl} patch rlt {NAME} --type=merge --patch-file demo/strategies/"
    curl = f"curl -i -H 'Host: {HOST}' "
    groups = (
        (
            (f"export KUBECONFIG={places.kubeconfig} PATH={places.bin}:$PATH", ""),
            (f"cd {REPOSITORY}", ""),
        ),
        (
            (f"{kubectl} get rlt -o wide", "what is going on; with -w it goes on telling"),
            (f"{kubectl} describe rlt {NAME}", "all of it"),
            (f"{kubectl} events --for rlt/{NAME}", "what happened"),
        ),
        (
            (f"{image}2.0.0", "a good version"),
            (f"{image}1.0.0", "from there straight back to the first one"),
            (f"{image}2.1.0-errors-5pct", "one with errors"),
            (f"{image}2.2.0-p99-800ms", "a slow one"),
        ),
        (
            (f"{patch}bluegreen.yaml", "how the next one is released"),
            (f"{patch}pins.yaml", "by a header at first"),
            (f"{patch}mirror.yaml", "on copies at first"),
            (f"{patch}steps.yaml", "in steps, as at the beginning"),
        ),
        (
            (f'{annotate}{PAUSE}="let me look"', "hold"),
            (f"{annotate}{RESUME}=true", "go on"),
            (f"{annotate}{PROMOTE}=true", "leave the present step"),
            (f"{annotate}{PROMOTE}=full", "straight to 100 %"),
            (f'{annotate}{ABORT}="not today"', "everybody back"),
            (f"{annotate}{RETRY}=true", "the same once more, after a revert"),
        ),
        (
            (f"{curl}{places.gateway}", "a request"),
            (f"{curl}-H 'x-canary: true' {places.gateway}", "one that is pinned to a new version"),
            (
                f"curl -s {places.metrics} | grep ^rollout_controller_rollout",
                "the controller's metrics of it",
            ),
            (f"tail -n 20 {places.log}", "its log"),
        ),
    )
    return "\n\n".join("\n".join(_aligned(group)) for group in groups)


def _aligned(group: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Commands with their comments in one column."""
    lines = tuple(group)
    width = max(len(command) for command, _ in lines)
    for command, comment in lines:
        yield f"{command:<{width}}  # {comment}" if comment else command

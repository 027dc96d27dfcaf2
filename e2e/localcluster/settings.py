"""What may differ between two clusters, and what a running one tells about itself."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Options of one cluster; durations of istiod and Prometheus as those programs write them."""

    debounce_after: str = "100ms"
    """istiod's PILOT_DEBOUNCE_AFTER; Istio's default."""
    debounce_max: str = "10s"
    """istiod's PILOT_DEBOUNCE_MAX; Istio's default."""
    scrape_interval: str = "1s"
    target_interval: str = "5s"
    """How often Prometheus takes up what it found to scrape, at most; its default."""
    crash_backoff: float = 1.0
    """Seconds before a container's second restart; doubles up to 30 times this. Kubernetes has 10."""
    mesh: bool = True
    """False leaves istiod and Envoy out."""
    metrics: bool = True
    """False leaves Prometheus out."""
    garbage: int = 100
    """GOGC of the parts in Go; their default, at which a fifth of what the API server computes is collecting
    garbage. Above it each gets GOMEMLIMIT=1GiB, from where on garbage is collected as often as needed."""
    audit: bool = False
    """True has the API server log every call to it, one JSON line each, into `Layout.audit`."""


@dataclass(frozen=True)
class Launch:
    """What the launcher process needs to know, handed over as a file."""

    settings: Settings
    programs: dict[str, str]
    """Program name -> path."""
    crds: str
    """JSON list of Istio's CustomResourceDefinitions."""

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> "Launch":
        raw = json.loads(path.read_text())
        return Launch(Settings(**raw["settings"]), raw["programs"], raw["crds"])


@dataclass(frozen=True)
class State:
    """What a running cluster tells: written once all parts are ready."""

    launcher: int
    """Process id of the launcher, as the host counts."""
    started: float
    """Unix time."""
    settings: Settings
    ports: dict[str, int] = field(default_factory=dict)
    """Forwarder name -> port on the host's loopback."""

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(path: Path) -> "State | None":
        """The state, or None where no cluster has become ready."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        return State(raw["launcher"], raw["started"], Settings(**raw["settings"]), raw["ports"])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads; whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)

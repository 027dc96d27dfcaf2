"""Files with a Rollout and what it rests on, and a linter beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollout_controller.cli.rolloutctl import main

ROLLOUT = """\
apiVersion: rollout-controller.dev/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop}
spec:
  workload: {deployment: web}
  traffic:
    istio:
      virtualServices: [{name: web}]
      destinationRule: {name: web, stableSubset: stable, canarySubset: canary}
  strategy:
    canary:
      steps: [{weight: 50}, {weight: 100}]
  analysis:
    checks: [{errorRate: {max: "1%"}}]
"""
SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
    - name: primary
      route:
        - destination: {host: web, subset: stable}
          weight: 100
        - destination: {host: web, subset: canary}
          weight: 0
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  subsets:
    - {name: stable, labels: {app: web}}
    - name: canary
      labels:
        app: web
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}}
"""
ALL = {"rollout.yaml": ROLLOUT, "vs.yaml": SERVICE, "dr.yaml": RULE, "deployment.yaml": DEPLOYMENT}


class Shell:
    """Files in a folder of their own, and what the linter says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.status = -1

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str) -> tuple[str, str]:
        self.status = main(["lint", *(arguments or (str(self.folder),))])
        out, err = self._capsys.readouterr()
        return out.replace(f"{self.folder}/", ""), err.replace(f"{self.folder}/", "")

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        out, _ = self.run("-o", "json", *(arguments or (str(self.folder),)))
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def found(self, *arguments: str) -> list[str]:
        return [
            f"{row['file']}:{row['line']} {row['severity']} {row['code']}" for row in self.rows(*arguments)
        ]


def everything(shell: Shell, **changed: str) -> None:
    for name, text in ALL.items():
        (shell.folder / name).write_text(changed.get(name.partition(".")[0], text))

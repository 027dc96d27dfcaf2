"""Where things live: a cluster's state directory, the cache of programs, addresses in the namespace."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from e2e.localcluster.errors import LocalClusterError

PROJECT = "rollout-controller"
REPOSITORY = Path(__file__).resolve().parents[2]

# Every cluster has a network namespace of its own, so that these never meet another cluster's.
LOCAL = "127.0.0.1"
"""The loopback of host and namespace alike."""
POD_NETWORK = "10.244.0.0/16"
NODE_IP = "10.244.0.1"
GATEWAY_IP = "10.244.0.2"
API_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
PROMETHEUS_PORT = 9090
ENVOY_ADMIN_PORT = 15000
ISTIOD_DEBUG_PORT = 15080
ISTIOD_GRPC_PORT = 15010
ISTIOD_MONITORING_PORT = 15014
GATEWAY_PORT = 80
KUBELET_HEALTH_PORT = 10248
KUBELET_LOG_PORT = 10250
FIRST_POD = 257
"""Offset of the first pod's address in the pod network: 10.244.1.1."""

FORWARDED = {
    "api": (LOCAL, API_PORT),
    "gateway": (GATEWAY_IP, GATEWAY_PORT),
    "prometheus": (LOCAL, PROMETHEUS_PORT),
    "envoy-admin": (LOCAL, ENVOY_ADMIN_PORT),
    "istiod-debug": (LOCAL, ISTIOD_DEBUG_PORT),
}
"""Forwarder name -> address inside the namespace."""


def cache_directory() -> Path:
    """The built programs, for all clusters: $XDG_CACHE_HOME/rollout-controller/localcluster."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / PROJECT / "localcluster"


def state_directory(name: str) -> Path:
    """The state folder of the cluster called `name`: $XDG_STATE_HOME/rollout-controller/localcluster/NAME."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", name):
        raise LocalClusterError(
            f"{name!r} cannot name a cluster: use up to 42 lower-case letters, digits and dashes"
        )
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / PROJECT / "localcluster" / name


@dataclass(frozen=True)
class Layout:
    """The files of one cluster. The root is private to its owner, because it holds keys and tokens."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held while the cluster is brought up; outside the root, whose removal it must survive."""
        name = hashlib.sha256(str(self.root.absolute()).encode()).hexdigest()[:16]
        return cache_directory() / "locks" / f"cluster-{name}"

    @property
    def launch(self) -> Path:
        return self.root / "launch.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def control(self) -> Path:
        return self.root / "control.sock"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        return self.root / "kubeconfig-inside"

    @property
    def token(self) -> Path:
        return self.root / "token"

    @property
    def certificate(self) -> Path:
        """Serving certificate and certificate authority in one, self-signed."""
        return self.root / "cert.pem"

    @property
    def key(self) -> Path:
        return self.root / "key.pem"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pod_logs(self) -> Path:
        return self.logs / "pods"

    @property
    def audit(self) -> Path:
        """The API server's log of the calls to it, where the settings ask for one."""
        return self.logs / "audit.log"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Create the directories, for their owner alone."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self.bin, self.logs, self.pod_logs, self.config, self.data):
            directory.mkdir(exist_ok=True, mode=0o700)

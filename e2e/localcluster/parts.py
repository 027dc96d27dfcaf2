"""The parts of a cluster: what each program is called with, and when it is ready."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from e2e.localcluster import http
from e2e.localcluster.layout import (
    API_PORT,
    ENVOY_ADMIN_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    ISTIOD_DEBUG_PORT,
    ISTIOD_GRPC_PORT,
    ISTIOD_MONITORING_PORT,
    KUBELET_HEALTH_PORT,
    LOCAL,
    PROMETHEUS_PORT,
    Layout,
)
from e2e.localcluster.settings import Settings


async def _always() -> bool:
    return True


@dataclass(frozen=True)
class Part:
    """One program of the cluster."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] = _always
    ready_within: float = 60.0
    grace: float = 2.0
    """Seconds between asking it to stop and killing it."""


STOP_ORDER = ("envoy", "istiod", "prometheus", "kubelet", "controller-manager", "apiserver", "etcd")
"""A part ends before those it talks to, so that none fills its log with lost connections."""


def answers(port: int, path: str, tls: ssl.SSLContext | None = None) -> Callable[[], Awaitable[bool]]:
    """A readiness check: GET answers 200."""

    async def check() -> bool:
        try:
            return (await http.request("GET", LOCAL, port, path, tls=tls, timeout=2)).status == 200
        except (OSError, TimeoutError):
            return False

    return check


def define(
    layout: Layout, settings: Settings, programs: Mapping[str, str], tls: ssl.SSLContext, python: str
) -> dict[str, Part]:
    """All parts that the settings ask for, by name."""
    parts = [
        _etcd(layout, programs["etcd"]),
        _apiserver(layout, settings, programs["kube-apiserver"], tls),
        _controller_manager(layout, programs["kube-controller-manager"]),
        _kubelet(layout, settings, python),
    ]
    if settings.mesh:
        parts += [
            _istiod(layout, settings, programs["pilot-discovery"]),
            _envoy(layout, programs["envoy"]),
        ]
    if settings.metrics:
        parts.append(_prometheus(layout, settings, programs["prometheus"]))
    return {part.name: part for part in parts}


def _etcd(layout: Layout, program: str) -> Part:
    client, peer = f"http://{LOCAL}:{ETCD_PORT}", f"http://{LOCAL}:{ETCD_PEER_PORT}"
    argv = (
        program,
        f"--data-dir={layout.data / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Part("etcd", argv, ready=answers(ETCD_PORT, "/health"))


def _apiserver(layout: Layout, settings: Settings, program: str, tls: ssl.SSLContext) -> Part:
    audit = (f"--audit-policy-file={layout.config / 'audit.json'}", f"--audit-log-path={layout.audit}")
    argv = (
        program,
        f"--etcd-servers=http://{LOCAL}:{ETCD_PORT}",
        f"--bind-address={LOCAL}",
        f"--advertise-address={LOCAL}",
        "--endpoint-reconciler-type=none",
        f"--secure-port={API_PORT}",
        f"--tls-cert-file={layout.certificate}",
        f"--tls-private-key-file={layout.key}",
        f"--cert-dir={layout.data}",
        f"--token-auth-file={layout.config / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        f"--service-account-key-file={layout.certificate}",
        f"--service-account-signing-key-file={layout.key}",
        "--service-account-issuer=https://lc",
        "--service-cluster-ip-range=10.243.0.0/16",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        "--disable-admission-plugins=ServiceAccount,DefaultStorageClass,StorageObjectInUseProtection,"
        "TaintNodesByCondition,Priority,RuntimeClass,LimitRanger,ResourceQuota",
        *(audit if settings.audit else ()),
    )
    return Part("apiserver", argv, ready=answers(API_PORT, "/readyz", tls), grace=1.0)


def _controller_manager(layout: Layout, program: str) -> Part:
    argv = (
        program,
        f"--kubeconfig={layout.inner_kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=false",
        f"--service-account-private-key-file={layout.key}",
        f"--root-ca-file={layout.certificate}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--controllers=deployment-controller,replicaset-controller,endpointslice-controller,"
        "garbage-collector-controller,namespace-controller,serviceaccount-controller",
    )
    return Part("controller-manager", argv)


def _kubelet(layout: Layout, settings: Settings, python: str) -> Part:
    argv = (
        python,
        "-m",
        "e2e.localcluster.kubelet",
        f"--root={layout.root}",
        f"--crash-backoff={settings.crash_backoff}",
    )
    return Part("kubelet", argv, ready=answers(KUBELET_HEALTH_PORT, "/healthz"), grace=5.0)


def _istiod(layout: Layout, settings: Settings, program: str) -> Part:
    argv = (
        program,
        "discovery",
        f"--kubeconfig={layout.inner_kubeconfig}",
        "--namespace=istio-system",
        "--domain=cluster.local",
        "--clusterID=Kubernetes",
        f"--meshConfig={layout.config / 'mesh.yaml'}",
        "--networksConfig=/nonexistent",
        f"--httpAddr={LOCAL}:{ISTIOD_DEBUG_PORT}",
        "--httpsAddr=",
        f"--grpcAddr={LOCAL}:{ISTIOD_GRPC_PORT}",
        "--secureGRPCAddr=",
        f"--monitoringAddr={LOCAL}:{ISTIOD_MONITORING_PORT}",
        f"--ctrlz_address={LOCAL}",
        "--ctrlz_port=0",
        "--keepaliveMaxServerConnectionAge=24h",
    )
    environment = {
        "POD_NAME": "istiod-0",
        "POD_NAMESPACE": "istio-system",
        "PILOT_CERT_PROVIDER": "none",
        "ENABLE_CA_SERVER": "false",
        "ENABLE_LEADER_ELECTION": "false",
        # A plain Envoy lacks these two filters and would refuse every cluster and listener.
        "PILOT_ENABLE_ALPN_FILTER": "false",
        "PILOT_ENABLE_METADATA_EXCHANGE": "false",
        "INJECT_ENABLED": "false",
        "PILOT_ENABLE_AMBIENT": "false",
        "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
        "PILOT_DEBOUNCE_AFTER": settings.debounce_after,
        "PILOT_DEBOUNCE_MAX": settings.debounce_max,
    }
    return Part("istiod", argv, environment, ready=answers(ISTIOD_DEBUG_PORT, "/ready"), grace=0.5)


def _envoy(layout: Layout, program: str) -> Part:
    argv = (
        program,
        "--config-path",
        str(layout.config / "envoy.json"),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
    )
    return Part("envoy", argv, ready=answers(ENVOY_ADMIN_PORT, "/ready"))


def _prometheus(layout: Layout, settings: Settings, program: str) -> Part:
    argv = (
        program,
        f"--config.file={layout.config / 'prometheus.json'}",
        f"--storage.tsdb.path={layout.data / 'prometheus'}",
        "--storage.tsdb.retention.time=6h",
        f"--web.listen-address={LOCAL}:{PROMETHEUS_PORT}",
        f"--scrape.discovery-reload-interval={settings.target_interval}",
        "--log.level=warn",
    )
    return Part("prometheus", argv, ready=answers(PROMETHEUS_PORT, "/-/ready"))

"""The metrics of a sidecar that the pod does not have: Istio's standard ones, with its labels and buckets."""

from bisect import bisect_left
from collections.abc import Mapping

BUCKETS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000,
    60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
"""Upper bounds in milliseconds: Istio's defaults."""
GATEWAY = "gw"


def workload_of(environment: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """The Deployment's name for a pod of `<deployment>-<pod-template-hash>-<suffix>`, else the pod's own."""
    if environment.get("WORKLOAD"):
        return environment["WORKLOAD"]
    pod = environment.get("POD_NAME", "unknown")
    name, marked, _ = pod.rpartition(f"-{labels.get('pod-template-hash', '')}-")
    return name if marked and "pod-template-hash" in labels else pod


def parse_labels(text: str) -> dict[str, str]:
    """`a=1,b=2` as a dict."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair)
    return {name: value for name, _, value in pairs}


def constant_labels(environment: Mapping[str, str]) -> dict[str, str]:
    """The labels that are the same for every request this pod serves."""
    labels = parse_labels(environment.get("POD_LABELS", ""))
    namespace = environment.get("POD_NAMESPACE", "default")
    workload = workload_of(environment, labels)
    service = environment.get("SERVICE") or workload
    return {
        "reporter": "destination",
        "source_principal": "unknown",
        "source_app": "unknown",
        "source_version": "unknown",
        "source_cluster": "unknown",
        "destination_workload": workload,
        "destination_workload_namespace": namespace,
        "destination_principal": "unknown",
        "destination_app": labels.get("app", "unknown"),
        "destination_version": labels.get("version", "unknown"),
        "destination_service": f"{service}.{namespace}.svc.cluster.local",
        "destination_canonical_service": labels.get("app", workload),
        "destination_canonical_revision": labels.get("version", "latest"),
        "destination_service_name": service,
        "destination_service_namespace": namespace,
        "destination_cluster": "Kubernetes",
        "request_protocol": "http",
        "grpc_response_status": "",
        "connection_security_policy": "none",
    }


def source_labels(through_gateway: bool) -> dict[str, str]:
    """Who asked: the gateway, or somebody without a proxy."""
    name = GATEWAY if through_gateway else "unknown"
    return {
        "source_workload": name,
        "source_workload_namespace": "istio-system" if through_gateway else "unknown",
        "source_canonical_service": name,
        "source_canonical_revision": "latest",
    }


class Metrics:
    """Counts requests by who asked and what was answered."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._constant = constant_labels(environment)
        self._series: dict[tuple[bool, int, str], list[float]] = {}

    def count(self, status: int, milliseconds: float, *, through_gateway: bool, flags: str = "-") -> None:
        """One request. A status of 0 with the flags DC is a client that went away, as Envoy writes it."""
        series = self._series.setdefault((through_gateway, status, flags), [0.0] * (len(BUCKETS) + 2))
        series[bisect_left(BUCKETS, milliseconds)] += 1
        series[-1] += milliseconds

    def render(self) -> str:
        """Prometheus' text format."""
        totals = ["# TYPE istio_requests_total counter"]
        times = ["# TYPE istio_request_duration_milliseconds histogram"]
        for (through_gateway, status, flags), series in self._series.items():
            labels = {
                **self._constant,
                **source_labels(through_gateway),
                "response_code": str(status),
                "response_flags": flags,
            }
            text = ",".join(f'{name}="{value}"' for name, value in labels.items())
            running = 0
            for bound, count in zip((*BUCKETS, "+Inf"), series[:-1], strict=True):
                running += int(count)
                times.append(f'istio_request_duration_milliseconds_bucket{{{text},le="{bound}"}} {running}')
            times.append(f"istio_request_duration_milliseconds_sum{{{text}}} {series[-1]:.3f}")
            times.append(f"istio_request_duration_milliseconds_count{{{text}}} {running}")
            totals.append(f"istio_requests_total{{{text}}} {running}")
        return "\n".join([*totals, *times, ""])

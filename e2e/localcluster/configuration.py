"""The files that the parts read: tokens, kubeconfigs, the mesh's settings, Envoy's bootstrap, Prometheus'."""

import csv
import io
import json
from typing import Any, Final

from e2e.localcluster.layout import (
    API_PORT,
    ENVOY_ADMIN_PORT,
    GATEWAY_IP,
    ISTIOD_GRPC_PORT,
    LOCAL,
    Layout,
)
from e2e.localcluster.settings import Settings, write_private

GATEWAY_PROXY = "gw-0.istio-system"
"""istiod's id of the gateway proxy, for its debug pages."""

AUDIT_POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Request", "verbs": ["patch"], "resources": [{"group": "rollout-controller.dev"}]},
        {"level": "Metadata"},
    ],
}
"""Every call once, when it is answered; of those that change a Rollout, what they asked for too."""


def write_configuration(layout: Layout, settings: Settings, token: str) -> None:
    """Write the files that the parts read: tokens, kubeconfig for inside, mesh, Envoy, Prometheus."""
    row = io.StringIO()
    csv.writer(row, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(
        [token, "localcluster-admin", "localcluster-admin", "system:masters"]
    )
    write_private(layout.config / "tokens.csv", row.getvalue())
    write_private(layout.token, token)
    write_private(layout.inner_kubeconfig, kubeconfig(f"https://{LOCAL}:{API_PORT}", layout, token))
    # Without this Envoy never asks for listeners, and nothing says so.
    write_private(layout.config / "mesh.yaml", json.dumps({"enableAutoMtls": False}))
    write_private(layout.config / "envoy.json", json.dumps(_gateway_bootstrap()))
    write_private(layout.config / "prometheus.json", json.dumps(_prometheus_configuration(layout, settings)))
    write_private(layout.config / "audit.json", json.dumps(AUDIT_POLICY))


def kubeconfig(url: str, layout: Layout, token: str) -> str:
    """A kubeconfig in JSON, which is YAML too."""
    name = "localcluster"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": url, "certificate-authority": str(layout.certificate)}}
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return json.dumps(config, indent=1)


def _gateway_bootstrap() -> dict[str, Any]:
    node = f"router~{GATEWAY_IP}~{GATEWAY_PROXY}~istio-system.svc.cluster.local"
    metadata = {"NAMESPACE": "istio-system", "NAME": "gw-0", "LABELS": {"istio": "ingressgateway"}}
    bootstrap = envoy_bootstrap(node, "gw.istio-system", metadata)
    return {**bootstrap, "admin": {"address": _socket_address(ENVOY_ADMIN_PORT)}}


def envoy_bootstrap(node: str, cluster: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """An Envoy that istiod knows as this node, and gets everything from it."""
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    return {
        "node": {
            "id": node,
            "cluster": cluster,
            "metadata": {"CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0", **metadata},
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "istiod"}}],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "istiod",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/"
                            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "istiod",
                        "endpoints": [
                            {"lb_endpoints": [{"endpoint": {"address": _socket_address(ISTIOD_GRPC_PORT)}}]}
                        ],
                    },
                }
            ]
        },
    }


def _socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": LOCAL, "port_value": port}}


def _prometheus_configuration(layout: Layout, settings: Settings) -> dict[str, Any]:
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io_"
    relabel: list[dict[str, Any]] = [
        {"source_labels": [f"{annotation}scrape"], "regex": "true", "action": "keep"},
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
        {"source_labels": [f"{annotation}path"], "regex": "(.+)", "target_label": "__metrics_path__"},
        {
            "source_labels": ["__meta_kubernetes_pod_ip"],
            "regex": "(.+)",
            "replacement": "${1}:15020",
            "target_label": "__address__",
        },
        {
            "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}port"],
            "regex": "(.+);(.+)",
            "replacement": "${1}:${2}",
            "target_label": "__address__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    return {
        "global": {"scrape_interval": settings.scrape_interval, "scrape_timeout": settings.scrape_interval},
        "scrape_configs": [
            {
                "job_name": "pods",
                "metrics_path": "/stats/prometheus",
                "kubernetes_sd_configs": [
                    {
                        "role": "pod",
                        "api_server": f"https://{LOCAL}:{API_PORT}",
                        "authorization": {"credentials_file": str(layout.token)},
                        "tls_config": {"ca_file": str(layout.certificate)},
                    }
                ],
                "relabel_configs": relabel,
            }
        ],
    }

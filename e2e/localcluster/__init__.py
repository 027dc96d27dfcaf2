"""A real control plane, mesh and metrics as plain processes: etcd, kube-apiserver, kube-controller-manager,
istiod, an Envoy gateway, Prometheus and a process kubelet, in one network namespace of their own.

By hand: `python -m e2e.localcluster up`, then `status`, `exec -- CMD`, `logs NAME`, `down`.
In a program:

    async with LocalCluster(Settings(debounce_after="20ms")) as cluster:
        (await cluster.kubectl("apply", "-f", "web.yaml")).check()

Who does what: `binaries` builds and caches the programs, `start` brings a cluster up and down, `launcher` is
process 1 of its namespace, `supervisor` holds the `parts`, `forward` and `control` are its doors to the host,
`kubelet` runs pods as processes.

Requests enter the mesh on Envoy's port 80, where the Gateway istio-system/local takes any host; Gateways of
one's own (selector istio: ingressgateway, port 80, no `bind`) share it. Nothing else may listen on port 80.
"""

from e2e.localcluster.cluster import Completed, LocalCluster
from e2e.localcluster.errors import LocalClusterError
from e2e.localcluster.settings import Settings

__all__ = ["Completed", "LocalCluster", "LocalClusterError", "Settings"]

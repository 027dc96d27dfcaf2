"""Istio's objects as values, edits of them as JSON patches, and findings about them. Pure.

Scope: subset mode (a DestinationRule with a stable and a canary subset) and http routes.
"""

from rollout_controller.istio.edits import pin, set_weight, split
from rollout_controller.istio.preflight import preflight
from rollout_controller.istio.reading import TrafficReading, read_traffic
from rollout_controller.istio.routing import ManagedService, Routing

__all__ = [
    "ManagedService",
    "Routing",
    "TrafficReading",
    "pin",
    "preflight",
    "read_traffic",
    "set_weight",
    "split",
]

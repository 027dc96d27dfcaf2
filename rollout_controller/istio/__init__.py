"""Istio's objects as values, edits of them as JSON patches, and findings about them. Pure.

Scope: two subsets of a DestinationRule, or two Services; http, tls and tcp routes.
"""

from rollout_controller.istio.edits import pin, pin_service, set_traffic, split
from rollout_controller.istio.inventory import Inventory, Known
from rollout_controller.istio.matches import covers, swallows
from rollout_controller.istio.preflight import preflight
from rollout_controller.istio.reading import TrafficReading, read_traffic
from rollout_controller.istio.routing import ManagedService, Routing

__all__ = [
    "Inventory",
    "Known",
    "ManagedService",
    "Routing",
    "TrafficReading",
    "covers",
    "pin",
    "pin_service",
    "preflight",
    "read_traffic",
    "set_traffic",
    "split",
    "swallows",
]

"""What a Rollout's spec says of its traffic."""

from __future__ import annotations

from rollout_controller.api import parse_spec
from rollout_controller.istio import ManagedService, Routing

SPEC = {
    "workload": {"deployment": "web"},
    "traffic": {
        "istio": {
            "virtualServices": [{"name": "web", "routes": ["primary", "other"]}, {"name": "mesh"}],
            "destinationRule": {"name": "rule", "stableSubset": "old", "canarySubset": "new"},
        }
    },
    "strategy": {"canary": {}},
    "analysis": {"checks": [{"errorRate": {"max": "1%"}}]},
}


def test_the_routing_of_a_rollout_is_read_from_its_spec() -> None:
    assert Routing.of("shop", "web", parse_spec(SPEC)) == Routing(
        namespace="shop",
        deployment="web",
        virtual_services=(ManagedService("web", ("primary", "other")), ManagedService("mesh", None)),
        destination_rule="rule",
        stable_subset="old",
        canary_subset="new",
        rollout="web",
    )

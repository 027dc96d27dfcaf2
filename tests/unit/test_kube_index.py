"""Which Rollouts a change wakes."""

from typing import Any

import pytest

from rollout_controller.api.names import FINALIZER, LABEL
from rollout_controller.kube.index import Index, references
from rollout_controller.kube.store import Change
from rollout_controller.ports import Json, Key, Kind, Ref

WEB = Key("ns", "web-rollout")


def rollout(name: str = "web-rollout", deployment: str = "web", namespace: str = "ns") -> Json:
    istio = {"virtualServices": [{"name": "front"}, {"name": "mesh"}], "destinationRule": {"name": "rule"}}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"workload": {"deployment": deployment}, "traffic": {"istio": istio}},
    }


def thing(
    name: str,
    namespace: str = "ns",
    owner: tuple[str, str] | None = None,
    labels: dict[str, str] | None = None,
) -> Json:
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else []
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "ownerReferences": owners}
    }


class Woken:
    """An index over some Rollouts, with these ReplicaSets in the cache."""

    def __init__(self, *rollouts: Json, replica_sets: tuple[Json, ...] = ()) -> None:
        cached = {(r["metadata"]["namespace"], r["metadata"]["name"]): r for r in replica_sets}
        self.index = Index(lambda kind, namespace, name: cached.get((namespace, name)))
        for one in rollouts:
            self.index.woken_by(Kind.ROLLOUT, Change(None, one))

    def by(self, kind: Kind, new: Json | None, old: Json | None = None) -> set[Key]:
        return self.index.woken_by(kind, Change(old, new))


def test_each_of_two_deployments_wakes_their_rollout_with_its_pods() -> None:
    two = rollout()
    two["spec"]["workload"] = {"stable": {"deployment": "web-v1"}, "canary": {"deployment": "web-v2"}}
    woken = Woken(two)
    for name in ("web-v1", "web-v2"):
        assert woken.by(Kind.DEPLOYMENT, thing(name)) == {WEB}
        owned = thing(f"{name}-abc", owner=("Deployment", name))
        assert woken.by(Kind.REPLICA_SET, owned) == {WEB}
        labels = {"pod-template-hash": "abc"}
        pod = thing("pod", owner=("ReplicaSet", f"{name}-abc"), labels=labels)
        assert woken.by(Kind.POD, pod) == {WEB}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.DEPLOYMENT, "web"),
        (Kind.VIRTUAL_SERVICE, "front"),
        (Kind.VIRTUAL_SERVICE, "mesh"),
        (Kind.DESTINATION_RULE, "rule"),
    ],
)
def test_what_a_spec_names_wakes_its_rollout_also_when_it_goes(kind: Kind, name: str) -> None:
    woken = Woken(rollout())
    assert woken.by(kind, thing(name)) == {WEB}
    assert woken.by(kind, None, old=thing(name)) == {WEB}


def test_objects_of_other_names_and_namespaces_wake_nobody() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.DEPLOYMENT, thing("other")) == set()
    assert woken.by(Kind.DEPLOYMENT, thing("web", namespace="elsewhere")) == set()


SECOND = Key("ns", "second")


def test_a_rollout_that_comes_or_goes_wakes_those_that_name_an_object_of_its() -> None:
    woken = Woken(rollout(), rollout("far", namespace="other"))
    second = rollout("second", deployment="other")
    assert woken.by(Kind.ROLLOUT, second) == {WEB, SECOND}
    assert woken.by(Kind.ROLLOUT, None, old=second) == {WEB, SECOND}
    assert woken.by(Kind.ROLLOUT, None, old=rollout()) == {WEB}


def test_a_rollout_whose_spec_changes_wakes_those_that_it_met_and_those_that_it_meets() -> None:
    alone = {"virtualServices": [{"name": "own"}], "destinationRule": {"name": "own"}}
    first, second = rollout(), rollout("second", deployment="web2")
    first["spec"]["traffic"]["istio"] = second["spec"]["traffic"]["istio"] = alone
    third = rollout("third", deployment="web")
    woken = Woken(first, second)
    moved = {**third, "spec": {**third["spec"], "workload": {"deployment": "web2"}}}
    moved["spec"]["traffic"] = {}
    third["spec"]["traffic"] = {}
    assert woken.by(Kind.ROLLOUT, third) == {WEB, Key("ns", "third")}
    assert woken.by(Kind.ROLLOUT, moved, old=third) == {WEB, SECOND, Key("ns", "third")}


def with_marks(one: Json) -> Json:
    return {**one, "metadata": {**one["metadata"], "finalizers": [FINALIZER]}}


def test_a_rollout_that_takes_its_release_back_wakes_those_that_wait_for_it() -> None:
    woken = Woken(rollout(), rollout("second"))
    assert woken.by(Kind.ROLLOUT, with_marks(rollout()), old=rollout()) == {WEB, SECOND}
    assert woken.by(Kind.ROLLOUT, rollout(), old=with_marks(rollout())) == {WEB, SECOND}


def test_a_status_is_news_to_nobody_else() -> None:
    woken = Woken(rollout(), rollout("second"))
    assert woken.by(Kind.ROLLOUT, {**rollout(), "status": {"phase": "Paused"}}, old=rollout()) == {WEB}


def test_two_rollouts_that_name_one_object_are_both_woken() -> None:
    woken = Woken(rollout(), rollout("second", deployment="other"))
    assert woken.by(Kind.VIRTUAL_SERVICE, thing("front")) == {WEB, Key("ns", "second")}


def test_a_rollout_wakes_itself_and_forgets_what_it_named_before() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.ROLLOUT, rollout(deployment="new"), old=rollout()) == {WEB}
    assert woken.by(Kind.DEPLOYMENT, thing("web")) == set()
    assert woken.by(Kind.DEPLOYMENT, thing("new")) == {WEB}


def test_a_rollout_that_went_is_woken_once_more_and_then_never() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.ROLLOUT, None, old=rollout()) == {WEB}
    assert woken.by(Kind.DEPLOYMENT, thing("web")) == set()
    assert woken.by(Kind.SERVICE, thing("any")) == set()


def test_a_replica_set_wakes_by_its_deployment_or_by_our_label() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.REPLICA_SET, thing("web-1", owner=("Deployment", "web"))) == {WEB}
    assert woken.by(Kind.REPLICA_SET, thing("web-2", labels={LABEL: "web-rollout"})) == {WEB}
    assert woken.by(Kind.REPLICA_SET, thing("web-3", labels={LABEL: "unknown"})) == set()
    assert woken.by(Kind.REPLICA_SET, thing("pay-1", owner=("Deployment", "pay"))) == set()


def test_a_deployment_wakes_the_rollout_that_its_label_names_even_if_there_is_none() -> None:
    """The gate holds it all the same: somebody has to take the label off."""
    woken = Woken(rollout())
    assert woken.by(Kind.DEPLOYMENT, thing("copy", labels={LABEL: "web-rollout"})) == {WEB}
    moved = thing("copy", namespace="staging", labels={LABEL: "web-rollout"})
    assert woken.by(Kind.DEPLOYMENT, moved) == {Key("staging", "web-rollout")}


def test_a_replica_set_that_lost_its_owner_wakes_by_the_owner_it_had() -> None:
    woken = Woken(rollout())
    had = thing("web-1", owner=("Deployment", "web"))
    assert woken.by(Kind.REPLICA_SET, thing("web-1"), old=had) == {WEB}


def test_a_deployment_that_bears_our_label_wakes_that_rollout_too() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.DEPLOYMENT, thing("another", labels={LABEL: "web-rollout"})) == {WEB}


def test_a_pod_wakes_through_its_replica_set() -> None:
    ours = thing("web-2", labels={LABEL: "web-rollout"})
    native = thing("web-1", owner=("Deployment", "web"))
    woken = Woken(rollout(), replica_sets=(ours, native))
    assert woken.by(Kind.POD, thing("p", owner=("ReplicaSet", "web-1"))) == {WEB}
    assert woken.by(Kind.POD, thing("p", owner=("ReplicaSet", "web-2"))) == {WEB}


def test_a_pod_whose_replica_set_is_gone_wakes_through_the_name() -> None:
    woken = Woken(rollout())
    pod = thing("p", owner=("ReplicaSet", "web-abc"), labels={"pod-template-hash": "abc"})
    assert woken.by(Kind.POD, pod) == {WEB}
    stranger = thing("p", owner=("ReplicaSet", "web-abc"), labels={"pod-template-hash": "xyz"})
    assert woken.by(Kind.POD, stranger) == set()


def test_a_pod_left_behind_by_its_replica_set_wakes_the_rollouts_of_its_namespace() -> None:
    left = thing("p", labels={"pod-template-hash": "abc"})
    assert Woken(rollout(), rollout("far", namespace="other")).by(Kind.POD, left) == {WEB}


def test_pods_that_never_had_a_replica_set_wake_nobody() -> None:
    assert Woken(rollout()).by(Kind.POD, thing("p")) == set()


def test_a_service_wakes_the_rollouts_of_its_namespace() -> None:
    woken = Woken(rollout(), rollout("far", namespace="other"))
    assert woken.by(Kind.SERVICE, thing("web")) == {WEB}


def slice_of(service: str) -> Json:
    return thing(f"{service}-abc", labels={"kubernetes.io/service-name": service})


def test_an_endpoint_slice_wakes_those_whose_rule_is_for_its_service() -> None:
    rule = {**thing("rule"), "spec": {"host": "web.ns.svc.cluster.local"}}
    woken = Woken(rollout(), rollout("far", namespace="other"), replica_sets=(rule,))
    assert woken.by(Kind.ENDPOINT_SLICE, slice_of("web")) == {WEB}
    assert woken.by(Kind.ENDPOINT_SLICE, slice_of("other")) == set()


def test_an_endpoint_slice_wakes_those_whose_rule_is_not_known() -> None:
    assert Woken(rollout()).by(Kind.ENDPOINT_SLICE, slice_of("web")) == {WEB}


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {"workload": "web"},
        {"workload": {"deployment": 3}, "traffic": {"istio": {"virtualServices": {"name": "x"}}}},
        {"traffic": {"istio": {"virtualServices": ["x", None, {"name": None}], "destinationRule": []}}},
    ],
)
def test_a_spec_of_the_wrong_shape_names_nothing_and_breaks_nothing(spec: Any) -> None:
    assert references({"metadata": {"name": "r", "namespace": "ns"}, "spec": spec}) == set()


def test_references_are_what_the_spec_names() -> None:
    assert references(rollout()) == {
        Ref(Kind.DEPLOYMENT, "ns", "web"),
        Ref(Kind.VIRTUAL_SERVICE, "ns", "front"),
        Ref(Kind.VIRTUAL_SERVICE, "ns", "mesh"),
        Ref(Kind.DESTINATION_RULE, "ns", "rule"),
    }


# -- what findings are made from ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.SERVICE_ENTRY, Kind.PEER_AUTHENTICATION, Kind.NAMESPACE])
def test_what_speaks_for_a_namespace_wakes_its_rollouts(kind: Kind) -> None:
    woken = Woken(rollout(), rollout("far", namespace="other"))
    assert woken.by(kind, thing("any")) == {WEB}


def test_what_speaks_for_the_mesh_wakes_all() -> None:
    woken = Woken(rollout(), rollout("far", namespace="other"))
    root = thing("default", namespace="istio-system")
    assert woken.by(Kind.PEER_AUTHENTICATION, root) == {WEB, Key("other", "far")}
    assert woken.by(Kind.SERVICE_ENTRY, root) == set()


def scaler(target: str) -> Json:
    return {**thing("hpa"), "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}}}


def test_an_autoscaler_wakes_by_its_target_as_it_was_and_as_it_is() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.AUTOSCALER, scaler("web")) == {WEB}
    assert woken.by(Kind.AUTOSCALER, scaler("pay")) == set()
    assert woken.by(Kind.AUTOSCALER, scaler("pay"), old=scaler("web")) == {WEB}


def serving(name: str, *hosts: str, namespace: str = "ns", **spec: Any) -> Json:
    return {**thing(name, namespace=namespace), "spec": {"hosts": list(hosts), **spec}}


def test_a_gateway_wakes_those_whose_virtual_services_are_bound_to_it() -> None:
    front = serving("front", "shop.example", gateways=["edge", "istio-system/public"])
    woken = Woken(rollout(), replica_sets=(front,))
    assert woken.by(Kind.GATEWAY, thing("edge")) == {WEB}
    assert woken.by(Kind.GATEWAY, thing("public", namespace="istio-system")) == {WEB}
    assert woken.by(Kind.GATEWAY, thing("public")) == set()


def test_another_virtual_service_for_the_same_host_wakes_when_it_comes_goes_or_claims_otherwise() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.VIRTUAL_SERVICE, serving("front", "web")) == {WEB}
    other = serving("other", "web.ns.svc.cluster.local", namespace="pay")
    wider = serving("other", "web.ns.svc.cluster.local", "b.example", namespace="pay")
    assert woken.by(Kind.VIRTUAL_SERVICE, other) == {WEB}
    assert woken.by(Kind.VIRTUAL_SERVICE, wider, old=other) == {WEB}
    assert woken.by(Kind.VIRTUAL_SERVICE, None, old=wider) == {WEB}
    assert woken.by(Kind.VIRTUAL_SERVICE, serving("third", "web", namespace="pay")) == set()


def test_weights_that_another_virtual_service_moves_wake_nobody_else() -> None:
    woken = Woken(rollout())
    woken.by(Kind.VIRTUAL_SERVICE, serving("front", "web"))
    before = serving("other", "web", http=[{"route": [{"weight": 100}]}])
    woken.by(Kind.VIRTUAL_SERVICE, before)
    after = serving("other", "web", http=[{"route": [{"weight": 50}]}])
    assert woken.by(Kind.VIRTUAL_SERVICE, after, old=before) == set()


def test_a_virtual_service_that_gave_its_host_up_is_no_concern_any_more() -> None:
    woken = Woken(rollout())
    woken.by(Kind.VIRTUAL_SERVICE, serving("front", "web"))
    woken.by(Kind.VIRTUAL_SERVICE, serving("front", "rates"), old=serving("front", "web"))
    assert woken.by(Kind.VIRTUAL_SERVICE, serving("other", "web")) == set()


def ruling(name: str, host: str, *subsets: str, namespace: str = "ns", **spec: Any) -> Json:
    made = {"host": host, "subsets": [{"name": subset, "labels": {"a": "b"}} for subset in subsets], **spec}
    return {**thing(name, namespace=namespace), "spec": made}


def test_another_rule_for_the_same_host_wakes_when_it_comes_goes_or_has_other_subsets() -> None:
    woken = Woken(rollout())
    assert woken.by(Kind.DESTINATION_RULE, ruling("rule", "web")) == {WEB}
    other = ruling("other", "web.ns.svc.cluster.local", namespace="pay")
    more = ruling("other", "web.ns.svc.cluster.local", "stable", namespace="pay")
    assert woken.by(Kind.DESTINATION_RULE, other) == {WEB}
    assert woken.by(Kind.DESTINATION_RULE, more, old=other) == {WEB}
    assert woken.by(Kind.DESTINATION_RULE, None, old=more) == {WEB}
    assert woken.by(Kind.DESTINATION_RULE, ruling("wide", "*.local", namespace="pay")) == {WEB}
    assert woken.by(Kind.DESTINATION_RULE, ruling("third", "web", namespace="pay")) == set()


def test_labels_that_another_rule_moves_wake_nobody_else() -> None:
    woken = Woken(rollout())
    woken.by(Kind.DESTINATION_RULE, ruling("rule", "web"))
    before, after = ruling("other", "web", "v1"), ruling("other", "web", "v1")
    woken.by(Kind.DESTINATION_RULE, before)
    after["spec"]["subsets"][0]["labels"] = {"a": "c"}
    assert woken.by(Kind.DESTINATION_RULE, after, old=before) == set()

"""Who owns what several Rollouts claim."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.api.names import FINALIZER
from rollout_controller.controller.memory import KnownClaims
from rollout_controller.core.ownership import claims_of, ownership
from rollout_controller.core.patch import Json

EARLY, LATE = "2030-01-01T12:00:00Z", "2030-01-01T12:00:01Z"


def istio(*services: Json, rule: str = "web", stable: str = "stable", canary: str = "canary") -> Json:
    return {
        "virtualServices": list(services) or [{"name": "web"}],
        "destinationRule": {"name": rule, "stableSubset": stable, "canarySubset": canary},
    }


def rollout(
    name: str,
    created: str = EARLY,
    *,
    deployment: str = "web",
    traffic: Json | None = None,
    marks: bool = False,
) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": created,
            **({"finalizers": [FINALIZER]} if marks else {}),
        },
        "spec": {"workload": {"deployment": deployment}, "traffic": {"istio": traffic or istio()}},
    }


def elsewhere(name: str, created: str = EARLY, **more: Any) -> Json:
    """It claims nothing that the others claim."""
    traffic = istio({"name": f"{name}-vs"}, rule=f"{name}-rule")
    return rollout(name, created, deployment=f"{name}-deployment", **{"traffic": traffic, **more})


def test_a_rollout_alone_owns_what_it_claims() -> None:
    me = rollout("web")
    assert ownership(me, [me]).owner == ""
    assert ownership(me, [me, elsewhere("other")]).findings == ()
    assert ownership(me, []).findings == ()


@pytest.mark.parametrize(
    ("mine", "other", "owner"),
    [
        (rollout("web", LATE), rollout("other", EARLY), "other"),
        (rollout("web", EARLY), rollout("other", LATE), ""),
        (rollout("web", EARLY), rollout("alpha", EARLY), "alpha"),
        (rollout("web", EARLY), rollout("zeta", EARLY), ""),
        (rollout("web", EARLY), rollout("alpha", LATE), ""),
    ],
)
def test_the_older_one_owns_and_of_one_second_the_first_by_name(mine: Json, other: Json, owner: str) -> None:
    assert ownership(mine, [mine, other]).owner == owner
    assert ownership(mine, [other, mine]).owner == owner


def test_of_several_older_ones_the_oldest_is_named_first_and_each_is_told() -> None:
    me = rollout("web", LATE)
    others = [rollout("second", "2030-01-01T11:00:00Z"), rollout("first", "2030-01-01T10:00:00Z")]
    found = ownership(me, [me, *others])
    assert found.owner == "first"
    assert ["first" in str(found.findings[0]), "second" in str(found.findings[1])] == [True, True]


HOST_MODE = {"virtualServices": [{"name": "a"}], "services": {"stable": "web", "canary": "web-canary"}}
SWAPPED = {"virtualServices": [{"name": "b"}], "services": {"stable": "web-canary", "canary": "x"}}
PRIMARY, SECONDARY = {"name": "web", "routes": ["primary"]}, {"name": "web", "routes": ["secondary"]}
PORT, TLS = (
    {"name": "web", "tcpRoutes": [{"port": 5432}]},
    {"name": "web", "tlsRoutes": [{"sniHosts": ["a.b"]}]},
)


@pytest.mark.parametrize(
    ("mine", "theirs", "shared"),
    [
        (istio(), istio({"name": "web"}, rule="r"), "VirtualService web"),
        (istio(PRIMARY), istio({"name": "web"}, rule="r"), "VirtualService web"),
        (istio({"name": "web"}), istio(SECONDARY, rule="r"), "VirtualService web"),
        (istio(PRIMARY), istio(PRIMARY, rule="r"), "route primary of VirtualService web"),
        (istio(PRIMARY), istio(SECONDARY, rule="r"), None),
        (istio(PORT), istio(PORT, rule="r"), "the tcp route of port 5432 of VirtualService web"),
        (istio(PORT), istio(PRIMARY, rule="r"), None),
        (istio(TLS), istio(TLS, rule="r"), "the tls route of a.b of VirtualService web"),
        (istio({"name": "other"}, {"name": "web"}), istio(rule="r"), "VirtualService web"),
        (istio({"name": "other"}), istio(rule="r"), None),
        (istio(), istio({"name": "x"}), "subset stable of DestinationRule web"),
        (istio(), istio({"name": "x"}, stable="a", canary="stable"), "subset stable of DestinationRule web"),
        (istio(), istio({"name": "x"}, stable="a", canary="b"), None),
        (HOST_MODE, SWAPPED, "Service web-canary"),
        (HOST_MODE, istio({"name": "x"}), None),
    ],
)
def test_routes_subsets_and_services_are_claimed_like_the_deployment(
    mine: Json, theirs: Json, shared: str | None
) -> None:
    me, other = rollout("web", LATE, traffic=mine), rollout("other", deployment="other", traffic=theirs)
    found = ownership(me, [other]).findings
    assert [one.sentence.partition(" belongs to")[0] for one in found] == ([shared] if shared else [])
    back = ownership(other, [me])
    assert (back.owner, back.findings) == ("", ())


def test_a_deployment_of_a_pair_is_claimed_too() -> None:
    pair = elsewhere("pair")
    pair["spec"]["workload"] = {"stable": {"deployment": "web-v1"}, "canary": {"deployment": "web"}}
    (finding,) = ownership(rollout("web", LATE), [pair]).findings
    assert finding.path == "spec.workload.deployment"
    younger = {**pair, "metadata": {**pair["metadata"], "creationTimestamp": LATE}}
    (finding,) = ownership(younger, [rollout("web")]).findings
    assert finding.path == "spec.workload.canary.deployment"


def test_the_finding_names_owner_field_and_cure() -> None:
    me = rollout("web", LATE, deployment="other", traffic=istio({"name": "x"}, PRIMARY, rule="r"))
    (finding,) = ownership(me, [rollout("old", traffic=istio(PRIMARY))]).findings
    assert finding.severity == "error"
    assert str(finding) == (
        "Rollout shop/web spec.traffic.istio.virtualServices[1]: route primary of VirtualService web belongs"
        " to Rollout old, which claims it as well and is older. Delete one of the two, or name different"
        " routes in both Rollouts; this one begins once old has let go."
    )


# -- marks: what a release has in the cluster ------------------------------------------------------------


def test_the_owner_is_warned_of_a_newer_one_that_has_not_let_go() -> None:
    me = rollout("web", EARLY)
    found = ownership(me, [me, rollout("newer", LATE, marks=True), rollout("third", LATE)])
    assert (found.owner, found.holder) == ("", "newer")
    (finding,) = found.findings
    assert (finding.severity, finding.object) == ("warning", "Rollout shop/newer")
    assert "rollout-controller.dev/abort" in finding.fix


def test_a_newer_one_knows_that_what_it_sees_is_the_owners() -> None:
    me = rollout("web", LATE)
    found = ownership(me, [rollout("owner", EARLY, marks=True)])
    assert (found.owner, found.holder) == ("owner", "owner")
    assert [one.severity for one in found.findings] == ["error"]


def test_marks_of_its_own_or_of_strangers_are_of_no_concern() -> None:
    me = rollout("web", marks=True)
    assert ownership(me, [me, elsewhere("other", marks=True)]).holder == ""


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {"workload": "web"},
        {"workload": {"deployment": 3}, "traffic": {"istio": {"virtualServices": {"name": "x"}}}},
        {"traffic": {"istio": {"virtualServices": ["x", None, {"name": None}], "destinationRule": []}}},
        {"traffic": {"istio": {"virtualServices": [{"name": "x", "routes": 7, "tlsRoutes": [3]}]}}},
    ],
)
def test_a_spec_of_the_wrong_shape_breaks_nothing(spec: Any) -> None:
    other = {"metadata": {"name": "bad", "namespace": "shop"}, "spec": spec}
    assert claims_of(other).single == {}
    assert ownership(rollout("web"), [other]).owner == ""
    assert ownership(other, [rollout("web")]).holder == ""


def test_a_spec_that_todays_rules_refuse_still_claims_what_it_names() -> None:
    wrong = rollout("old")
    wrong["spec"]["strategy"] = {"canary": {"steps": [{"weight": 700}]}}
    assert ownership(rollout("web", LATE), [wrong]).owner == "old"


def test_what_was_worked_out_for_a_generation_is_remembered_and_not_beyond_it() -> None:
    known, one = KnownClaims(), rollout("web")
    one["metadata"] |= {"uid": "u-1", "generation": 1}
    first = known.of(one)
    again = {**one, "metadata": {**one["metadata"], "resourceVersion": "9"}}
    assert known.of(again) is first
    moved = rollout("web", deployment="other")
    moved["metadata"] |= {"uid": "u-1", "generation": 2}
    assert known.of(moved) == claims_of(moved) != first
    anew = rollout("web", deployment="third")
    anew["metadata"] |= {"uid": "u-2", "generation": 1}
    assert known.of(anew) == claims_of(anew)

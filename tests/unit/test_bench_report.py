"""Figures, their targets, the table and the file."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path

import pytest

from bench.figures import BY_NAME, KEYS, Figure, Target, percentile
from bench.report import entry, table, version_in, versions, write
from bench.scenes import bad, bluegreen, good, idle, live, lost, revert
from bench.scenes.live import weights_in


def _figure(name: str, measured: float) -> Figure:
    return Figure(BY_NAME[name], measured, "counted with care", {"each": [measured]})


@pytest.mark.parametrize(
    ("target", "kept", "missed"),
    [(Target("<=", 8), 8, 8.1), (Target("<", 250), 249.9, 250), (Target(">=", 1), 1, 0.99)],
    ids=str,
)
def test_a_target_is_kept_up_to_its_bound(target: Target, kept: float, missed: float) -> None:
    assert target.met(kept)
    assert not target.met(missed)
    assert not target.met(nan)


def test_a_figure_is_ok_short_or_only_reported() -> None:
    assert _figure("pods_lost_errors", 10).verdict == "ok"
    assert _figure("pods_lost_errors", 11).verdict == "short"
    assert _figure("weight_live_ms_p50", 5000).verdict == "reported"


@pytest.mark.parametrize(("q", "value"), [(0.5, 3), (0.99, 5), (0, 1), (1, 5), (0.2, 1), (0.21, 2)])
def test_a_percentile_is_one_of_the_values(q: float, value: float) -> None:
    assert percentile([5, 3, 1, 2, 4], q) == value


def test_each_key_is_measured_by_one_scene() -> None:
    measured = [name for scene in (bad, bluegreen, good, idle, live, lost, revert) for name in scene.NAMES]
    assert sorted(measured) == sorted(key.name for key in KEYS)


def test_the_definition_of_each_figure_stands_in_its_scene() -> None:
    for scene in (bad, bluegreen, good, idle, live, lost, revert):
        text = scene.measure.__doc__ or ""
        assert all(name in text for name in scene.NAMES)


def test_the_table_has_a_row_for_each_figure_with_target_and_verdict() -> None:
    text = table([_figure("revert_write_ms_p99", 42.5), _figure("pods_lost_errors", 11)])
    rows = [line.split("  ") for line in text.splitlines()]
    words = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["revert_write_ms_p99", "42.5", "< 250", "ok", "counted with care"] in words
    assert ["pods_lost_errors", "11", "≤ 10", "short", "counted with care"] in words


def test_a_figure_that_could_not_be_measured_is_none_and_short() -> None:
    written = [entry(Figure(BY_NAME["min_ready_ratio"], value, "from no run"), 0.5) for value in (inf, nan)]
    assert [(one["measured"], one["verdict"]) for one in written] == [(None, "short")] * 2
    json.dumps(written, allow_nan=False)


def test_measuring_one_key_again_leaves_the_others_in_the_file(tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.json"
    first = [entry(_figure("max_pods_ratio", 2), 0.1), entry(_figure("pods_lost_errors", 7), 0.1)]
    write(out, first, {"machine": {"cpus": 2}})
    write(out, [entry(_figure("pods_lost_errors", 5), 0.2)], {"machine": {"cpus": 4}})
    read = json.loads(out.read_text())
    assert {one["key"]: one["measured"] for one in read["figures"]} == {
        "max_pods_ratio": 2,
        "pods_lost_errors": 5,
    }
    assert [one["key"] for one in read["figures"]] == ["pods_lost_errors", "max_pods_ratio"]
    assert read["machine"] == {"cpus": 4}


def test_versions_are_those_of_the_pinned_modules() -> None:
    text = "module x\n\nrequire a.io/b v1.2.3\n\nrequire (\n\tc.io/d v0.0.1 // indirect\n)\n"
    assert version_in(text, "a.io/b") == "v1.2.3"
    assert version_in(text, "c.io/d") == "v0.0.1"
    with pytest.raises(KeyError, match=r"no a\.io"):
        version_in(text, "a.io")
    assert all(versions().values())


def test_weights_are_read_from_envoys_dump_by_host() -> None:
    clusters = [{"name": "stable", "weight": 95}, {"name": "canary", "weight": 5}]
    route = {"route": {"weighted_clusters": {"clusters": clusters}}}
    dump = {
        "configs": [
            {
                "route_config": {
                    "virtual_hosts": [{"domains": ["b"], "routes": [{"route": {"cluster": "x"}}]}]
                }
            },
            {"route_config": {"virtual_hosts": [{"domains": ["a", "a:*"], "routes": [route]}]}},
        ]
    }
    assert weights_in(dump, "a") == [95, 5]
    assert weights_in(dump, "b") == []
    assert weights_in(dump, "c") == []

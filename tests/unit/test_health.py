"""The server for probes, and what /metrics tells."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from rollout_controller.app.health import Health, HealthError
from rollout_controller.app.metrics import Instruments
from rollout_controller.ports import Key

WEB, PAY = Key("shop", "web"), Key("shop", "pay")


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, list[str], Instruments]]:
    missing: list[str] = []
    instruments = Instruments()
    health = Health(lambda: missing, instruments.page)
    await health.start("127.0.0.1", 0)
    yield health, missing, instruments
    await health.stop()


Served = tuple[Health, list[str], Instruments]


async def fetch(health: Health, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{health.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_it_is_ready_once_nothing_is_missing_and_says_what_is(served: Served) -> None:
    health, missing, _ = served
    missing[:] = ["virtualservices: the API server does not know them", "pods: not read yet"]
    code, text = await fetch(health, "/readyz")
    assert code == 503
    assert text.splitlines() == missing
    missing.clear()
    assert await fetch(health, "/readyz") == (200, "ok\n")


async def test_it_is_healthy_also_while_it_is_not_ready(served: Served) -> None:
    health, missing, _ = served
    missing[:] = ["pods: not read yet"]
    assert await fetch(health, "/healthz") == (200, "ok\n")


async def test_metrics_are_in_the_text_format(served: Served) -> None:
    health, _, instruments = served
    instruments.called("patch", "virtualservices", "200", 0.01)
    code, text = await fetch(health, "/metrics")
    assert code == 200
    calls = 'rollout_controller_api_calls_total{code="200",resource="virtualservices",verb="patch"} 1.0'
    assert calls in text.splitlines()
    assert "process_resident_memory_bytes" in text


async def test_an_address_that_is_taken_is_named(served: Served) -> None:
    health, _, _ = served
    other = Health(list, bytes)
    with pytest.raises(HealthError, match=rf"127\.0\.0\.1:{health.port}: .* --health-address"):
        await other.start("127.0.0.1", health.port)


async def test_an_open_connection_delays_stopping_by_a_second_at_most(served: Served) -> None:
    health, _, _ = served
    _, writer = await asyncio.open_connection("127.0.0.1", health.port)
    begun = asyncio.get_running_loop().time()
    await health.stop()
    assert asyncio.get_running_loop().time() - begun < 1.5
    writer.close()


def lines(instruments: Instruments, name: str) -> set[str]:
    text = instruments.page().decode()
    return {line.removeprefix(name) for line in text.splitlines() if line.startswith(name)}


def test_a_rollout_has_one_phase_at_a_time_and_no_metrics_once_it_is_gone() -> None:
    instruments = Instruments()
    instruments.rollout(WEB, "Healthy", 0)
    instruments.rollout(PAY, "Healthy", 0)
    instruments.rollout(WEB, "Progressing", 25)
    assert lines(instruments, "rollout_controller_rollout_phase") == {
        '{namespace="shop",phase="Progressing",rollout="web"} 1.0',
        '{namespace="shop",phase="Healthy",rollout="pay"} 1.0',
    }
    assert '{namespace="shop",rollout="web"} 25.0' in lines(instruments, "rollout_controller_rollout_weight")
    instruments.gone(WEB)
    instruments.gone(WEB)
    for name in ("rollout_controller_rollout_phase", "rollout_controller_rollout_weight"):
        assert not any("web" in line for line in lines(instruments, name))
        assert any("pay" in line for line in lines(instruments, name))


def test_passes_queries_events_and_the_queue_are_measured() -> None:
    instruments = Instruments()
    instruments.passed(WEB, "failed", 0.2)
    instruments.queried("timeout", 1.5)
    instruments.event("dropped")
    instruments.queue(lambda: 3, lambda: 1.25)
    text = instruments.page().decode().splitlines()
    for line in (
        'rollout_controller_passes_total{result="failed"} 1.0',
        "rollout_controller_pass_duration_seconds_sum 0.2",
        'rollout_controller_prometheus_queries_total{result="timeout"} 1.0',
        "rollout_controller_prometheus_query_duration_seconds_count 1.0",
        'rollout_controller_events_total{result="dropped"} 1.0',
        "rollout_controller_queue_depth 3.0",
        "rollout_controller_queue_oldest_seconds 1.25",
    ):
        assert line in text


async def test_a_loop_that_is_held_up_shows_as_lag() -> None:
    import time

    instruments = Instruments()
    task = asyncio.create_task(instruments.measure_lag())
    await asyncio.sleep(0)  # it has begun to wait
    await asyncio.sleep(0.8)
    time.sleep(0.5)  # noqa: ASYNC251 - the event loop is held up on purpose
    await asyncio.sleep(0.05)
    task.cancel()
    (late,) = lines(instruments, "rollout_controller_event_loop_lag_seconds_sum ")
    assert float(late) > 0.2

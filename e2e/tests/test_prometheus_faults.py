"""A real Prometheus that is down, hangs, comes back, is empty, answers nonsense: an error in bounded time."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic, time

import pytest
import pytest_asyncio

from e2e.tests.metricslab import MetricsLab, Pod
from e2e.tests.support import wait_for
from rollout_controller.ports import MetricsError, Sample
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("metricslab")]

TIMEOUT = 1.0
SLACK = 2.0
"""Seconds that a machine may add to a timeout while nothing else runs."""


@pytest_asyncio.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MetricsLab]:
    async with MetricsLab.open(tmp_path_factory.mktemp("prometheus")) as one:
        yield one


@pytest_asyncio.fixture
async def prometheus(lab: MetricsLab) -> AsyncIterator[Prometheus]:
    one = Prometheus(PrometheusSettings(lab.url, timeout=TIMEOUT))
    yield one
    one.close()


async def answers(prometheus: Prometheus) -> list[Sample]:
    try:
        return await prometheus.query("vector(7)")
    except MetricsError:
        return []


async def test_a_vector_comes_with_labels_values_and_the_time_it_speaks_of(prometheus: Prometheus) -> None:
    (sample,) = await prometheus.query('label_replace(vector(0.25), "pod", "web", "", "")')
    assert sample.labels == {"pod": "web"}
    assert sample.value == 0.25
    assert sample.at == pytest.approx(time(), abs=5)


async def test_raw_samples_come_in_order(lab: MetricsLab, prometheus: Prometheus) -> None:
    lab.begin()
    lab.pods = {"web": Pod()}
    for _ in range(3):
        await lab.scrape()
    (series,) = await prometheus.series(f'up{{namespace="{lab.namespace}"}}[1m]')
    assert series.labels["pod"] == "web"
    times = [at for at, _ in series.samples]
    assert len(times) >= 3
    assert times == sorted(times)
    assert {value for _, value in series.samples} == {1.0}


async def test_no_series_is_an_empty_answer_and_no_error(prometheus: Prometheus) -> None:
    assert await prometheus.query("no_such_metric") == []
    assert await prometheus.series("no_such_metric[1m]") == []


async def test_nan_and_infinity_come_as_they_are(prometheus: Prometheus) -> None:
    (nothing,) = await prometheus.query("vector(0) / vector(0)")
    (endless,) = await prometheus.query("vector(1) / vector(0)")
    assert math.isnan(nothing.value)
    assert endless.value == math.inf


async def test_a_scalar_or_a_matrix_is_not_taken_for_a_vector(
    lab: MetricsLab, prometheus: Prometheus
) -> None:
    await lab.scrape()
    for promql in ("1", "lab_revision[1m]"):
        with pytest.raises(MetricsError, match="no instant vector"):
            await prometheus.query(promql)
    with pytest.raises(MetricsError, match="no range vector"):
        await prometheus.series("vector(1)")


async def test_a_query_that_cannot_be_read_is_refused_in_the_words_of_prometheus(
    lab: MetricsLab, prometheus: Prometheus
) -> None:
    with pytest.raises(MetricsError, match=r"400 invalid parameter .*parse error") as refused:
        await prometheus.query("sum(")
    assert lab.url in str(refused.value)


@pytest.mark.alone
async def test_a_prometheus_that_is_down_is_told_at_once_and_asked_again_when_it_is_back(
    lab: MetricsLab, prometheus: Prometheus
) -> None:
    assert await answers(prometheus)
    await lab.stop()
    began = monotonic()
    with pytest.raises(MetricsError, match=f"no connection to Prometheus at {lab.url}: .*refused"):
        await prometheus.query("vector(1)")
    assert monotonic() - began < SLACK
    await lab.start()
    assert await answers(prometheus)


@pytest.mark.alone
async def test_a_prometheus_that_hangs_is_given_up_within_the_timeout_and_answers_once_it_goes_on(
    lab: MetricsLab, prometheus: Prometheus
) -> None:
    assert await answers(prometheus)
    await lab.pause()
    try:
        began = monotonic()
        with pytest.raises(MetricsError, match="gave no answer within 1 s"):
            await prometheus.query("vector(1)")
        assert TIMEOUT <= monotonic() - began < TIMEOUT + SLACK
    finally:
        lab.resume()
    await wait_for(lambda: answers(prometheus), "Prometheus to answer again")


async def test_a_token_is_carried_and_never_told(
    lab: MetricsLab, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # This Prometheus asks for no token and must answer all the same; tests/unit looks at what is sent.
    caplog.set_level("DEBUG")
    one = Prometheus(PrometheusSettings(lab.url, token="hunter2hunter2", timeout=TIMEOUT))
    try:
        assert await answers(one)
        with pytest.raises(MetricsError) as refused:
            await one.query("sum(")
        assert "hunter2" not in str(refused.value) + caplog.text + repr(one)
    finally:
        one.close()

"""What an image's tag makes the demo application do."""

import pytest

from e2e.app.behaviour import Behaviour
from e2e.demo.image import behaviour
from e2e.demo.record import RELEASES
from e2e.demo.stage import document
from e2e.demo.story import FIRST


def test_a_plain_version_only_says_what_it_is() -> None:
    assert behaviour("demo:1.1.0") == {"VERSION": "1.1.0"}


def test_errors_in_the_tag_become_that_share_of_errors() -> None:
    read = Behaviour.read(behaviour("demo:1.2.0-errors-0.5pct"))
    assert (read.version, read.error_rate) == ("1.2.0", 0.005)


def test_a_p99_in_the_tag_becomes_that_p99() -> None:
    read = Behaviour.read(behaviour("demo:1.3.0-p99-800ms"))
    assert (read.latency_p50_ms, read.latency_p99_ms) == (300, 800)


def test_a_p99_below_the_usual_median_takes_the_median_along() -> None:
    read = Behaviour.read(behaviour("demo:1.3.0-p99-40ms"))
    assert (read.latency_p50_ms, read.latency_p99_ms) == (40, 40)


def test_errors_and_slowness_go_together() -> None:
    read = Behaviour.read(behaviour("demo:2.0.0-errors-5pct-p99-300ms"))
    assert (read.error_rate, read.latency_p99_ms) == (0.05, 300)


@pytest.mark.parametrize("image", ["", "demo", "web:1.1.0", "demo:latest", "demo:1.1.0-errors-5", "demo:1.1"])
def test_another_image_is_refused_with_what_was_expected(image: str) -> None:
    with pytest.raises(ValueError, match="expected demo:VERSION"):
        behaviour(image)


def test_every_release_of_the_demo_has_an_image_that_exists() -> None:
    ailing = {one.ailment: Behaviour.read(behaviour(one.image)) for one in RELEASES}
    assert ailing[""].error_rate == 0
    assert ailing["errors"].error_rate == 0.05
    assert ailing["slowness"].latency_p99_ms == 800


def test_the_demo_begins_with_the_image_that_its_deployment_names() -> None:
    (container,) = document("deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == FIRST

"""What an image's tag says: the local cluster runs no images, so the tag stands for what would be in one.

    demo:1.1.0                 a version that is fine
    demo:1.2.0-errors-5pct     answers 5 % of its requests with status 500
    demo:1.3.0-p99-800ms       one answer in a hundred takes 800 ms or longer; half of them, 300 ms

Both ailments may be combined: demo:2.0.0-errors-0.5pct-p99-300ms. `python3 -m e2e.demo.image` runs the demo
application so; IMAGE is set by the local cluster's kubelet. What the container's env says comes second.
"""

import os
import re
import sys

from e2e.app.__main__ import main

NAME = "demo"
_TAG = re.compile(
    r"(?P<version>\d+\.\d+\.\d+)(-errors-(?P<errors>\d{1,3}(\.\d+)?)pct)?(-p99-(?P<p99>\d{1,5})ms)?\Z"
)
SLOW_MEDIAN = 300.0
"""LATENCY_P50_MS of an image with a p99 of its own."""


def behaviour(image: str) -> dict[str, str]:
    """The variables of the demo application for `demo:TAG`. Raises ValueError for another image or tag."""
    name, _, tag = image.rpartition(":")
    found = _TAG.match(tag)
    if name != NAME or not found:
        raise ValueError(
            f"there is no image {image!r}: expected {NAME}:VERSION, {NAME}:VERSION-errors-Npct or"
            f" {NAME}:VERSION-p99-Nms, with a version like 1.2.0"
        )
    variables = {"VERSION": found["version"]}
    if found["errors"]:
        variables["ERROR_RATE"] = str(float(found["errors"]) / 100)
    if found["p99"]:
        median = min(SLOW_MEDIAN, float(found["p99"]))
        variables |= {"LATENCY_P50_MS": f"{median:g}", "LATENCY_P99_MS": found["p99"]}
    return variables


if __name__ == "__main__":
    try:
        os.environ.update(behaviour(os.environ.get("IMAGE", "")))
    except ValueError as error:
        sys.exit(f"error: {error}")
    main()

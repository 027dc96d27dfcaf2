"""The spec of a Rollout: what a person asks for. `crds/rollouts.yaml` is generated from these models.

Docstrings of fields become the descriptions that `kubectl explain` shows. Defaults become defaults of the
schema, which the API server fills in; the elements of lists have none, because tools that compare what is in
git with what is in the cluster take a filled-in element for a difference.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from rollout_controller.api.analysis import Analysis
from rollout_controller.api.base import SpecModel
from rollout_controller.api.fields import Duration, Seconds
from rollout_controller.api.strategy import Strategy
from rollout_controller.api.traffic import Traffic
from rollout_controller.api.workload import Workload


class RolloutSpec(SpecModel):
    """What is released, what moves the users, in which steps, and how it is judged."""

    workload: Workload
    """What is released. Cannot change while a release runs."""
    traffic: Traffic
    """What moves the users. Cannot change while a release runs."""
    strategy: Strategy
    """How the new version takes over. Edits count from the next release."""
    analysis: Analysis
    """How the canary is judged. Edits count at once."""
    min_duration: Duration = timedelta(seconds=60)
    """How long each step lasts at least."""
    max_duration: Seconds = timedelta(minutes=30)
    """How long each step may last beyond its minDuration or bake; then the Rollout is Paused."""
    bake: Duration = timedelta(minutes=5)
    """How long the last step is held, with the old version still at full scale."""
    drain: Duration = timedelta(seconds=30)
    """How long pods without traffic are kept, for requests that are still under way."""
    progress_deadline: Seconds = timedelta(minutes=10)
    """How long pods may take to become available; then the release is reverted."""
    rollback_window: Annotated[StrictInt, Field(ge=0, le=10)] = 3
    """To how many earlier stable versions a release goes straight: all pods, 100 %, bake. 0 turns it off."""
    paused: StrictBool = False
    """Holds a release at its present weight. The analysis goes on and may revert."""

"""The names that the project writes into other people's objects, each in one place."""

from typing import Final

GROUP: Final = "rollout-controller.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "Rollout"
LIST_KIND: Final = "RolloutList"
PLURAL: Final = "rollouts"
SINGULAR: Final = "rollout"
SHORT_NAME: Final = "rlt"

FIELD_MANAGER: Final = "rollout-controller"
"""The field manager of every write. The gate lets only this one un-pause a held Deployment."""

LABEL: Final = f"{GROUP}/rollout"
"""On a Deployment: the name of its Rollout. The gate's policies select by it."""

HELD_BY: Final = f"{GROUP}/held-by"
"""Annotation on a Deployment that the gate paused: the name of the Rollout that releases it."""

FINALIZER: Final = f"{GROUP}/finalizer"

PROMOTE: Final = f"{GROUP}/promote"
ABORT: Final = f"{GROUP}/abort"
PAUSE: Final = f"{GROUP}/pause"
RESUME: Final = f"{GROUP}/resume"
RETRY: Final = f"{GROUP}/retry"
COMMANDS: Final = (ABORT, PAUSE, RETRY, PROMOTE, RESUME)
"""Annotations on a Rollout that are commands; of several at once the first of this order wins, but for a
retry that has no meaning now."""

CLAIM: Final = f"{GROUP}/command"
"""Annotation on a Rollout: the command that was taken, as `<verb>[=value]@<resourceVersion>`."""

RUNNING_PHASES: Final = ("Progressing", "Paused", "Promoting", "Reverting")
"""Phases in which a release runs: `spec.workload` and `spec.traffic` are immutable in them."""

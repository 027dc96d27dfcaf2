"""The vocabulary: the Rollout's spec and status, durations, percentages, and the names in use."""

from rollout_controller.api.names import (
    ABORT,
    API_VERSION,
    CLAIM,
    COMMANDS,
    FIELD_MANAGER,
    FINALIZER,
    GROUP,
    HELD_BY,
    KIND,
    LABEL,
    PAUSE,
    PLURAL,
    PROMOTE,
    RESUME,
    RETRY,
    RUNNING_PHASES,
    VERSION,
)
from rollout_controller.api.parse import Places, Problem, SpecError, parse_places, parse_spec
from rollout_controller.api.quantities import (
    QuantityError,
    format_duration,
    format_percentage,
    parse_duration,
    parse_percentage,
)
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.status import RolloutStatus

__all__ = [
    "ABORT",
    "API_VERSION",
    "CLAIM",
    "COMMANDS",
    "FIELD_MANAGER",
    "FINALIZER",
    "GROUP",
    "HELD_BY",
    "KIND",
    "LABEL",
    "PAUSE",
    "PLURAL",
    "PROMOTE",
    "RESUME",
    "RETRY",
    "RUNNING_PHASES",
    "VERSION",
    "Places",
    "Problem",
    "QuantityError",
    "RolloutSpec",
    "RolloutStatus",
    "SpecError",
    "format_duration",
    "format_percentage",
    "parse_duration",
    "parse_percentage",
    "parse_places",
    "parse_spec",
]

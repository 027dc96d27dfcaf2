"""What all models of a spec have in common."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

MAP_OF_NAMES: Final[dict[str, Any]] = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


NO_DEFAULT: Final[dict[str, Any]] = {"default": None}
"""Keeps a field's default out of the schema."""


class SpecModel(BaseModel):
    """Frozen, named in camelCase outside, and refusing fields it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

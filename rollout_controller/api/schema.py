"""From pydantic's JSON schema to the structural schema that a CustomResourceDefinition needs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from rollout_controller.api.quantities import format_duration

_DROPPED: Final = frozenset({"title", "$defs"})
_KEYWORDS: Final = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
    "properties",
    "additionalProperties",
    "items",
)
"""What a structural schema may hold, in the order in which it is read best."""


class StructuralSchema(GenerateJsonSchema):
    """Generates the schema of a model without references, and nothing a structural schema refuses.

    `$ref` is inlined; an optional field is just not required, instead of `anyOf` with null; what Kubernetes
    does by pruning (`additionalProperties: false`) and what it does not know (titles) is left out. A keyword
    that is unknown here is a TypeError: a silently dropped limit would be worse.
    """

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:
        """The structural schema of a core schema. Raises TypeError."""
        loose = super().generate(schema, mode)
        return _structural(loose, loose.get("$defs", {}))

    def encode_default(self, dft: Any) -> Any:
        """A default as it stands in the CRD: only what is not a default itself, which the server fills in."""
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, tuple):
            return [self.encode_default(item) for item in dft]
        return super().encode_default(dft)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, under the names its fields have outside."""
    return model.model_json_schema(by_alias=True, schema_generator=StructuralSchema)


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    merged = _resolved(schema, definitions)
    if merged.get("additionalProperties") is False:
        del merged["additionalProperties"]
    merged.pop("propertyNames", None)  # a structural schema has no rules for keys: CEL at the map has them
    unknown = merged.keys() - set(_KEYWORDS) - _DROPPED
    if unknown:
        raise TypeError(f"expected keywords of a structural schema, found {sorted(unknown)} in {merged!r}")
    if merged.get("default") in (None, []):
        merged.pop("default", None)
    if "properties" in merged:
        fields: Mapping[str, Any] = merged["properties"]
        merged["properties"] = {name: _structural(field, definitions) for name, field in fields.items()}
    if "additionalProperties" in merged:
        merged["additionalProperties"] = _structural(merged["additionalProperties"], definitions)
    if "items" in merged:
        merged["items"] = _structural(merged["items"], definitions)
    return {keyword: merged[keyword] for keyword in _KEYWORDS if keyword in merged}


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with `$ref` and an optional's `anyOf` taken in; what stands beside them wins."""
    beside = dict(schema)
    if "$ref" in beside:
        name = beside.pop("$ref").removeprefix("#/$defs/")
        return {**_resolved(definitions[name], definitions), **beside}
    if "anyOf" in beside:
        choices = [choice for choice in beside.pop("anyOf") if choice != {"type": "null"}]
        if len(choices) != 1:
            raise TypeError(f"expected one type beside null, found {choices!r}")
        return {**_resolved(choices[0], definitions), **beside}
    return beside

"""Registries of the kinds of one record, which files tell apart by a field `name`."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema, to_json

from sumo_mobility.base.contract import Choice
from sumo_mobility.base.registry import Registry

Model = TypeVar("Model", bound=BaseModel)


class Kinds(Registry[type[Model]], Choice):
    """All kinds of one record: subclasses of a pydantic model, each with its name as the default of a field `name`.

    `Annotated[Base, KINDS]` is a field that holds any of them. Kinds that are registered after the model that has the
    field count as well, those of plug-ins too.

    Args:
        kind: What the entries are, in the singular, for messages.
        base: The model that all are subclasses of.
    """

    def __init__(self, kind: str, base: type[Model]) -> None:
        super().__init__(kind)
        self._base = base
        self._adapters: dict[int, TypeAdapter[Model]] = {}

    def members(self) -> list[type[BaseModel]]:
        """Returns all models, in the order of their registration."""
        return list(self.values())

    def _name_of(self, entry: type[Model]) -> str:
        return str(entry.model_fields["name"].default)

    def _adapter(self) -> TypeAdapter[Model]:
        """The union of all that are registered by now."""
        models = tuple(self.values())
        if len(models) not in self._adapters:
            union: Any = Annotated[Union[models], Field(discriminator="name")]  # noqa: UP007 (a tuple of members)
            self._adapters[len(models)] = TypeAdapter(union if len(models) > 1 else models[0])
        return self._adapters[len(models)]

    def _validate(self, value: Any, info: ValidationInfo) -> Model:
        if isinstance(value, self._base):
            return value
        if info.mode == "json":  # where a list stands for a tuple
            return self._adapter().validate_json(to_json(value), strict=True, context=info.context)
        return self._adapter().validate_python(value, context=info.context)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Makes pydantic look up the kinds when it validates, and not when the field is defined."""
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describes the union of all kinds."""
        return handler(self._adapter().core_schema)

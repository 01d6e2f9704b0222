"""Settings: a range, a unit and two help texts declared once, on the field.

Forms, command-line flags, documentation and validation all derive from the field,
so a new setting is one line in the class that uses it.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

from compresslab.errors import BadInput
from compresslab.messages import Message, plain
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

ControlKind = Literal["integer", "number", "choice", "flag", "text", "list", "mapping"]
MOST_SEED = 2**31 - 1


def setting(
    default: Any,
    *,
    label: str,
    plain: str,
    help: str,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    offered: tuple[int, ...] = (),
    advanced: bool = False,
) -> Any:
    """A settings field. `plain` is for everyone, `help` for those who know the field's terms.

    `offered` are the values that a form proposes where the range holds more than is useful.
    """
    extra: dict[str, Any] = {"plain": plain, "unit": unit, "step": step, "offered": offered, "advanced": advanced}
    return Field(default, ge=ge, le=le, title=label, description=help, json_schema_extra=extra)


@dataclass(frozen=True)
class Control:
    """What a form or a flag must know to offer one setting."""

    name: str
    kind: ControlKind
    label: str
    plain: str
    help: str
    unit: str
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Any, ...] = ()
    offered: tuple[int, ...] = ()
    advanced: bool = False


class Settings(BaseModel):
    """Frozen, refuses unknown keys; every field is made with `setting`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def controls(cls) -> list[Control]:
        return [_control(name, field) for name, field in cls.model_fields.items()]

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validated settings; raises BadInput with one sentence that says what would work."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInput(_sentence(cls, error, where)) from None


def _control(name: str, field: FieldInfo) -> Control:
    extra: dict[str, Any] = field.json_schema_extra or {}  # type: ignore[assignment]
    bounds = {type(m).__name__: m for m in field.metadata}
    minimum = getattr(bounds.get("Ge"), "ge", None)
    maximum = getattr(bounds.get("Le"), "le", None)
    kind, choices = _kind(field.annotation)
    return Control(
        name=name,
        kind=kind,
        label=field.title or name,
        plain=extra.get("plain", ""),
        help=field.description or "",
        unit=extra.get("unit", ""),
        default=field.default,
        minimum=minimum,
        maximum=maximum,
        step=extra.get("step"),
        choices=choices,
        offered=tuple(extra.get("offered", ())),
        advanced=bool(extra.get("advanced")),
    )


def _kind(annotation: Any) -> tuple[ControlKind, tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    kinds: dict[Any, ControlKind] = {bool: "flag", int: "integer", float: "number", tuple: "list", dict: "mapping"}
    return kinds.get(get_origin(annotation) or annotation, "text"), ()


def _sentence(cls: type[Settings], error: ValidationError, where: str) -> Message:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "value"
    known = {control.name: control for control in cls.controls()}
    if first["type"] == "extra_forbidden":
        return Message("setting.unknown", where=where, name=name, names=list(known) or [Message("list.none")])
    control = known.get(name.split(".")[0])
    if control is None:
        return Message("setting.invalid", where=where, problem=plain(first["msg"]))
    return Message("setting.refused", where=where, name=name, given=first.get("input"), allowed=allowed(control))


def allowed(control: Control) -> Message:
    """The values a setting takes, in words."""
    if control.choices:
        return Message("setting.one_of", choices=[str(choice) for choice in control.choices])
    if control.kind == "flag":
        return Message("setting.flag")
    if control.kind in ("list", "mapping"):
        return Message("setting.list") if control.kind == "list" else Message("setting.mapping")
    numbers = {"integer": Message("setting.integer"), "number": Message("setting.number")}
    noun = numbers.get(control.kind, Message("setting.text"))
    low, high = control.minimum, control.maximum
    if low is not None and high is not None:
        return Message("setting.between", noun=noun, low=low, high=high)
    if low is not None:
        return Message("setting.at_least", noun=noun, low=low)
    return noun if high is None else Message("setting.at_most", noun=noun, high=high)

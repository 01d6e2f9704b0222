"""A recipe: one full experiment as plain data. YAML in and out, with a content hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, get_args

from compresslab.data.texts import Calibration, Evaluation
from compresslab.errors import BadInput
from compresslab.files import plain_yaml
from compresslab.files.plain_yaml import NotYaml
from compresslab.messages import Message
from compresslab.recipes.generation_request import RuntimeChoice
from compresslab.recipes.method import METHODS, Kind, Method
from compresslab.recipes.metric import METRICS, Metric
from compresslab.recipes.typed import list_of, structure_of, value_of
from compresslab.settings import MOST_SEED, Control, Settings
from pydantic import BaseModel, ConfigDict, Field

TEXTS: dict[str, type[Settings]] = {"calibration": Calibration, "evaluation": Evaluation}
DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")
RUNTIMES: tuple[str, ...] = get_args(RuntimeChoice)
NAMES = ("model", "device", "dtype", "runtime")  # fields that are read as they are typed
LONGEST_FILE = 4 * plain_yaml.LONGEST  # letters; one with an exception for every matrix of a large model has so many


class Recipe(BaseModel):
    """Model, ordered steps, texts, metrics and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: str = "storyteller"
    steps: tuple[Method, ...] = ()
    calibration: Calibration = Calibration()
    evaluation: Evaluation = Evaluation()
    metrics: tuple[Metric, ...] = Field(default_factory=lambda: tuple(metric() for metric in METRICS.values()))
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    runtime: RuntimeChoice = "auto"  # of speed and of generation; quality is always measured in torch

    # -- plain data -----------------------------------------------------------------

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises BadInput for anything that is not a recipe."""
        if not isinstance(data, dict):
            raise BadInput("recipe.not_mapping", kind=type(data).__name__)
        _check_depth(data)
        unknown = sorted(set(data) - set(cls.model_fields), key=str)
        if unknown:
            raise BadInput("recipe.unknown_key", key=unknown[0], keys=list(cls.model_fields))
        fields = dict(data)
        if "steps" in data:
            fields["steps"] = tuple(_named(entry, METHODS, "method") for entry in _listed(data, "steps"))
        if "metrics" in data:
            fields["metrics"] = tuple(_named(entry, METRICS, "metric") for entry in _listed(data, "metrics"))
        for name, kind in TEXTS.items():
            if name in data:
                fields[name] = kind.parse(_mapping(data[name], name), name)
        return cls._checked(fields)

    @classmethod
    def _checked(cls, fields: dict[str, Any]) -> Self:
        for name, choices in (("device", DEVICES), ("dtype", DTYPES), ("runtime", RUNTIMES)):
            if fields.get(name, "auto") not in choices:
                raise BadInput("recipe.bad_choice", name=name, given=fields[name], choices=list(choices))
        if not isinstance(fields.get("model", ""), str):
            raise BadInput("recipe.no_model")
        seed = fields.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MOST_SEED:
            raise BadInput("recipe.bad_seed", given=seed, most=MOST_SEED)
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Everything, defaults included: a recipe stays what it was when defaults change."""
        return {
            "model": self.model,
            "steps": [{step.name: step.model_dump(mode="json")} for step in self.steps],
            "calibration": self.calibration.model_dump(),
            "evaluation": self.evaluation.model_dump(),
            "metrics": [{metric.name: metric.model_dump()} for metric in self.metrics],
            "seed": self.seed,
            "device": self.device,
            "dtype": self.dtype,
            "runtime": self.runtime,
        }

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        try:
            return cls.from_dict(plain_yaml.load(text, LONGEST_FILE))
        except NotYaml as error:
            if error.line is None:
                raise BadInput("recipe.not_yaml", problem=error.reason) from None
            raise BadInput("recipe.not_yaml_at", line=error.line, problem=error.reason) from None

    def to_yaml(self) -> str:
        return plain_yaml.dump(self.to_dict())

    @property
    def content_hash(self) -> str:
        """Twelve hex digits over the plain data: equal recipes have equal hashes."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    # -- changes --------------------------------------------------------------------

    def replace(self, **fields: Any) -> Self:
        return self.model_copy(update=fields)

    def assign(self, assignment: str) -> Self:
        """A copy with one `name.setting=value` (or `seed=1`) changed; a method that is not there is added last."""
        target, equals, text = assignment.partition("=")
        if not equals:
            raise BadInput("recipe.not_assignment", given=assignment)
        return self.with_value(target.strip(), typed(target.strip(), text))

    def with_value(self, path: str, value: Any) -> Self:
        """As `assign`, for a value that is one already."""
        owner, dot, name = path.partition(".")
        data = self.to_dict()
        if not dot:
            return self.from_dict(data | {owner: value})
        if owner in TEXTS:
            data[owner][name] = value
            return self.from_dict(data)
        if owner not in METHODS and owner not in METRICS:
            known = [*METHODS, *METRICS, *TEXTS]
            raise BadInput("recipe.unknown_owner", name=owner, names=known)
        entries = data["steps"] if owner in METHODS else data["metrics"]
        mine = [entry for entry in entries if owner in entry]
        if len(mine) > 1:
            raise BadInput("recipe.ambiguous", name=owner, count=len(mine))
        if not mine:
            entries.append({owner: {}})
            mine = entries[-1:]
        mine[0][owner][name] = value
        return self.from_dict(data)


def typed(path: str, text: str) -> Any:
    """What a text stands for as the value of `name.setting`, of a field of the recipe, or of a kind of step."""
    if "." in path:
        return value_of(control_of(path), text)
    if path in (*NAMES, *get_args(Kind)):
        return text
    if path in ("steps", "metrics"):
        return list_of(text)
    return structure_of(text) if path in TEXTS else value_of(None, text)


def control_of(path: str) -> Control | None:
    """The setting that `name.setting` names; the kind of a step stands for its first method with such a setting."""
    owner, _, name = path.partition(".")
    kinds: list[Mapping[str, type[Settings]]] = [METHODS, METRICS, TEXTS]
    owners = [kind[owner] for kind in kinds if owner in kind]
    owners += [method for method in METHODS.values() if method.kind == owner]
    return next((control for kind in owners for control in kind.controls() if control.name == name), None)


def _check_depth(data: Any) -> None:
    """Raises BadInput for what is nested deeper than any recipe is, or within itself."""
    level = [data]
    for _ in range(plain_yaml.DEEPEST):
        inner = (entry for each in level for entry in _entries(each))
        level = list({id(entry): entry for entry in inner}.values())
        if not level:
            return
    raise BadInput("recipe.too_deep", most=plain_yaml.DEEPEST)


def _entries(data: Any) -> Iterable[Any]:
    if isinstance(data, dict):
        return data.values()
    return data if isinstance(data, list | tuple | set | frozenset) else ()


def _named(entry: Any, known: Mapping[str, type[Settings]], noun: str) -> Any:
    """`name`, or `{name: {setting: value}}`, as an object of the registry."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise BadInput("recipe.bad_entry", kind=Message(f"kind.{noun}"), given=entry)
    ((name, values),) = entry.items()
    if name not in known:
        raise BadInput("recipe.unknown", kind=Message(f"kind.{noun}"), name=name, names=list(known))
    return known[name].parse(_mapping(values, name), name)


def _listed(data: dict[str, Any], key: str) -> list[Any]:
    if not isinstance(data[key], list | tuple):
        raise BadInput("recipe.not_list", key=key)
    return list(data[key])


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadInput("recipe.bad_settings", where=where, given=values)
    return values

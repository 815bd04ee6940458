"""One YAML or TOML file, checked, into a Monitor; the environment may override addresses and counts."""

import difflib
import os
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import ConfigError
from schemas.monitor import Monitor

PREFIX = "BELLWETHER_"
SECTIONS = ("kafka", "database", "ray")
"""What the environment may override: ``BELLWETHER_KAFKA__BOOTSTRAP_SERVERS``. What is watched stays in the file."""
_WORDS = re.compile(r"^(?:(?P<where>[^:]+): )?expected (?P<expected>.+?)(?:, got (?P<seen>.+))?$", re.DOTALL)
"""How the checks in `schemas.monitor` speak: [where: ]expected ...[, got ...]."""


def load_monitor(name_or_path: str | Path, environment: Mapping[str, str] = os.environ) -> Monitor:
    """Read a shipped monitor by name, or a file by path.

    Args:
        name_or_path: ``health``, ``finance``, or a path that ends in .yaml, .yml or .toml.
        environment: BELLWETHER_<SECTION>__<KEY> and DATABASE_URL override the file.

    Raises:
        ConfigError: no such monitor, not readable as YAML or TOML, or a setting is wrong: the first one is named
            with its key, value and expectation, and every other one follows on a line of its own.
    """
    file = _find(str(name_or_path))
    settings = _parse(file)
    source = str(file) if isinstance(file, Path) else f"{name_or_path} (shipped)"
    overridden = _override(settings, environment, source)
    try:
        return Monitor.model_validate(settings)
    except ValidationError as error:
        raise _translate(error, source, overridden) from error


def shipped() -> list[str]:
    """Names of the monitors that come with bellwether."""
    return sorted(file.name.removesuffix(".yaml") for file in _shipped().iterdir() if file.name.endswith(".yaml"))


def _shipped() -> Traversable:
    return resources.files("infra") / "monitors"


def _find(name_or_path: str) -> Traversable:
    if name_or_path in shipped():
        return _shipped() / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml", ".toml"}:
        expected = f"a shipped monitor ({', '.join(shipped())}) or the path of a .yaml or .toml file"
        raise ConfigError("command line", "monitor", name_or_path, expected + _nearest(name_or_path, shipped()))
    if not path.is_file():
        raise ConfigError("command line", "monitor", name_or_path, "an existing file")
    return path


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} twice", node.end_mark)
        return super().construct_mapping(node, deep)


def _parse(file: Traversable) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        settings = tomllib.loads(text) if file.name.endswith(".toml") else yaml.load(text, _Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ConfigError(str(file), "(whole file)", _unreadable(error), "YAML or TOML, each key once") from error
    if not isinstance(settings, dict):
        raise ConfigError(str(file), "(whole file)", type(settings).__name__, "keys and values")
    kafka = settings.get("kafka")
    if isinstance(kafka, dict):
        settings["kafka"] = {str(key).replace(".", "_"): value for key, value in kafka.items()}
    return settings


def _unreadable(error: Exception) -> "_Literal":
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return _Literal(f"{error.problem} at line {error.problem_mark.line + 1}")
    return _Literal(error)


def _override(settings: dict[str, Any], environment: Mapping[str, str], source: str) -> dict[str, str]:
    """Merge the environment into the settings; return dotted key -> variable of what it set."""
    found = {}
    if environment.get("DATABASE_URL"):
        found["database.url"] = "DATABASE_URL"
    for variable in sorted(environment):
        section, separator, key = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and separator and section in SECTIONS:
            found[f"{section}.{key}"] = variable
    for dotted, variable in found.items():
        section, _, key = dotted.partition(".")
        table = settings.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(source, section, table, "keys and values")
        table[key] = _as_sqlalchemy(environment[variable]) if dotted == "database.url" else environment[variable]
    return found


def _as_sqlalchemy(url: str) -> str:
    """The ``postgres://`` that platforms hand out, as SQLAlchemy and psycopg 3 spell it."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in {"postgres", "postgresql"} else url


def _translate(error: ValidationError, source: str, overridden: Mapping[str, str]) -> ConfigError:
    """The first problem as the error; every other one on a line of its own below it."""
    first, *others = [_problem(details) for details in error.errors(include_url=False)]
    key, value, expected = first
    for other_key, other_value, other_expected in others:
        expected += f"\n  also: {ConfigError(source, other_key, other_value, other_expected)}"
    if key in overridden:
        return ConfigError("environment", overridden[key], value, expected)
    return ConfigError(source, key, value, expected)


def _problem(details: ErrorDetails) -> tuple[str, object, str]:
    location = details["loc"]
    key = ".".join(str(part) for part in location) or "(whole file)"
    value = details["input"]
    if details["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        return key, value, f"no such key{_nearest(str(location[-1]), known) or ': one of ' + ', '.join(known)}"
    if details["type"] == "missing":
        return key, None, "a value: the key is required"
    message = details["msg"].removeprefix("Value error, ")
    found = _WORDS.match(message)
    if found is not None:  # a check over several keys: pydantic hands over the whole table, the message the value
        where, expected, seen = found.groups()
        return f"{key} ({where})" if where else key, _Literal(seen or "this"), expected
    return key, value, message.removeprefix("Input should be ")


class _Literal(str):
    """Text that is shown as it stands."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Keys of the configuration model at a location."""
    model: type[BaseModel] | None = Monitor
    for part in location:
        if isinstance(part, str) and model is not None and part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), None)
    return sorted(model.model_fields) if model is not None else []


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Configuration models named in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {tuple, Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _models(argument)

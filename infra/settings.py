"""One YAML or TOML file, checked, into a Monitor; the environment may override addresses and counts."""

import os
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from infra.wording import WHOLE, Literal, nearest, problems
from schemas.errors import ConfigError
from schemas.monitor import Monitor

PREFIX = "BELLWETHER_"
SECTIONS = ("kafka", "database", "ray")
"""What the environment may override: ``BELLWETHER_KAFKA__BOOTSTRAP_SERVERS``. What is watched stays in the file."""

UNCHANGED: Mapping[str, object] = {}


def load_monitor(
    name_or_path: str | Path, environment: Mapping[str, str] = os.environ, over: Mapping[str, object] = UNCHANGED
) -> Monitor:
    """Read a shipped monitor by name, or a file by path.

    Args:
        name_or_path: ``health``, ``finance``, ``surveillance``, or a path that ends in .yaml, .yml or .toml.
        environment: BELLWETHER_<SECTION>__<KEY> and DATABASE_URL override the file.
        over: dotted key -> a value from the command line in place of the file's.

    Raises:
        ConfigError: no such monitor, not readable as YAML or TOML, or a setting is wrong: the first one is named
            with its key, value and expectation, and every other one follows on a line of its own.
    """
    file = _find(str(name_or_path))
    settings = _parse(file)
    source = str(file) if isinstance(file, Path) else f"{name_or_path} (shipped)"
    overridden = _override(settings, environment, source)
    for dotted, value in over.items():
        _set(settings, dotted, value, source)
        overridden[dotted] = ("command line", dotted)
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
        raise ConfigError("command line", "monitor", name_or_path, expected + nearest(name_or_path, shipped()))
    if not path.is_file():
        expected = "a file, not a folder" if path.is_dir() else "an existing file"
        raise ConfigError("command line", "monitor", name_or_path, expected)
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
    language = "TOML" if file.name.endswith(".toml") else "YAML"
    try:
        text = file.read_text(encoding="utf-8")
        settings = tomllib.loads(text) if language == "TOML" else yaml.load(text, _Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ConfigError(str(file), WHOLE, Literal(_unreadable(error)), f"{language}, each key once") from error
    if not isinstance(settings, dict):
        seen = "nothing" if settings is None else "a list" if isinstance(settings, list) else "a single value"
        raise ConfigError(str(file), WHOLE, Literal(seen), "keys and values")
    kafka = settings.get("kafka")
    if isinstance(kafka, dict):
        settings["kafka"] = {str(key).replace(".", "_"): value for key, value in kafka.items()}
    return settings


def _unreadable(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        problem = re.sub(r"^expected (.+), but (?:found|got) (.+)$", r"\2 instead of \1", str(error.problem))
        return f"{problem.removeprefix('found ')} at line {error.problem_mark.line + 1}"
    if isinstance(error, UnicodeDecodeError):
        return f"a byte that is not UTF-8 at position {error.start}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _override(settings: dict[str, Any], environment: Mapping[str, str], source: str) -> dict[str, tuple[str, str]]:
    """Merge the environment into the settings; return dotted key -> (source, variable) of what it set."""
    found = {}
    if environment.get("DATABASE_URL"):
        found["database.url"] = "DATABASE_URL"
    for variable in sorted(environment):
        section, separator, key = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and separator:
            if section not in SECTIONS:
                expected = f"a variable of one of the sections {', '.join(SECTIONS)}: what is watched stays in the file"
                raise ConfigError("environment", variable, environment[variable], expected)
            found[f"{section}.{key}"] = variable
    for dotted, variable in found.items():
        value = environment[variable]
        _set(settings, dotted, _as_sqlalchemy(value) if dotted == "database.url" else value, source)
    return {dotted: ("environment", variable) for dotted, variable in found.items()}


def _set(settings: dict[str, Any], dotted: str, value: object, source: str) -> None:
    section, _, key = dotted.partition(".")
    table = settings.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(source, section, table, "keys and values")
    table[key] = value


def _as_sqlalchemy(url: str) -> str:
    """The ``postgres://`` that platforms hand out, as SQLAlchemy and psycopg 3 spell it."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in {"postgres", "postgresql"} else url


def _translate(error: ValidationError, source: str, overridden: Mapping[str, tuple[str, str]]) -> ConfigError:
    """The first problem as the error; every other one on a line of its own below it."""
    first, *others = problems(error, Monitor)
    expected = first.expected
    for other in others:
        expected += f"\n  also: {ConfigError(source, other.key, other.value, other.expected)}"
    if first.key in overridden:
        return ConfigError(*overridden[first.key], first.value, expected)
    return ConfigError(source, first.key, first.value, expected)

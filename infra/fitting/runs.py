"""Where runs lie: each has a directory of its own, and none is written over."""

from itertools import count
from pathlib import Path

from schemas.errors import ConfigError, ModelError


def directory_of_run(asked: Path | None, home: Path, mark: str, *, resume: bool) -> Path:
    """The directory that was asked for; else a new one in `home`, numbered, or the newest there to go on with.

    Args:
        asked: `--directory`.
        home: of runs that nobody chose a directory for.
        mark: the file that every run's directory holds.
        resume: go on with a run.

    Raises:
        ConfigError: a run lies there already, and was not to go on.
        ModelError: there is none to go on with.
    """
    if asked is not None:
        if not resume and (asked / mark).exists():
            raise ConfigError(
                "command line", "--directory", str(asked), "one without a run, or --resume to go on with it"
            )
        return asked
    return _newest(home, mark) if resume else _fresh(home)


def _fresh(home: Path) -> Path:
    """Two that begin at once get one each."""
    for number in count(max(_numbers(home), default=0) + 1):
        try:
            (home / str(number)).mkdir(parents=True)
        except FileExistsError:
            continue
        return home / str(number)
    raise AssertionError("numbers do not end")


def _newest(home: Path, mark: str) -> Path:
    begun = [number for number in _numbers(home) if (home / str(number) / mark).exists()]
    if not begun:
        raise ModelError(f"{home}: got no run to resume; expected one, or --directory where it lies")
    return home / str(max(begun))


def _numbers(home: Path) -> list[int]:
    return [int(each.name) for each in home.glob("*") if each.name.isdecimal()]

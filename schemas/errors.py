"""The error tree. A bad record is data (see `DeadLetter`), never an exception.

BellwetherError
├── ConfigError        a setting: which file and key, the value seen, what was expected
├── InputError         a file or stream handed to a command cannot be read as what it claims to be
├── StackError         a service (broker, database, Ray) cannot be started or reached
├── LedgerError        the database refused or lost a transaction
│   └── FencedError    another owner has taken the partition: this one must stop writing
├── SnapshotError      a state snapshot is missing, torn or of another shape
└── ModelError         weights are unreadable, of another architecture, or not finite
"""


class BellwetherError(Exception):
    """Anything this project raises on purpose. `exit_code` is what the command returns for it."""

    exit_code = 1


class ConfigError(BellwetherError):
    """A setting is wrong.

    Args:
        source: file the setting came from, or "environment"/"command line".
        key: dotted path of the setting, e.g. ``modalities.0.signals.2.range``.
        value: what was seen (shortened).
        expected: what would have been right.
    """

    exit_code = 2

    def __init__(self, source: str, key: str, value: object, expected: str) -> None:
        self.source, self.key, self.value, self.expected = source, key, value, expected
        seen = repr(value)
        shown = seen if len(seen) <= 80 else seen[:77] + "..."
        super().__init__(f"{source}: {key}: got {shown}; expected {expected}")


class InputError(BellwetherError):
    """A file cannot be read as the contract says."""

    exit_code = 3


class StackError(BellwetherError):
    """A service cannot be started or reached."""

    exit_code = 4


class LedgerError(BellwetherError):
    """The ledger's transaction did not happen."""

    exit_code = 5


class FencedError(LedgerError):
    """The partition's epoch moved on: a newer owner holds the lease."""

    exit_code = 6


class SnapshotError(BellwetherError):
    """A state snapshot cannot be used."""

    exit_code = 7


class ModelError(BellwetherError):
    """Model weights cannot be used."""

    exit_code = 8

"""Files of weights: written whole, read only if they are what they were, deleted once no version needs them."""

import hashlib
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from infra.durable import write_whole
from schemas.errors import ModelError
from schemas.protocols import ModelRecord
from trainer.weights import architecture_in, first_difference

_FILE = re.compile(r"v(\d+)\.safetensors")


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """`<directory>/models/<monitor>/v<NNNNN>.safetensors`.

    Attributes:
        directory: of the monitor's files.
        monitor: whose versions.
    """

    directory: Path
    monitor: str

    def name(self, version: int) -> str:
        """Of a version's file, under the directory."""
        return f"models/{self.monitor}/v{version:05d}.safetensors"

    def write(self, version: int, weights: bytes) -> None:
        """Durably. Raises ModelError when it cannot be written."""
        write_whole(self.directory / self.name(version), weights)

    def numbers(self) -> list[int]:
        """Versions that have a file."""
        folder = self.directory / "models" / self.monitor
        names = (file.name for file in folder.iterdir()) if folder.is_dir() else ()
        return [int(found[1]) for name in names if (found := _FILE.fullmatch(name))]

    def prune(self, newest: int, kept: AbstractSet[int]) -> None:
        """Delete those up to `newest` that are not kept: one being written has a higher number."""
        for version in self.numbers():
            if version <= newest and version not in kept:
                (self.directory / self.name(version)).unlink(missing_ok=True)


def read_weights(record: ModelRecord) -> bytes:
    """A version's weights. Raises ModelError when the file is missing or does not match its digest."""
    try:
        weights = Path(record.path).read_bytes()
    except OSError as error:
        raise ModelError(f"model version {record.version}: {record.path} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(weights).hexdigest()
    if digest != record.digest:
        seen, expected = digest[:12], record.digest[:12]
        raise ModelError(f"model version {record.version}: {record.path} has SHA-256 {seen}; expected {expected}")
    return weights


def difference(record: ModelRecord, other: ModelRecord) -> str | None:
    """In which place a version was made for another network; None: in none, or a file does not say."""
    try:
        mine, others = (
            architecture_in(read_weights(each), f"model version {each.version}") for each in (record, other)
        )
    except ModelError:
        return None
    return first_difference(mine, others)

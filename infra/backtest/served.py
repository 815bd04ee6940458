"""Which way served each task: as the versions that answered have it, not the candidate that learns beside them."""

from collections.abc import Mapping
from typing import Any

from infra.memory import MemoryRegistry
from schemas.layout import Layout
from trainer.weights import load_weights


def ways_served(layout: Layout, registry: MemoryRegistry, rows_by_version: Mapping[int, int]) -> dict[str, Any]:
    """Task -> `path` of the last version that answered, and how many rows private paths did answer (`private_rows`).

    Args:
        layout: the tasks.
        registry: holds the versions.
        rows_by_version: how many rows each version answered; 0 is none.
    """
    if not layout.monitor.model.private or not any(rows_by_version):
        return {}
    versions = [version for version in rows_by_version if version]
    detached = {version: load_weights(layout, registry.load(registry.get(version))).detached for version in versions}
    return {
        task.name: {
            "path": "private" if detached[max(versions)][place] else "shared",
            "private_rows": sum(rows_by_version[version] for version in versions if detached[version][place]),
        }
        for place, task in enumerate(layout.tasks)
    }

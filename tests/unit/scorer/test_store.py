"""Dense state: slots, snapshots, growth."""

import numpy as np
import pytest

from schemas.errors import SnapshotError
from schemas.observation import Partition
from scorer.store import Store

HERE, THERE = Partition("t", 0), Partition("t", 1)


def a_store() -> Store:
    return Store({"level": np.full((1, 2), np.nan), "rows": np.zeros((1,), dtype=np.int64)})


def put(store: Store, partition: Partition, entities: list[str], level: float) -> np.ndarray:
    slots = np.array(store.slots(partition, entities))
    store.scatter(slots, {"level": np.full((len(slots), 2), level), "rows": np.arange(len(slots))})
    return slots


def test_an_entity_keeps_its_slot_and_another_partition_never_shares_it() -> None:
    store = a_store()
    first = store.slots(HERE, ["a", "b", "a"])
    assert (first[0] == first[2], len({*first, *store.slots(THERE, ["a", "b"])})) == (True, 4)


def test_state_survives_growth_beyond_the_first_capacity() -> None:
    store = a_store()
    slots = put(store, HERE, ["a", "b"], 3.0)
    store.slots(THERE, [str(n) for n in range(5000)])
    np.testing.assert_array_equal(store.gather(["level"], slots)["level"], np.full((2, 2), 3.0))


def test_a_dropped_partitions_slots_start_afresh() -> None:
    store = a_store()
    put(store, HERE, ["a", "b"], 3.0)
    store.drop(HERE)
    again = np.array(store.slots(THERE, ["x", "y"]))
    assert np.isnan(store.gather(["level"], again)["level"]).all()


def test_a_snapshot_restores_one_partition_exactly(tmp_path) -> None:
    store, other = a_store(), a_store()
    put(store, HERE, ["a", "b"], 3.0)
    put(store, THERE, ["c"], 9.0)
    other.restore(HERE, store.snapshot(HERE, tmp_path, 17, {}))
    state = other.gather(["level", "rows"], np.array(other.slots(HERE, ["a", "b"])))
    assert (other.entities, state["level"].tolist(), state["rows"].tolist()) == (2, [[3.0, 3.0], [3.0, 3.0]], [0, 1])


def test_an_empty_partition_has_a_snapshot_too(tmp_path) -> None:
    store = a_store()
    store.slots(HERE, [])
    store.restore(HERE, store.snapshot(HERE, tmp_path, 0, {}))
    assert store.entities == 0


@pytest.mark.parametrize("spoil", ["truncate", "flip", "remove"])
def test_a_spoilt_snapshot_is_refused_and_leaves_no_state(tmp_path, spoil: str) -> None:
    store = a_store()
    put(store, HERE, ["a"], 3.0)
    path = store.snapshot(HERE, tmp_path, 5, {})
    content = bytearray(path.read_bytes())
    if spoil == "remove":
        path.unlink()
    else:
        content = content[:-7] if spoil == "truncate" else content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes(content)
    with pytest.raises(SnapshotError):
        store.restore(HERE, path)
    assert store.entities == 0


def test_a_snapshot_of_another_configuration_is_refused(tmp_path) -> None:
    store = a_store()
    put(store, HERE, ["a"], 3.0)
    other = Store({"level": np.zeros((1, 3)), "rows": np.zeros((1,), dtype=np.int64)})
    with pytest.raises(SnapshotError, match="level"):
        other.restore(HERE, store.snapshot(HERE, tmp_path, 5, {}))

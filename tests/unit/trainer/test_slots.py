import numpy as np

from schemas.observation import Partition
from trainer.slots import Slots

HERE = Partition("topic", 0)


def keys(*names):
    return [(HERE, name) for name in names]


def filled():
    slots = Slots({"x": np.zeros((1, 2))}, limit=3)
    found, _ = slots.take(keys("a", "b", "c"))
    slots.scatter(np.array(found), {"x": np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])})
    return slots


def test_an_entity_keeps_its_slot():
    slots = filled()
    found, evicted = slots.take(keys("b", "a"))
    assert slots.gather(["x"], np.array(found))["x"].tolist() == [[2.0, 2.0], [1.0, 1.0]]
    assert evicted == []


def test_the_entity_not_heard_of_for_longest_makes_room_and_leaves_nothing_behind():
    slots = filled()
    slots.take(keys("a"))
    found, evicted = slots.take(keys("d"))
    assert evicted == found
    assert slots.gather(["x"], np.array(found))["x"].tolist() == [[0.0, 0.0]]
    assert slots.gather(["x"], np.array(slots.take(keys("a"))[0]))["x"].tolist() == [[1.0, 1.0]]
    assert len(slots) == 3


def test_the_same_name_in_another_partition_is_another_entity():
    slots = filled()
    found, _ = slots.take([(Partition("topic", 1), "c")])
    assert slots.gather(["x"], np.array(found))["x"].tolist() == [[0.0, 0.0]]


def test_arrays_grow_and_keep_what_they_hold():
    slots = Slots({"x": np.full((1, 1), -1.0)}, limit=10_000)
    first, _ = slots.take(keys("a"))
    slots.scatter(np.array(first), {"x": np.array([[5.0]])})
    found, _ = slots.take(keys(*(str(n) for n in range(3000))))
    assert slots.gather(["x"], np.array([*first, found[-1]]))["x"].tolist() == [[5.0], [-1.0]]

import numpy as np
import torch

from tests.laws.ward import layout
from trainer.rows import MULTIPLE, pack, to_model, to_raw, windows


def packed(entity):
    n = len(entity)
    values = np.arange(n * 7, dtype=np.float64).reshape(n, 7) + 1.0
    return values, *pack(np.array(entity), values, np.arange(n) * 1000, layout())


def test_entities_stand_in_descending_order_of_their_rows():
    _, rows, _, entity_order = packed([0, 1, 1, 2, 1, 2])
    assert entity_order[:3].tolist() == [1, 2, 0]
    assert len(entity_order) == rows.waves[0]


def test_every_wave_is_padded_and_none_is_longer_than_the_one_before():
    _, rows, _, _ = packed([0] * 3 + list(range(1, 50)))
    assert rows.waves == (2 * MULTIPLE, MULTIPLE, MULTIPLE)
    assert int(rows.real_N.sum()) == 52


def test_order_finds_each_input_row():
    values, rows, order, _ = packed([0, 1, 1, 2, 1, 2])
    assert np.array_equal(rows.value_NS.numpy()[order], to_model(values, layout()))
    assert np.array_equal(rows.time_N.numpy()[order], np.arange(6.0))


def test_padding_is_absent_and_of_time_zero():
    _, rows, _, _ = packed([0, 1, 1])
    padding = ~rows.real_N
    assert bool(rows.value_NS[padding].isnan().all())
    assert rows.time_N[padding].unique().tolist() == [0.0]


def test_before_is_the_entitys_previous_row_or_its_state():
    _, rows, order, entity_order = packed([0, 1, 1, 2, 1, 2])
    number = torch.full((len(rows.time_N),), -1)
    number[torch.from_numpy(order)] = torch.arange(6)
    state = torch.from_numpy(-100 - entity_order)
    assert rows.before(number, state)[torch.from_numpy(order)].tolist() == [-100, -101, 1, -102, 2, 3]


def test_final_is_the_last_real_row_and_padding_entities_keep_their_state():
    _, rows, order, entity_order = packed([0, 1, 1, 2, 1, 2])
    number = torch.full((len(rows.time_N),), -1)
    number[torch.from_numpy(order)] = torch.arange(6)
    final = rows.final(number, torch.full((rows.waves[0],), -7)).tolist()
    assert final == [4, 5, 0] + [-7] * (rows.waves[0] - 3)
    assert entity_order[:3].tolist() == [1, 2, 0]


def test_latest_is_the_last_row_of_each_entity_padding_included():
    _, rows, _, _ = packed([0] * 3 + list(range(1, 50)))
    latest = rows.latest(torch.arange(len(rows.time_N)))
    assert latest.tolist() == [*range(3 * MULTIPLE, 4 * MULTIPLE), *range(MULTIPLE, 2 * MULTIPLE)]


def test_windows_stand_in_waves_of_equal_size():
    rows = windows(np.zeros((3, 5, 7)), np.arange(15.0).reshape(3, 5))
    assert rows.waves == (MULTIPLE,) * 5
    assert rows.time_N[: 3 * MULTIPLE : MULTIPLE].tolist() == [0.0, 1.0, 2.0]


def test_what_has_no_logarithm_is_missing_on_the_models_scale():
    values = np.full((1, 7), -1.0)
    assert np.isnan(to_model(values, layout())).tolist() == [[False] * 5 + [True] + [False]]


def test_raw_units_come_back():
    values = np.random.default_rng(0).uniform(1.0, 100.0, (5, 7))
    np.testing.assert_allclose(to_raw(to_model(values, layout()), layout()), values, rtol=1e-14)

"""What holds for the network whatever its weights."""

import numpy as np
import pytest
import torch

from tests.laws.ward import MIXES, awake, different, layout, run, stream
from trainer.cells import CELLS
from trainer.network import Network, state_bytes
from trainer.pruning import cut
from trainer.rows import pack, windows
from trainer.units import axes_of, spaces_of

ROWS, ENTITIES = 200, 23
EVERY = (*CELLS, *MIXES)


SCOPES = [(cell, "static") for cell in EVERY] + [("gru", "global")]
"""Cells, and what the last modality says: of an entity once and for all, or of all entities now."""


@pytest.fixture(params=[(*each, half) for each in SCOPES for half in (False, True)], ids=str)
def network(request) -> Network:
    cell, context, half = request.param
    return awake(Network(layout(cell=cell, context=context, half_state=half)))


@pytest.fixture(params=SCOPES, ids=str)
def exact(request) -> Network:
    """A network whose state is not rounded."""
    cell, context = request.param
    return awake(Network(layout(cell=cell, context=context, half_state=False)))


@pytest.fixture
def default() -> Network:
    """The default cell, for laws that no cell can break."""
    return awake(Network(layout()))


@pytest.mark.parametrize("seed", range(2))
def test_outputs_and_state_are_bit_identical_however_the_stream_is_grouped(network, seed):
    entity, values, time_ms = stream(ROWS, ENTITIES, seed)
    cuts = np.sort(np.random.default_rng(seed).integers(0, ROWS, 3 + 20 * seed))
    whole, parts = (run(network, entity, values, time_ms, each) for each in ([], cuts))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


@pytest.mark.parametrize("cell", EVERY)
@pytest.mark.parametrize(("width", "heads"), [(8, 1), (24, 2), (64, 4)])
def test_grouping_does_not_matter_at_other_widths(width, heads, cell):
    network = awake(Network(layout(width=width, heads=heads, cell=cell)))
    entity, values, time_ms = stream(ROWS, ENTITIES, 9)
    whole, parts = (run(network, entity, values, time_ms, each) for each in ([], [17, 50, 51, 150]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []


def test_the_parallel_form_agrees_with_event_by_event_streaming(exact):
    entity, values, time_ms = stream(60, 5, 1)
    parallel, _ = run(exact, entity, values, time_ms)
    streaming, _ = run(exact, entity, values, time_ms, range(1, 60))
    for name in parallel:
        np.testing.assert_allclose(parallel[name], streaming[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_training_windows_agree_with_the_stream_they_were_cut_from(exact):
    entity, values, time_ms = np.zeros(24, dtype=np.int64), *stream(24, 1, 2)[1:]
    values[:, 5] = np.log(values[:, 5])
    rows = windows(values[None], time_ms[None] / 1000.0)
    values[:, 5] = np.exp(values[:, 5])
    with torch.inference_mode():
        window, _ = exact(rows, exact.initial(rows.waves[0]))
    streaming, _ = run(exact, entity, values, time_ms, range(1, 24))
    first_of_each_wave = window.forecast_NSHQ[:: rows.waves[0]].numpy()
    np.testing.assert_allclose(first_of_each_wave, streaming["forecast_NSHQ"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cut_network_keeps_the_laws_in_the_state_of_the_wider_one(cell):
    wide = awake(Network(layout(width=32, cell=cell, half_state=False)))
    kept = {name: torch.arange(space.units) for name, space in spaces_of(layout(width=24), axes_of(wide)).items()}
    small = cut(wide, kept, 24)
    small.initial = wide.initial
    entity, values, time_ms = stream(ROWS, ENTITIES, 9)
    whole, parts = (run(small, entity, values, time_ms, each) for each in ([], [17, 50, 51, 150]))
    assert different(whole[0], parts[0]) + different(whole[1], parts[1]) == []
    streaming, _ = run(small, entity[:60], values[:60], time_ms[:60], range(1, 60))
    for name in whole[0]:
        np.testing.assert_allclose(whole[0][name][:60], streaming[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_replacing_the_future_changes_nothing_before_it(network):
    entity, values, time_ms = stream(ROWS, ENTITIES, 3)
    other = values.copy()
    other[100:] = np.random.default_rng(0).uniform(1.0, 90.0, other[100:].shape)
    (as_it_was, _), (as_replaced, _) = (run(network, entity, each, time_ms) for each in (values, other))
    assert different({n: v[:100] for n, v in as_it_was.items()}, {n: v[:100] for n, v in as_replaced.items()}) == []


def test_an_entity_is_judged_by_its_own_rows_alone(network):
    entity, values, time_ms = stream(ROWS, ENTITIES, 4)
    mine = entity == 7
    together, _ = run(network, entity, values, time_ms)
    alone, _ = run(network, entity[mine], values[mine], time_ms[mine])
    assert different({name: value[mine] for name, value in together.items()}, alone) == []


def test_a_row_without_any_signal_leaves_encoders_and_statistics_as_they_were(network):
    entity, values, time_ms = stream(60, 3, 5)
    _, before = run(network, entity, values, time_ms)
    extra = np.append(entity, 1), np.vstack([values, np.full((1, 7), np.nan)]), np.append(time_ms, time_ms[-1] + 9)
    _, after = run(network, *extra)
    assert different({n: before[n] for n in ("hidden", "statistics")}, after) == []


def test_a_modality_that_is_absent_keeps_its_state_whatever_the_others_say(network):
    entity, values, time_ms = stream(60, 3, 5)
    _, before = run(network, entity[:30], values[:30], time_ms[:30])
    values[30:, 2:5] = np.nan
    _, after = run(network, entity, values, time_ms)
    kept = [np.array_equal(before["hidden"][:, m], after["hidden"][:, m]) for m in range(4)]
    assert kept == [False, True, False, False]


def test_a_signal_that_is_missing_keeps_its_statistics_and_grows_older(default):
    entity, values, time_ms = stream(60, 1, 5, missing=0.0)
    values[40:, 0] = np.nan
    seen, state = run(default, entity, values, time_ms)
    _, earlier = run(default, entity[:40], values[:40], time_ms[:40])
    assert np.array_equal(state["statistics"][0, :, 0], earlier["statistics"][0, :, 0])
    np.testing.assert_allclose(seen["age_NS"][40:, 0], (time_ms[40:] - time_ms[39]) / 1000.0, atol=1e-6)


def test_the_state_of_an_entity_does_not_grow(network):
    entity, values, time_ms = stream(60, 1, 6)
    sizes = [run(network, entity[:n], values[:n], time_ms[:n])[1] for n in (1, 60)]
    assert {n: v.nbytes for n, v in sizes[0].items()} == {n: v.nbytes for n, v in sizes[1].items()}


def test_an_entity_costs_less_than_a_kibibyte_of_network_state():
    assert state_bytes(layout(half_state=True))["hidden"] <= 1024


@pytest.mark.parametrize("size", [1e-300, 1e-6, 1.0, 1e9, 1e15])
def test_everything_stays_finite_for_any_finite_input(network, size):
    entity, _, time_ms = stream(120, 4, 8)
    values = np.random.default_rng(1).choice([-size, 0.0, size, size / 3], size=(120, 7))
    values[:, 5] = np.abs(values[:, 5]) + 1e-6
    outputs, _ = run(network, entity, values, time_ms)
    first = np.zeros(120, dtype=np.bool_)
    first[np.unique(entity, return_index=True)[1]] = True
    finite = {name: np.isfinite(value[~first]).all() for name, value in outputs.items()}
    assert finite == dict.fromkeys(finite, True)


def test_the_untrained_median_is_the_last_value_exactly():
    network = Network(layout()).eval()
    seen, _ = run(network, *stream(ROWS, ENTITIES, 10))
    median = seen["forecast_NSHQ"][..., 2]
    assert np.array_equal(median, np.broadcast_to(seen["last_NS"][:, :6, None], median.shape), equal_nan=True)


def test_a_signal_never_seen_has_no_forecast(default):
    entity, values, time_ms = stream(100, 5, 11)
    values[:, 3] = np.nan
    seen, _ = run(default, entity, values, time_ms)
    assert np.isnan(seen["forecast_NSHQ"][:, 3]).all()


def test_quantiles_never_cross(network):
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(5.0)
    forecast = run(network, *stream(ROWS, ENTITIES, 12))[0]["forecast_NSHQ"]
    assert (np.diff(forecast[~np.isnan(forecast).any(axis=(-1, -2))], axis=-1) >= 0).all()


@pytest.mark.parametrize("size", [1.0, 1e15])
def test_gradients_are_finite_even_where_most_is_missing(exact, size):
    entity, values, time_ms = stream(200, 9, 13, missing=0.9)
    rows, _, _ = pack(entity, values * size, time_ms, exact.layout)
    exact.train()
    outputs, _ = exact(rows, exact.initial(rows.waves[0]), both_ways=True)
    last_NS11, scale_NS11 = outputs.observed.last_NS[:, :6, None, None], outputs.scale_NS[..., None, None]
    for said in outputs.ways:
        delta = ((said.forecast_NSHQ - last_NS11) / scale_NS11)[~said.forecast_NSHQ.isnan()]
        loss = delta.square().mean() + said.anomaly_N.mean() + said.states[0].logsumexp(-1).mean()
        loss.backward(retain_graph=True)
    assert [name for name, weight in exact.named_parameters() if not weight.grad.isfinite().all()] == []

import json

import pytest
import torch
from safetensors.torch import save

from schemas.errors import ModelError
from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.task import Share
from tests.laws.ward import GATE, awake, different, layout, run, stream
from trainer.architecture import architecture
from trainer.network import Network
from trainer.transfer import transfer
from trainer.weights import differences, load_weights, read_weights, save_weights

CAMERA = {"name": "camera", "kind": "image"}


def frames_of(height: int) -> Layout:
    return Layout(Monitor.model_validate(GATE | {"modalities": [CAMERA | {"frame": {"height": height}}]}))


def test_weights_come_back_bit_for_bit():
    network = awake(Network(layout()))
    loaded = load_weights(layout(), save_weights(network))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), loaded.parameters(), strict=True))


def stacked(weights):
    """Private paths as they stood before each was a module of its own."""
    old = {"first_PI": "first_KPI", "first_P": "first_KP", "second_PD": "second_KPD", "second_1D": "second_K1D"}
    tasks = range(len(layout().tasks))
    found = {name: weight for name, weight in weights.items() if not name.startswith("private.paths.")}
    own = {name: torch.stack([weights[f"private.paths.{task}.{name}"] for task in tasks]) for name in old}
    return found | {f"private.{old[name]}": weight for name, weight in own.items()}


def test_weights_from_before_each_private_path_was_a_module_come_back_bit_for_bit():
    network = awake(Network(layout()))
    seen, weights = read_weights(save_weights(network))
    content = save(stacked(weights), metadata={"architecture": json.dumps(seen | {"format": "6"})})
    loaded = load_weights(layout(), content).state_dict()
    assert {name: torch.equal(weight, loaded[name]) for name, weight in network.state_dict().items()} == dict.fromkeys(
        loaded, True
    )


def test_weights_from_before_forecasts_had_a_regression_answer_as_they_did():
    network = awake(Network(layout()))
    network.regression.weight_SIH.zero_()
    seen, weights = read_weights(save_weights(network))
    before = {name: weight for name, weight in weights.items() if not name.startswith("regression.")}
    content = save(before, metadata={"architecture": json.dumps(seen | {"format": "7"})})
    now, then = (run(each.eval(), *stream(60, 5, 2))[0] for each in (load_weights(layout(), content), network))
    assert different(now, then) == []


def test_the_same_weights_are_the_same_bytes():
    assert save_weights(Network(layout())) == save_weights(Network(layout()))


def test_another_seed_gives_other_weights():
    assert save_weights(Network(layout(seed=1))) != save_weights(Network(layout()))


@pytest.mark.parametrize("content", [b"", b"hello", save_weights(Network(layout()))[:-5]], ids=["none", "text", "torn"])
def test_what_is_no_whole_file_is_refused(content):
    with pytest.raises(ModelError, match="no whole safetensors file"):
        load_weights(layout(), content)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"sharing": "mmoe"}, "model.sharing is 'hard' in the file, 'mmoe' in the monitor"),
        ({"cell": "mingru"}, "model.cell is 'gru' in the file, 'mingru' in the monitor"),
        ({"width": 64, "heads": 4}, "model.width is 32 in the file, 64 in the monitor"),
        ({"residuals": False}, "model.residuals is True in the file, False in the monitor"),
    ],
    ids=["sharing", "cell", "width", "residuals"],
)
def test_weights_of_another_architecture_are_refused_by_the_first_field_that_differs(model, words):
    with pytest.raises(ModelError) as refused:
        load_weights(layout(**model), save_weights(Network(layout())))
    assert str(refused.value) == f"weights: {words}"


def of_signals(*signals) -> Layout:
    modalities = [{"name": "vitals", "signals": [{"name": name, **more} for name, more in signals]}]
    return Layout(Monitor.model_validate(GATE | {"modalities": modalities}))


HR, SPO2 = ("HR", {"unit": "/min", "range": [0, 300]}), ("SpO2", {})


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (
            [("HR", {"unit": "Hz", "range": [0, 300]}), SPO2],
            "HR (in modality vitals): unit is '/min' in the file, 'Hz'",
        ),
        ([("HR", {"unit": "/min", "range": [0, 250]}), SPO2], "HR (in modality vitals): range[1] is 300.0 in the file"),
        ([HR], "SpO2 (in modality vitals) is in the file alone"),
        ([HR, SPO2, ("Temp", {})], "Temp (in modality vitals) is in the monitor alone"),
        ([SPO2, HR], "HR (in modality vitals) stands in the file where signal SpO2 (in modality vitals) does"),
    ],
    ids=["unit", "range", "gone", "added", "order"],
)
def test_of_many_signals_the_one_that_differs_is_named_and_so_is_the_file(here, words):
    with pytest.raises(ModelError) as refused:
        load_weights(of_signals(*here), save_weights(Network(of_signals(HR, SPO2))), "ward.safetensors")
    assert str(refused.value).startswith(f"ward.safetensors: signal {words}")


def test_weights_of_a_format_that_is_not_read_any_more_are_refused():
    seen, weights = read_weights(save_weights(Network(layout())))
    content = save(weights, metadata={"architecture": json.dumps(seen | {"format": "5"})})
    with pytest.raises(ModelError, match=r"old\.safetensors: got format 5; expected 8"):
        load_weights(layout(), content, "old.safetensors")


def test_a_field_that_one_of_them_lacks_is_a_difference():
    assert list(differences({"old": 1}, {"new": [1, 2]})) == ["new is None; expected [1, 2]", "old is 1; expected None"]


def test_weights_that_do_not_say_what_they_are_for_are_refused():
    with pytest.raises(ModelError, match="does not say what it is for"):
        load_weights(layout(), save({"some": torch.ones(2)}, metadata={"architecture": "0f3a"}))


def test_weights_that_are_not_finite_are_neither_written_nor_read():
    network = Network(layout())
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        save_weights(network)


def test_what_does_not_change_the_meaning_of_weights_does_not_change_the_architecture():
    assert architecture(layout(half_state=False, seed=3)) == architecture(layout())


def test_weights_for_frames_of_another_size_are_refused_by_the_field():
    with pytest.raises(ModelError, match=r"weights: modality camera: shape\[1\] is 8 in the file, 12 in the monitor"):
        load_weights(frames_of(12), save_weights(Network(frames_of(8))))


def test_frames_of_another_size_start_afresh_where_weights_are_taken_over():
    moved = transfer(frames_of(12), save_weights(Network(frames_of(8))))
    assert "trunk.encoder.vectors.camera.frames.first.weight" in moved.taken
    assert [name for name in moved.fresh if ".vectors." in name] == ["trunk.encoder.vectors.camera.frames.out.weight"]


def test_lists_of_other_lengths_are_told_apart_by_what_one_has_and_the_other_lacks():
    files = [f"ward-{number}.parquet" for number in range(9)]
    assert list(differences({"files": files}, {"files": files[:8]})) == ["files: it has 'ward-8.parquet' too"]


def test_short_lists_of_other_lengths_are_told_whole():
    assert list(differences({"cuts": [1, 2]}, {"cuts": [2]}, "task")) == ["task.cuts is [1, 2]; expected [2]"]


def without_private_paths() -> Network:
    network = Network(layout())
    network.private = None
    return network


def test_weights_without_private_paths_say_so_and_make_a_network_without_them():
    content = save_weights(without_private_paths())
    assert (read_weights(content)[0]["private"], load_weights(layout(), content).private) == (0, None)


def test_private_paths_that_are_lost_are_missed():
    content = save(without_private_paths().state_dict(), metadata={"architecture": json.dumps(architecture(layout()))})
    with pytest.raises(ModelError, match="got no private paths; expected them, as private is 8"):
        load_weights(layout(), content)


def test_a_task_that_never_shares_needs_its_private_path():
    monitor = layout().monitor
    last = monitor.tasks[2].model_copy(update={"share": Share.NEVER})
    alone = Layout(monitor.model_copy(update={"tasks": (*monitor.tasks[:2], last)}))
    with pytest.raises(ModelError, match="private is 0 in the file, 8 in the monitor"):
        load_weights(alone, save_weights(without_private_paths()))


def test_a_network_that_starts_from_weights_without_private_paths_has_fresh_ones():
    moved = transfer(layout(), save_weights(without_private_paths()))
    assert [name for name in moved.fresh if not name.startswith("private.")] == []
    assert moved.network.private is not None

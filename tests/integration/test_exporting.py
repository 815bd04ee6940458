"""`bellwether models export`: a version in, a program out that says what the network says, without this package."""

import io
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from infra.commands.models import models
from infra.settings import load_monitor
from infra.weights import write
from schemas.errors import BellwetherError, ModelError
from schemas.layout import Layout, no_vectors
from schemas.monitor import Monitor
from tests.laws.ward import GATE, MIXES, REMEMBERING, WARD, awake, layout
from trainer.cells import CELLS
from trainer.export import MANIFEST, exported, inputs_of, manifest
from trainer.network import Network
from trainer.rows import pack
from trainer.weights import save_weights

STEPS = 3
LAYOUTS = {cell: layout(cell=cell, private=8) for cell in (*CELLS, *MIXES)} | {"twins": layout(sharing="twins")}
LAYOUTS["rules"] = Layout(
    Monitor.model_validate(WARD | {"rules": WARD["rules"] + REMEMBERING, "knowledge": {"features": True}})
)
LAYOUTS |= {name: Layout(load_monitor(name, {})) for name in ("health", "finance")}
FRAMED = Layout(Monitor.model_validate(GATE))


def values_of(layout, n, seed):
    """Model scale, some missing."""
    values = np.random.default_rng(seed).normal(size=(n, len(layout.signals)))
    values[np.random.default_rng(seed).random(values.shape) < 0.4] = np.nan
    return values


def vectors_of(layout, n, seed):
    """Frames and embeddings; where a row carries none, which its derived signals say, they count for nothing."""
    chance = np.random.default_rng(seed)
    return {
        name: chance.integers(0, 255, none.shape, dtype=np.uint8)
        if none.dtype == np.uint8
        else chance.normal(size=none.shape).astype(np.float32)
        for name, none in no_vectors(layout, n).items()
    }


@torch.inference_mode()
def same(network, program, n, near=0.0) -> list[str]:
    """Names of what differs between a network's own steps and a program's, each carrying its own state."""
    layout = network.layout
    tasks = [task.name for task in layout.tasks]
    own = theirs = inputs_of(network, n)["state"]
    wrong = []
    for step in range(STEPS):
        time_ms = np.full(n, 1_700_000_000_000 + 60_000 * step)
        raw = np.where(np.array(layout.logarithmic), np.exp(values_of(layout, n, step)), values_of(layout, n, step))
        rows, *_ = pack(np.arange(n), raw, time_ms, layout, vectors_of(layout, n, step))
        given = {"state": theirs, "value_NS": rows.value_NS, "time_N": rows.time_N}
        given |= {"vectors": rows.vectors} if layout.vectors else {}
        observed = network.statistics.observe(own["statistics"], rows)
        if (score_NR := network.standing.scores(rows, observed)) is not None:
            given["score_NR"] = score_NR
        outputs, own = network(rows, own)
        answers, theirs = program(**given)
        expected = dict(zip(tasks, (outputs.forecast_NSHQ, outputs.anomaly_N, *outputs.states), strict=True))
        expected |= {"expected": outputs.expected_NS, "residual": outputs.residual_NS, **own}
        found = answers | theirs
        assert set(found) == set(expected)
        wrong += [name for name in found if not np.allclose(found[name], expected[name], near, near, equal_nan=True)]
    return wrong


@cache
def made(name):
    """A network, some of whose tasks are served by their private paths where it has any, and its program."""
    network = awake(Network(LAYOUTS[name]))
    if network.private is not None:
        network.private.detach_tasks([task % 2 == 0 for task in range(len(network.layout.tasks))])
    return network, torch.export.load(io.BytesIO(exported(network))).module()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_program_says_bit_for_bit_what_the_network_says_for_any_number_of_rows_and_over_several_steps(name):
    network, program = made(name)
    assert {n: same(network, program, n) for n in (32, 96)} == {32: [], 96: []}


def test_a_program_takes_a_single_row_too():
    network, program = made("gru")
    given = inputs_of(network, 32) | {"value_NS": torch.from_numpy(values_of(network.layout, 32, 1))}
    alone = {name: part[:1] for name, part in given.items() if name != "state"}
    alone["state"] = {name: part[:1] for name, part in given["state"].items()}
    together, one = program(**given)[0], program(**alone)[0]
    for name, answer in one.items():
        torch.testing.assert_close(answer, together[name][:1], rtol=1e-5, atol=1e-6, equal_nan=True)


def test_a_program_of_frames_and_embeddings_is_near_the_network_for_any_number_of_rows_and_names_what_it_takes():
    network = awake(Network(FRAMED))
    program = torch.export.load(io.BytesIO(exported(network))).module()
    assert {n: same(network, program, n, near=1e-4) for n in (32, 96)} == {32: [], 96: []}
    taken = {name: (each["shape"], each["dtype"]) for name, each in manifest(network)["inputs"]["vectors"].items()}
    assert taken == {"camera": (["rows", 3, 8, 12], "uint8"), "sound": (["rows", 5], "float32")}
    given = inputs_of(network, 32) | {"value_NS": torch.ones(32, len(FRAMED.signals), dtype=torch.float64)}
    told = [program(**given | {"vectors": vectors})[0]["anomaly"] for vectors in (given["vectors"], shown(FRAMED))]
    assert not torch.equal(*told)


def shown(layout):
    return {name: torch.from_numpy(each) for name, each in vectors_of(layout, 32, 0).items()}


def test_the_manifest_names_what_goes_in_and_comes_out():
    network = Network(layout())
    found = json.loads(json.dumps(manifest(network)))
    assert found["inputs"]["value_NS"]["shape"] == ["rows", 7]
    assert {name: [part["shape"], part["dtype"]] for name, part in found["inputs"]["state"].items()} == {
        name: [["rows", *part.shape[1:]], str(part.dtype)[6:]] for name, part in network.initial(1).items()
    }
    fresh = np.array(found["inputs"]["state"]["statistics"]["fresh"], dtype=np.float64)
    assert np.array_equal(fresh, network.initial(1)["statistics"][0], equal_nan=True)
    assert [signal["name"] for signal in found["signals"]] == ["hr", "sbp", "spo2", "rr", "flow", "close", "age"]
    assert [signal["logarithm"] for signal in found["signals"]].index(True) == 5
    assert list(found["outputs"]["answers"]) == ["forecast", "anomaly", "soon", "expected", "residual"]
    assert (found["horizons"], found["quantiles"]) == (["h1", "h4"], [0.05, 0.25, 0.5, 0.9])


ALONE = f"""
import json, sys, torch
extra = {{"{MANIFEST}": ""}}
program = torch.export.load(sys.argv[1], extra_files=extra).module()
manifest = json.loads(extra["{MANIFEST}"])
inputs = manifest["inputs"]
def fresh(part):
    numbers = lambda each: [numbers(one) for one in each] if isinstance(each, list) else float(each)
    one = torch.tensor(numbers(part["fresh"]), dtype=getattr(torch, part["dtype"]))
    return one.expand(32, *one.shape).clone()
state = {{name: fresh(part) for name, part in inputs["state"].items()}}
answers, state = program(
    state=state,
    value_NS=torch.ones(32, len(manifest["signals"]), dtype=torch.float64),
    time_N=torch.zeros(32, dtype=torch.float64),
)
print(json.dumps([sorted(answers), [name for name in ("trainer", "schemas") if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("fresh", "^fresh: No such file or directory; expected a version number or a file$"),
        ("3", "^no database at .*; expected .* or the URL of another in the monitor's database.url or DATABASE_URL$"),
    ],
)
def test_what_is_not_there_is_answered_with_what_can_be_exported(model, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(BellwetherError, match=words):
        CliRunner().invoke(models, ["export", "health", model, "--output", "step.pt2"], catch_exceptions=False)


def test_a_program_that_cannot_be_written_is_an_error_of_the_file(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ModelError, match=r"taken/step\.pt2: File exists; expected a file that can be written"):
        write(tmp_path / "taken" / "step.pt2", b"")


def test_the_command_writes_a_program_that_runs_where_torch_alone_is(tmp_path):
    described = {
        "monitor": "pumps",
        "topics": {"observations": "pumps"},
        "modalities": [{"name": "motor", "signals": [{"name": "load"}, {"name": "temp"}]}],
        "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        "database": {"url": f"sqlite:///{tmp_path / 'bellwether.db'}", "directory": str(tmp_path)},
    }
    (tmp_path / "pumps.yaml").write_text(json.dumps(described))
    weights = save_weights(Network(Layout(load_monitor(str(tmp_path / "pumps.yaml")))))
    (tmp_path / "pumps.safetensors").write_bytes(weights)
    arguments = [str(tmp_path / "pumps.yaml"), str(tmp_path / "pumps.safetensors"), "--output", str(tmp_path / "p.pt2")]
    done = CliRunner().invoke(models, ["export", *arguments], catch_exceptions=False)
    assert (done.exit_code, done.stdout.startswith("written to")) == (0, True)
    alone = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "p.pt2")], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    assert json.loads(alone.stdout.splitlines()[-1]) == [["anomaly", "expected", "forecast", "residual"], []]

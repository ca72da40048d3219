"""Training runs of ScoreMD: Orbax checkpoints with a Hydra configuration, made of a reference case."""

import json
from pathlib import Path

import numpy as np
import pytest
from openmmscore import convert
from openmmscore.convert import ConversionError, Options, checkpoints
from safetensors.numpy import load_file

DATA = Path(__file__).parents[1] / "data" / "scoremd"

CONFIG = """
dataset: {_target_: scoremd.data.dataset.aldp.ALDPDataset, name: aldp, coarse_graining_level: full}
model:
  score: {_target_: scoremd.models.GraphTransformerModelInfo, dropout: 0.0, potential: false}
  potential: {_target_: scoremd.models.GraphTransformerModelInfo, dropout: 0.0}
ranged_models:
- {_target_: scoremd.models.RangedModel, model: '${model.potential}', range: [0.1, 0.0]}
- {_target_: scoremd.models.RangedModel, model: '${model.score}', range: [1.0, 0.6]}
- {_target_: scoremd.models.RangedModel, model: '${model.score}', range: [0.6, 0.1]}
evaluation: {eval_t: 1.0e-05}
"""


def nested(tensors):
    """Turn names with / into a tree."""
    tree = {}
    for name, array in tensors.items():
        node = tree
        *path, last = name.split("/")
        for key in path:
            node = node.setdefault(key, {})
        node[last] = array
    return tree


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Write a run with two checkpoints, as ScoreMD writes them."""
    ocp = pytest.importorskip("orbax.checkpoint", reason="needs the optional package orbax-checkpoint")
    import jax.numpy as jnp

    folder = tmp_path_factory.mktemp("run")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "config.yaml").write_text(CONFIG)
    case = load_file(DATA / "mixture_aldp_both.safetensors")
    weights = {name: array for name, array in case.items() if name.startswith("params/")}
    with ocp.CheckpointManager(folder / "model") as manager:
        for epoch, shift in ((100, np.float32(1)), (200, np.float32(0))):
            average = nested({name: jnp.asarray(array + shift) for name, array in weights.items()})
            last = nested({name: jnp.asarray(array + np.float32(2)) for name, array in weights.items()})
            trees = {"params": ocp.args.StandardSave(last), "ema_params": ocp.args.StandardSave(average)}
            optimizer = ocp.args.PyTreeSave([{"count": jnp.array(3)}, {"mu": average}])
            manager.save(epoch, args=ocp.args.Composite(opt_state=optimizer, **trees))
    return folder


def assertEqualTensors(found, expected, shift=0):
    assert set(found.tensors) == set(expected.tensors)
    for name, array in expected.tensors.items():
        assert np.array_equal(found.tensors[name], array + np.float32(shift)), name


def test_a_run_gives_the_same_model_as_its_safetensors(run):
    expected = convert.fromScoremd(DATA / "mixture_aldp_both.safetensors")
    found = convert.fromScoremd(run, Options(lengthScale=0.1, system="aldp"))
    assertEqualTensors(found, expected)
    assert found.description["experts"] == expected.description["experts"]
    assert (found.description["count"], found.description["temperature"]) == (5, 300)
    assert found.description["default_diffusion_time"] == 1e-5
    provenance = found.description["provenance"]
    assert (provenance["epoch"], provenance["weights"]) == ("200", "ema_params")
    found.encode()


def test_epoch_and_raw_weights_can_be_chosen(run):
    expected = convert.fromScoremd(DATA / "mixture_aldp_both.safetensors")
    options = Options(lengthScale=0.1)
    assertEqualTensors(convert.fromScoremd(run, options, epoch=100), expected, 1)
    assertEqualTensors(convert.fromScoremd(run / "model" / "100", options), expected, 1)
    raw = Options(lengthScale=0.1, rawWeights=True)
    assertEqualTensors(convert.fromScoremd(run / "model", raw), expected, 2)


def test_a_run_needs_its_length_scale(run):
    with pytest.raises(ConversionError, match="--length-scale"):
        convert.fromScoremd(run)


def test_an_incomplete_run_is_refused(run, tmp_path):
    options = Options(lengthScale=0.1)
    with pytest.raises(ConversionError, match="no checkpoint of epoch 7, but of \\[100, 200\\]"):
        convert.fromScoremd(run, options, epoch=7)
    with pytest.raises(ConversionError, match="holds no checkpoint"):
        convert.fromScoremd(tmp_path, options)
    (tmp_path / "model" / "5" / "ema_params").mkdir(parents=True)
    with pytest.raises(ConversionError, match=r"no \.hydra/config\.yaml"):
        convert.fromScoremd(tmp_path, options)
    config = run / ".hydra" / "config.yaml"
    with pytest.raises(ConversionError, match="cannot be read as an Orbax checkpoint"):
        convert.fromScoremd(tmp_path, options, config=config)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.replace("[0.6, 0.1]", "[0.6, 0.2]"))
    with pytest.raises(ConversionError, match="do not meet"):
        convert.fromScoremd(run, options, config=config)


# What follows needs no Orbax.

POTENTIAL = {"_target_": "scoremd.models.MLPModelInfo", "hidden_dims": [64, 64], "activation": "swish"}


def test_references_in_a_configuration_are_followed():
    settings = {
        "model": {"small": POTENTIAL | {"potential": True}},
        "ranged_models": [
            {"model": "${model.small}", "range": [0.5, 0.0]},
            {"model": "${model.small}", "range": [1.0, 0.5], "rescale_time": False},
        ],
    }
    mixture = checkpoints.describeNetworks(settings)
    assert [expert["interval"] for expert in mixture["experts"]] == [[0.5, 1.0], [0.0, 0.5]]
    assert [expert["rescale_time"] for expert in mixture["experts"]] == [False, True]
    assert {expert["kind"] for expert in mixture["experts"]} == {"mlp"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "lists no ranged_models"),
        ({"ranged_models": "${a}"}, "refers to .* missing"),
        ({"ranged_models": "${ranged_models}"}, "refers to itself"),
        ({"ranged_models": [{"model": {"_target_": "os.system"}}]}, "expected one of MLPModelInfo"),
        ({"ranged_models": [{"model": POTENTIAL, "range": [1, "x"]}]}, "has the range"),
        ({"ranged_models": [{}]}, "has no model"),
    ],
)
def test_configurations_that_describe_no_networks_are_refused(settings, reason):
    with pytest.raises(ConversionError, match=reason):
        checkpoints.describeNetworks(json.loads(json.dumps(settings)))

"""Models of Two-for-One from files of torch.save: which weights, of which system, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from openmmscore import convert
from openmmscore.convert import ConversionError, Options
from safetensors.numpy import load_file
from torch_files import TorchFile

TORCH = Path(__file__).parents[1] / "data" / "torch"
DATA = Path(__file__).parents[1] / "data" / "scoremd"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.pt"


@pytest.fixture
def weights():
    tensors = load_file(DATA / "t4o_alanine.safetensors")
    start = "weights/"
    return {name[len(start) :]: array for name, array in tensors.items() if name.startswith(start)}


def checkpoint(path, weights, prefix="", wrap=lambda tensors: tensors, others=()):
    """Write weights under a prefix, beside other tensors, in whatever wraps them."""
    file = TorchFile()
    tensors = {prefix + name: file.tensor(array) for name, array in weights.items()}
    tensors |= {name: file.tensor(np.asarray(array)) for name, array in dict(others).items()}
    return file.write(path, wrap(tensors))


@pytest.mark.parametrize("prefix", ["", "model.", "ema_model.", "module.", "ema_model.model.", "weights/"])
def test_a_state_dictionary_gives_the_same_model_as_its_safetensors(path, weights, prefix):
    found = convert.fromTwoForOne(checkpoint(path, weights, prefix), Options(system="alanine"))
    expected = convert.fromTwoForOne(DATA / "t4o_alanine.safetensors")
    assert all(np.array_equal(found.tensors[name], array) for name, array in expected.tensors.items())
    for field in ("length_scale", "temperature", "default_diffusion_time", "schedule", "experts", "count"):
        assert found.description[field] == expected.description[field]
    assert [particle["mass"] for particle in found.description["particles"]] == [12.8] * 5
    found.encode()


def test_a_checkpoint_gives_the_running_average(path, weights):
    last = {f"online_model.model.{name}": array + 1 for name, array in weights.items()}
    others = {"ema_model.betas": np.zeros(1000, np.float32), "initted": np.array([True]), **last}

    def wrap(tensors):
        model = {name.removeprefix("ema_"): value for name, value in tensors.items()}
        return {"step": 1000, "model": model, "ema": tensors, "opt": {"state": {}}, "best_val_loss": 0.5}

    name = checkpoint(path, weights, "ema_model.model.", wrap, others)
    found = convert.fromTwoForOne(name, Options(system="alanine"))
    expected = convert.fromTwoForOne(DATA / "t4o_alanine.safetensors")
    assert all(np.array_equal(found.tensors[name], array) for name, array in expected.tensors.items())
    assert found.description["provenance"]["weights"] == "ema: ema_model.model."


def test_the_last_weights_can_be_asked_for(path, weights):
    others = {f"model.{name}": array + 1 for name, array in weights.items()}

    def wrap(tensors):
        average = {name: value for name, value in tensors.items() if name.startswith("ema_model.")}
        return {"model": {k: v for k, v in tensors.items() if k not in average}, "ema": average}

    name = checkpoint(path, weights, "ema_model.model.", wrap, others)
    found = convert.fromTwoForOne(name, Options(system="alanine", rawWeights=True))
    assert np.array_equal(found.tensors["experts.0.readout.bias"], weights["node_decoder.bias"] + 1)
    assert found.description["provenance"]["weights"] == "model: model."


def test_every_published_system_can_be_converted(path):
    systems = {"chignolin": (10, 340, 0.020), "trp_cage": (20, 290, 0.015), "bba": (28, 325, 0.005)}
    systems |= {"villin": (35, 360, 0.005), "protein_g": (56, 350, 0.005)}
    small = {"node_embedding.bias": (4,), "edge_embedding.weight": (4, 3), "edge_embedding.bias": (4,)}
    small |= {"node_decoder.weight": (1, 4), "node_decoder.bias": (1,)}
    layer = {"0.0.norm.weight": (4,), "0.0.norm.bias": (4,), "1.0.norm.weight": (4,), "1.0.norm.bias": (4,)}
    layer |= {"0.0.fn.to_q.weight": (512, 4), "0.0.fn.to_q.bias": (512,), "0.0.fn.to_kv.weight": (1024, 4)}
    layer |= {"0.0.fn.to_kv.bias": (1024,), "0.0.fn.edges_to_kv.weight": (512, 4)}
    layer |= {"0.0.fn.edges_to_kv.bias": (512,), "0.0.fn.to_out.weight": (4, 512), "0.0.fn.to_out.bias": (4,)}
    layer |= {"0.1.proj.0.weight": (1, 12), "1.1.proj.0.weight": (1, 12), "1.0.fn.0.weight": (16, 4)}
    layer |= {"1.0.fn.0.bias": (16,), "1.0.fn.2.weight": (4, 16), "1.0.fn.2.bias": (4,)}
    small |= {f"graphtransformer.layers.0.{name}": shape for name, shape in layer.items()}
    for system, (count, temperature, t) in systems.items():
        shapes = small | {"node_embedding.weight": (4, count + 1)}
        name = checkpoint(path, {name: np.ones(shape, np.float32) for name, shape in shapes.items()})
        converted = convert.fromTwoForOne(name, Options(system=system))
        found = converted.description
        assert (found["count"], found["temperature"], found["default_diffusion_time"]) == (
            count,
            temperature,
            t,
        )
        assert len(found["bonds"]) == count - 1
        converted.encode()


def test_a_checkpoint_needs_its_scale(path, weights):
    name = checkpoint(path, weights)
    with pytest.raises(ConversionError, match="--system alanine"):
        convert.fromTwoForOne(name)
    with pytest.raises(ConversionError, match="noise level"):
        convert.fromTwoForOne(name, Options(lengthScale=0.1))
    with pytest.raises(ConversionError, match="has 10 particles, but the weights are for 5"):
        convert.fromTwoForOne(name, Options(system="chignolin"))
    with pytest.raises(ConversionError, match="noise level 1000 is none"):
        convert.fromTwoForOne(name, Options(lengthScale=0.1), noiseLevel=1000)
    description = convert.fromTwoForOne(name, Options(lengthScale=0.1), noiseLevel=5).description
    assert (description["length_scale"], description["default_diffusion_time"]) == (0.1, 0.005)


def test_checkpoints_of_other_networks_are_refused(path, weights):
    with pytest.raises(ConversionError, match="no network of Two-for-One"):
        convert.fromTwoForOne(str(TORCH / "torch_saved.pth"))
    with pytest.raises(ConversionError, match="no dictionary"):
        convert.fromTwoForOne(TorchFile().write(path, [1, 2]))
    name = checkpoint(path, weights, others={"norm_edges.weight": np.ones(4, np.float32)})
    with pytest.raises(ConversionError, match="'norm_edges.weight' belongs to no part"):
        convert.fromTwoForOne(name, Options(system="alanine"))
    weights["node_decoder.weight"] = np.ones((3, 96), np.float32)
    with pytest.raises(ConversionError, match="gives 3 numbers"):
        convert.fromTwoForOne(checkpoint(path, weights), Options(system="alanine"))

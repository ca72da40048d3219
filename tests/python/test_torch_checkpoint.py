"""Files of torch.save, read without PyTorch. The test files are put together by hand, as torch.save would."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from openmmscore import convert
from openmmscore.convert import ConversionError, Options, torch_checkpoint
from safetensors.numpy import load_file

TORCH = Path(__file__).parents[1] / "data" / "torch"
DATA = Path(__file__).parents[1] / "data" / "scoremd"
STORAGES = {
    "f8": "Double",
    "f4": "Float",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "u1": "Byte",
    "b1": "Bool",
}


class Global:
    """Pickled as the name of something in a module."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Storage:
    def __init__(self, key, kind, size):
        self.key, self.kind, self.size = key, kind, size


class Pickler(pickle._Pickler):
    """Writes names and calls that need not exist."""

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", Global("torch", obj.kind), obj.key, "cpu", obj.size)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


class TorchFile:
    """A file in the making: tensors become storages and calls."""

    def __init__(self):
        self.storages = []

    def tensor(self, array, kind=None, data=None, strides=None):
        array = np.asarray(array)
        kind = kind or STORAGES[array.dtype.str[1:]] + "Storage"
        self.storages.append(array.tobytes() if data is None else data)
        storage = Storage(str(len(self.storages) - 1), kind, array.size)
        if strides is None:
            strides = tuple(np.cumprod([1, *array.shape[:0:-1]])[::-1].tolist()) if array.ndim else ()
        hooks = Call(Global("collections", "OrderedDict"))
        rebuild = Global("torch._utils", "_rebuild_tensor_v2")
        return Call(rebuild, storage, 0, array.shape, strides, False, hooks)

    def write(self, path, content, compression=zipfile.ZIP_STORED, order=b"little", protocol=2, pickled=None):
        stream = io.BytesIO()
        Pickler(stream, protocol).dump(content)
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("archive/data.pkl", stream.getvalue() if pickled is None else pickled)
            archive.writestr("archive/byteorder", order)
            for key, data in enumerate(self.storages):
                archive.writestr(f"archive/data/{key}", data)
            archive.writestr("archive/version", b"3\n")
        return str(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.pt"


def refusal(path):
    """Return why a file is refused."""
    with pytest.raises(ConversionError) as caught:
        torch_checkpoint.read(str(path))
    return str(caught.value)


# ---- reading


def test_a_file_of_torch_save_gives_its_tensors():
    found = torch_checkpoint.read(str(TORCH / "torch_saved.pth"))
    expected = load_file(TORCH / "torch_saved.safetensors")
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "u1", "?"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_numbers_of_all_kinds_are_read(path, dtype, protocol):
    array = np.array([[1, 0, 3], [4, 5, 0]], dtype)
    file = TorchFile()
    content = {
        "a": file.tensor(array),
        "step": 3,
        "loss": 0.5,
        "list": [1, None, True, (2, "x")],
        "empty": {},
    }
    found = torch_checkpoint.read(file.write(path, content, protocol=protocol))
    assert found["a"].dtype == array.dtype
    assert np.array_equal(found["a"], array)
    assert found["list"] == [1, None, True, (2, "x")]
    assert (found["step"], found["loss"]) == (3, 0.5)


def test_bfloat16_is_widened(path):
    values = np.array([1.5, -2.0, 3.140625], np.float32)
    file = TorchFile()
    halves = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    content = {"a": file.tensor(values, "BFloat16Storage", halves)}
    assert np.array_equal(torch_checkpoint.read(file.write(path, content))["a"], values)


def test_a_transposed_tensor_is_read_by_its_strides(path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    file = TorchFile()
    content = {"a": file.tensor(array.T, data=array.tobytes(), strides=(1, 3))}
    assert np.array_equal(torch_checkpoint.read(file.write(path, content))["a"], array.T)


def test_parameters_are_their_tensors(path):
    file = TorchFile()
    tensor = file.tensor(np.ones(2, np.float32))
    hooks = Call(Global("collections", "OrderedDict"))
    content = {"a": Call(Global("torch._utils", "_rebuild_parameter"), tensor, True, hooks)}
    assert np.array_equal(torch_checkpoint.read(file.write(path, content))["a"], np.ones(2))


# ---- refusing


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch.nn.modules.activation", "Tanh"),
        ("argparse", "Namespace"),
        ("torch", "load"),
        ("collections", "deque"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_other_names_are_refused_and_named(path, module, name, protocol):
    content = {"a": Call(Global(module, name), "echo")}
    reason = refusal(TorchFile().write(path, content, protocol=protocol))
    assert f"names {module}.{name}" in reason


def test_nothing_is_executed(path, tmp_path):
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    assert "mkdir" in refusal(TorchFile().write(path, None, pickled=pickle.dumps(Payload(), 2)))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"", "damaged"),
        (b"\x80\x02", "damaged"),
        (b"\x80\x02}", "damaged"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02}}.", "more than one object"),
        (b"\x80\x02h\x07.", "damaged"),
        (b"\x80\x02]K\x01K\x02s.", "no dictionary"),
        (b"\x80\x02}K\x01a.", "no list"),
        (b"\x80\x02}(K\x01u.", "damaged"),
        (b"\x80\x02})K\x01s.", "keys that are neither"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01R.", "calls something"),
        (b"\x80\x02K\x01)R.", "calls something"),
        (b"\x80\x02ccollections\nOrderedDict\n}b.", "sets the attributes"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls something"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "damaged"),
        (b"\x80\x02K\x01Q.", "damaged"),
        (b"\x80\x02(K\x01K\x02tQ.", "damaged"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"P0\n.", "instruction PERSID"),
        (b"(S'x'\nios\nsystem\n.", "instruction"),
    ],
)
def test_pickles_that_make_no_sense_are_refused(path, pickled, reason):
    assert reason in refusal(TorchFile().write(path, None, pickled=pickled))


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_every_damaged_byte_is_refused_or_harmless(path):
    file = TorchFile()
    stream = io.BytesIO()
    Pickler(stream, 2).dump({"a": file.tensor(np.ones((2, 2), np.float32)), "n": [1, 2]})
    pickled = stream.getvalue()
    random = np.random.default_rng(5)
    for _ in range(300):
        damaged = bytearray(pickled)
        damaged[random.integers(len(damaged))] = random.integers(256)
        file.write(path, None, pickled=bytes(damaged[: random.integers(1, len(damaged) + 1)]))
        try:
            torch_checkpoint.read(str(path))
        except ConversionError as error:
            assert "file.pt" in str(error)


def test_tensors_stay_inside_their_storage(path):
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    shapes = [(0, (5,), (1,)), (3, (2,), (1,)), (0, (2,), (4,)), (-1, (2,), (1,)), (0, (2,), (-1,))]
    shapes += [
        (0, (1 << 40,), (0,)),
        (0, (2, 2), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (0, (2.0,), (1,)),
        (0, [2], (1,)),
    ]
    for offset, shape, strides in shapes:
        file = TorchFile()
        storage = file.tensor(np.ones(4, np.float32)).arguments[0]
        assert "damaged" in refusal(file.write(path, {"a": Call(rebuild, storage, offset, shape, strides)}))


def test_storages_have_the_size_they_claim(path):
    file = TorchFile()
    content = {"a": file.tensor(np.ones(4, np.float32), data=b"\0" * 12)}
    assert "has 12 bytes, expected 4 numbers of 4" in refusal(file.write(path, content))
    file = TorchFile()
    content = {"a": file.tensor(np.ones(4, np.float32))}
    file.storages.clear()
    assert "lacks the entry" in refusal(file.write(path, content))


def test_archives_that_torch_would_not_write_are_refused(path):
    file = TorchFile()
    content = {"a": file.tensor(np.zeros(1 << 20, np.float32))}
    assert "compressed" in refusal(file.write(path, content, compression=zipfile.ZIP_DEFLATED))
    assert "byte order" in refusal(file.write(path, content, order=b"big"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/other", b"")
    assert "no data.pkl" in refusal(path)
    path.write_bytes(b"\x80\x02}.")
    assert "no zip archive" in refusal(path)
    assert "no such file" in refusal(path.with_name("absent.pt"))


def test_entries_that_share_their_bytes_are_refused(path):
    file = TorchFile()
    file.write(path, {"a": file.tensor(np.zeros(1 << 16, np.float32))})
    data = bytearray(path.read_bytes())
    # Claim in the central directory that a small entry is as large as 2 GiB.
    start = data.rindex(b"archive/version") - 46
    struct.pack_into("<II", data, start + 20, 2 << 30, 2 << 30)
    path.write_bytes(bytes(data))
    assert "damaged" in refusal(path)


def test_a_truncated_file_is_refused(path):
    data = (TORCH / "torch_saved.pth").read_bytes()
    for size in range(0, len(data), 997):
        path.write_bytes(data[:size])
        refusal(path)


# ---- checkpoints of Two-for-One


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

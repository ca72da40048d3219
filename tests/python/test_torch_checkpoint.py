"""Files of torch.save, read without PyTorch. The test files are put together by hand, as torch.save would."""

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from openmmscore.convert import ConversionError, torch_checkpoint
from safetensors.numpy import load_file
from torch_files import Call, Global, Pickler, TorchFile

TORCH = Path(__file__).parents[1] / "data" / "torch"


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


def test_tensors_without_numbers_keep_their_shape(path):
    file = TorchFile()
    found = torch_checkpoint.read(file.write(path, {"a": file.tensor(np.zeros((0, 3), np.float32))}))
    assert found["a"].shape == (0, 3)


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

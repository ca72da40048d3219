"""Reading and writing model files in Python."""

import json
import os

import numpy as np
import openmm
import openmmscore
import pytest
from conftest import document, tensorShapes, writeModel
from openmmscore import modelfile
from safetensors.numpy import save_file


def randomTensors(doc):
    random = np.random.default_rng(3)
    shapes = tensorShapes(doc)
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_what_is_written_can_be_read(tmp_path):
    doc = document()
    tensors = randomTensors(doc)
    modelfile.write(tmp_path / "m.safetensors", doc, tensors)
    description, read = modelfile.read(tmp_path / "m.safetensors")
    assert description == doc
    assert set(read) == set(tensors)
    assert all(np.array_equal(read[name], tensors[name]) for name in tensors)
    assert openmmscore.Model(tmp_path / "m.safetensors").description == doc


def test_equal_models_give_equal_bytes():
    doc = document()
    tensors = randomTensors(doc)
    reordered = dict(reversed(list(tensors.items())))
    assert modelfile.encode(doc, tensors) == modelfile.encode(doc, reordered)


def test_a_transposed_array_is_written_as_it_looks(tmp_path):
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    modelfile.write(tmp_path / "m.safetensors", {}, {"w": weight.T})
    assert np.array_equal(modelfile.read(tmp_path / "m.safetensors")[1]["w"], weight.T)


def test_a_file_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "m.safetensors"
    modelfile.write(path, {"title": "first"}, {})
    with pytest.raises(modelfile.ModelFileError, match="exists already"):
        modelfile.write(path, {"title": "second"}, {})
    assert modelfile.read(path)[0] == {"title": "first"}
    modelfile.write(path, {"title": "second"}, {}, overwrite=True)
    assert modelfile.read(path)[0] == {"title": "second"}


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    modelfile.write(path, {"title": "first"}, {})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(modelfile.ModelFileError, match="No space left"):
        modelfile.write(path, {"title": "second"}, {}, overwrite=True)
    assert os.listdir(tmp_path) == ["m.safetensors"]
    assert modelfile.read(path)[0] == {"title": "first"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(modelfile.ModelFileError, match="'w' has a value that is not finite"):
        modelfile.encode({}, {"w": np.array([1, value], np.float32)})
    with pytest.raises(modelfile.ModelFileError, match="no JSON"):
        modelfile.encode({"length_scale": value}, {})


def test_other_kinds_of_numbers_are_refused():
    with pytest.raises(modelfile.ModelFileError, match="int64, expected float32 or float64"):
        modelfile.encode({}, {"w": np.arange(3)})


def test_what_is_no_model_file_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(modelfile.ModelFileError, match="no such file"):
        modelfile.read(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(modelfile.ModelFileError, match="no safetensors file"):
        modelfile.read(path)
    save_file({"w": np.zeros(3)}, path)
    with pytest.raises(modelfile.ModelFileError, match="no OpenMM-Score model"):
        modelfile.read(path)
    for text in ("{", "[" * 100000, "[]"):
        save_file({"w": np.zeros(3)}, path, metadata={"openmmscore": text})
        with pytest.raises(modelfile.ModelFileError, match="no JSON"):
            modelfile.read(path)


def test_a_summary_tells_everything(folder):
    doc = document(title="five beads", provenance={"program": "a test"})
    path = writeModel(folder / "summary.safetensors", doc)
    text = modelfile.summary(path)
    for part in (
        "five beads",
        "0.2 nm",
        "300 K",
        "0.001",
        "variance-preserving",
        "graph-transformer, energy",
    ):
        assert part in text
    for part in ("hidden 8", "CA(12.0108)", "a test", openmmscore.Model(path).sha256):
        assert part in text


def test_a_summary_checks_the_model(folder):
    path = writeModel(folder / "damaged.safetensors", document(length_scale=-1))
    with pytest.raises(openmm.OpenMMException, match="length_scale"):
        modelfile.summary(path)


def test_a_summary_stays_short_and_printable(folder):
    hostile = {"note": "\x1b[2J" + "x" * 100000, "\x07key": json.loads("[" * 20 + "]" * 20)}
    path = writeModel(folder / "hostile.safetensors", document(provenance=hostile))
    lines = modelfile.summary(path).split("\n")
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 500

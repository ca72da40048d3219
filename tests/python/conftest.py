"""Small model files with random weights. Nothing here uses the package under test to write them."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

PARTICLES = [
    {"name": "C", "element": "C", "mass": 12.01078, "residue": "ACE", "residue_index": 1},
    {"name": "N", "element": "N", "mass": 14.00672, "residue": "ALA", "residue_index": 2},
    {"name": "CA", "element": "C", "mass": 12.01078, "residue": "ALA", "residue_index": 2},
    {"name": "B", "element": "", "mass": 40.0, "residue": "ALA", "residue_index": 2},
    {"name": "N", "element": "N", "mass": 14.00672, "residue": "NME", "residue_index": 3},
]
BONDS = [[0, 1], [1, 2], [2, 3], [2, 4]]


def expert(architecture, head="energy", interval=(0.0, 1.0)):
    """Return the description of a small network."""
    common = {
        "architecture": architecture,
        "interval": list(interval),
        "head": head,
        "time_features": "fourier",
        "output_sign": 1,
        "output_scaling": "none",
    }
    if architecture == "mlp":
        return {**common, "hidden": [8, 8]}
    return {
        **common,
        "hidden": 8,
        "layers": 1,
        "heads": 2,
        "head_size": 4,
        "feed_forward": 16,
        "layer_norm_epsilon": 1e-6,
        "gelu": "tanh",
        "embedding_width": 0,
    }


def document(space="particles", experts=None, features=(), named=True, **fields):
    """Return the document of a model: five particles, or a plain vector of two numbers."""
    particles = space == "particles"
    if experts is None:
        experts = [expert("graph-transformer" if particles else "mlp")]
    if features:
        for each in experts:
            each["embedding_width"] = 4
    return {
        "format_version": 1,
        "title": "random " + space,
        "space": space,
        "count": 5 if particles else 2,
        "length_scale": 0.2 if particles else 1.0,
        "temperature": 300.0,
        "default_diffusion_time": 1e-3,
        "schedule": {"kind": "variance-preserving", "beta_min": 0.1, "beta_max": 20.0},
        "features": list(features),
        "experts": experts,
        "particles": (PARTICLES if particles else PARTICLES[:1]) if named else [],
        "bonds": BONDS if particles and named else [],
        "provenance": {"source": "random"},
        **fields,
    }


def tensorShapes(doc):
    """Return name -> shape of every tensor that a document asks for (docs/model-format.md)."""
    shapes = {}
    for k, e in enumerate(doc["experts"]):
        prefix = f"experts.{k}."
        if e["architecture"] == "mlp":
            widths = [doc["count"] + 4, *e["hidden"], 1 if e["head"] == "energy" else doc["count"]]
            for i, (wide, out) in enumerate(zip(widths, widths[1:], strict=False)):
                shapes[f"{prefix}layers.{i}.weight"] = (out, wide)
                shapes[f"{prefix}layers.{i}.bias"] = (out,)
            continue
        n, h, inner, ff = doc["count"], e["hidden"], e["heads"] * e["head_size"], e["feed_forward"]
        identity = n
        if doc["features"]:
            identity = e["embedding_width"] * len(doc["features"])
            for j, feature in enumerate(doc["features"]):
                width = e["embedding_width"]
                shapes[f"{prefix}feature_embeddings.{j}.weight"] = (feature["num_values"], width)
        linear = {"edge_embedding": (h, 3), "node_embedding": (h, identity + 4)}
        for layer in range(e["layers"]):
            at = f"layers.{layer}."
            for name in ("query", "key", "value", "edge"):
                linear[f"{at}attention.{name}"] = (inner, h)
            linear[f"{at}attention.output"] = (h, inner)
            linear[f"{at}feed_forward.expand"] = (ff, h)
            linear[f"{at}feed_forward.contract"] = (h, ff)
            for name in ("attention", "feed_forward"):
                shapes[f"{prefix}{at}{name}_norm.weight"] = shapes[f"{prefix}{at}{name}_norm.bias"] = (h,)
                shapes[f"{prefix}{at}{name}_gate.weight"] = (1, 3 * h)
        linear["readout"] = (1, h) if e["head"] == "energy" else (3 * n, n * h)
        for name, shape in linear.items():
            shapes[f"{prefix}{name}.weight"], shapes[f"{prefix}{name}.bias"] = shape, shape[:1]
    return shapes


def writeModel(path, doc, seed=1):
    """Write a model file with random weights, and return its path."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in tensorShapes(doc).items():
        scale = 0.1 if len(shape) == 1 else 1 / np.sqrt(shape[-1])
        values = scale * random.standard_normal(shape)
        tensors[name] = (values + 1 if name.endswith("norm.weight") else values).astype(np.float32)
    save_file(tensors, path, metadata={"openmmscore": json.dumps(doc)})
    return str(path)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def particlePath(folder):
    """Five particles with an energy."""
    return writeModel(folder / "particles.safetensors", document())


@pytest.fixture(scope="session")
def vectorPath(folder):
    """A vector of two numbers with an energy."""
    return writeModel(folder / "vector.safetensors", document("vector"))


@pytest.fixture(scope="session")
def scorePath(folder):
    """Five particles with a score and no energy."""
    doc = document(experts=[expert("graph-transformer", head="score")])
    return writeModel(folder / "score.safetensors", doc)


@pytest.fixture(scope="session")
def transferablePath(folder):
    """Five particles, each described by two integers."""
    features = [{"name": "residue", "num_values": 3}, {"name": "kind", "num_values": 2}]
    return writeModel(folder / "transferable.safetensors", document(features=features))


@pytest.fixture
def positions():
    """Seven configurations of five particles in nm."""
    chain = np.array([[0, 0, 0], [0.13, 0, 0], [0.2, 0.12, 0], [0.3, 0.1, 0.1], [0.25, 0.2, -0.1]])
    return chain + 0.02 * np.random.default_rng(3).standard_normal((7, 5, 3))


@pytest.fixture
def heedingInterrupts():
    """Ctrl-C works, even if the tests were started in the background by a shell that had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def dipeptide():
    """Alanine dipeptide in implicit solvent (22 atoms), and its structure."""
    from openmm import app

    pdb = app.PDBFile(str(Path(__file__).parents[1] / "data/prose/pdb/ace-ala-nme.pdb"))
    field = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    return field.createSystem(pdb.topology), np.array(pdb.getPositions(asNumpy=True)._value)


@pytest.fixture(scope="session")
def beads():
    """Frames of the alanine dipeptide as five beads, in nm."""
    path = Path(__file__).parents[2] / "examples/data/alanine_dipeptide_beads.npy"
    return np.load(path)[::100].astype(np.float64)


@pytest.fixture(scope="module")
def scaledPath(folder):
    """Five particles of the size of the beads, so that a random potential does no harm in a few steps."""
    return writeModel(folder / "beads.safetensors", document(length_scale=0.094))


@pytest.fixture(scope="session")
def trajectory():
    """Two residues of heavy atoms and hydrogens."""
    from train_parts import make_trajectory

    return make_trajectory()


@pytest.fixture
def data_folder(tmp_path, trajectory):
    """A folder with run.xtc and run.pdb."""
    trajectory.save_xtc(str(tmp_path / "run.xtc"))
    trajectory[0].save_pdb(str(tmp_path / "run.pdb"))
    return tmp_path

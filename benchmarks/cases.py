"""The molecules that are simulated, as model files with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

#: Masses in amu.
CARBON, NITROGEN, OXYGEN = 12.01078, 14.00672, 15.99943


@dataclass(frozen=True)
class Case:
    """A molecule and the network of the published model for it (ScoreMD's conventions, 8 heads of 64)."""

    name: str
    beads: int
    hidden: int
    layers: int
    #: of each bead, amu
    masses: tuple[float, ...]
    #: kJ/mol
    kT: float
    #: ps
    timeStep: float
    #: nm, also the spread of the positions that simulations start from
    lengthScale: float
    #: (name, number of values) of what the network is told about each bead
    features: tuple[tuple[str, int], ...] = ()
    embeddingWidth: int = 0
    #: name of the same network in the C++ benchmark BenchEvaluator
    evaluator: str = ""

    @property
    def temperature(self) -> float:
        """In K."""
        return self.kT / 8.31446261815324e-3

    @property
    def featureValues(self) -> list[list[int]] | None:
        """Shape [beads, features]: residues of N, CA, C, CB, O."""
        if not self.features:
            return None
        elements = (1, 0, 0, 0, 2)
        return [[0, i % 5, elements[i % 5], min(i // 5, 1)] for i in range(self.beads)]

    def asRequest(self) -> dict:
        """Everything about it as JSON can hold it."""
        return {**asdict(self), "temperature": self.temperature, "featureValues": self.featureValues}


CASES = (
    Case(
        "5 beads, H 96, L 2",
        *(5, 96, 2),
        (CARBON, NITROGEN, CARBON, CARBON, NITROGEN),
        kT=2.494338785,
        timeStep=2e-3,
        lengthScale=0.0945,
        evaluator="alanine-5",
    ),
    Case(
        "10 beads, H 128, L 3",
        *(10, 128, 3),
        (NITROGEN, CARBON, CARBON, CARBON, OXYGEN) * 2,
        kT=2.577483412,
        timeStep=5e-4,
        lengthScale=0.2,
        features=(("residue", 20), ("atom", 5), ("element", 3), ("position", 2)),
        embeddingWidth=16,
        evaluator="chignolin-10",
    ),
    Case(
        "28 beads, H 128, L 3",
        *(28, 128, 3),
        (CARBON,) * 28,
        kT=2.702200351,
        timeStep=2e-3,
        lengthScale=0.629,
        evaluator="bba-28",
    ),
)


def chain(beads: int) -> Case:
    """Return a case of so many beads with the network of the largest published models."""
    last = CASES[-1]
    masses = (CARBON,) * beads
    return Case(f"{beads} beads", beads, 128, 3, masses, last.kT, last.timeStep, last.lengthScale)


def document(case: Case) -> dict:
    """Return the model file's document (docs/model-format.md)."""
    particle = {"name": "B", "element": "", "residue": "MOL", "residue_index": 1}
    return {
        "format_version": 1,
        "title": f"random, {case.name}",
        "space": "particles",
        "count": case.beads,
        "length_scale": case.lengthScale,
        "temperature": case.temperature,
        "default_diffusion_time": 1e-5,
        "schedule": {"kind": "variance-preserving", "beta_min": 0.1, "beta_max": 20.0},
        "features": [{"name": name, "num_values": values} for name, values in case.features],
        "experts": [
            {
                "architecture": "graph-transformer",
                "interval": [0.0, 1.0],
                "head": "energy",
                "time_features": "fourier",
                "output_sign": 1,
                "output_scaling": "none",
                "hidden": case.hidden,
                "layers": case.layers,
                "heads": 8,
                "head_size": 64,
                "feed_forward": 4 * case.hidden,
                "layer_norm_epsilon": 1e-6,
                "gelu": "tanh",
                "embedding_width": case.embeddingWidth,
            }
        ],
        "particles": [{**particle, "mass": mass} for mass in case.masses],
        "bonds": [],
        "provenance": {"source": "random weights of a benchmark"},
    }


def tensorShapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the model file."""
    h, inner, feedForward = case.hidden, 8 * 64, 4 * case.hidden
    identity = case.embeddingWidth * len(case.features) if case.features else case.beads
    shapes = {
        f"feature_embeddings.{j}.weight": (values, case.embeddingWidth)
        for j, (_, values) in enumerate(case.features)
    }
    linear = {"edge_embedding": (h, 3), "node_embedding": (h, identity + 4), "readout": (1, h)}
    for layer in range(case.layers):
        at = f"layers.{layer}."
        for name in ("query", "key", "value", "edge"):
            linear[f"{at}attention.{name}"] = (inner, h)
        linear[f"{at}attention.output"] = (h, inner)
        linear[f"{at}feed_forward.expand"] = (feedForward, h)
        linear[f"{at}feed_forward.contract"] = (h, feedForward)
        for name in ("attention", "feed_forward"):
            shapes[f"{at}{name}_norm.weight"] = shapes[f"{at}{name}_norm.bias"] = (h,)
            shapes[f"{at}{name}_gate.weight"] = (1, 3 * h)
    for name, shape in linear.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    return {f"experts.0.{name}": shape for name, shape in shapes.items()}


def randomTensors(case: Case) -> dict[str, np.ndarray]:
    """Return weights of the size that training starts from."""
    random = np.random.default_rng(1)
    tensors = {}
    for name, shape in tensorShapes(case).items():
        scale = 0.1 if len(shape) == 1 else shape[-1] ** -0.5
        values = scale * random.standard_normal(shape)
        tensors[name] = (values + 1 if name.endswith("norm.weight") else values).astype(np.float32)
    return tensors


def writeModel(case: Case, folder: Path) -> Path:
    """Write the model file, and beside it the weights as .npz for programs that do not read model files."""
    from openmmscore import modelfile

    path = folder / f"beads{case.beads}-h{case.hidden}-l{case.layers}.safetensors"
    if not path.exists():
        tensors = randomTensors(case)
        modelfile.write(path, document(case), tensors)
        np.savez(path.with_suffix(".npz"), **tensors)
    return path


def startPositions(masses: Sequence[float], lengthScale: float, molecules: int) -> np.ndarray:
    """Return random positions in nm, shape [molecules, beads, 3], centred."""
    random = np.random.default_rng(0)
    positions = lengthScale * random.standard_normal((molecules, len(masses), 3))
    return positions - positions.mean(1, keepdims=True)

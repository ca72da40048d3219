"""Trajectories and configurations that trainings are tested with."""

import mdtraj
import numpy as np
import openmmscore
import openmmscore.diagnostics
import pytest

PROGRAM = openmmscore.diagnostics.trainProgram()


needs_trainer = pytest.mark.skipif(
    PROGRAM is None, reason="openmmscore-train is not built (it needs LibTorch)"
)


CONFIG = """
seed = 3
{more}
[data]
temperature = 300.0
{data}
[model]
architecture = "graph-transformer"
hidden = 8
layers = 1
heads = 2
head_size = 4
[training]
steps = 6
batch_size = 16
[output]
directory = "out"
{tables}
"""


HEAVY = 'trajectory = "run.xtc"\ntopology = "run.pdb"\nselection = "element != H"'


def make_trajectory(num_frames=100):
    """Return a wobbling trajectory of two bonded residues of heavy atoms and hydrogens."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    atoms = []
    for residue_name in ("ALA", "VAL"):
        residue = topology.add_residue(residue_name, chain)
        for name in ("N", "H", "CA", "CB", "C", "O"):
            atoms.append(topology.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue))
    for pair in ((0, 1), (0, 2), (2, 3), (2, 4), (4, 5), (4, 6), (6, 8), (8, 9), (8, 10), (10, 11)):
        topology.add_bond(atoms[pair[0]], atoms[pair[1]])
    random = np.random.default_rng(1)
    rest = 0.1 * np.stack([np.arange(12), np.arange(12) % 2, np.arange(12) % 3], axis=1)
    xyz = rest + 0.01 * random.normal(size=(num_frames, 12, 3)) + np.arange(num_frames)[:, None, None] * 0.01
    return mdtraj.Trajectory(xyz.astype(np.float32), topology)


def write_config(folder, data=HEAVY, more="", tables=""):
    (folder / "run.toml").write_text(CONFIG.format(data=data, more=more, tables=tables))
    return folder / "run.toml"


HEAVY_ATOMS = [0, 2, 3, 4, 5, 6, 8, 9, 10, 11]

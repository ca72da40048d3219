"""Internal coordinates of real molecules: names people know, volume, and what has none."""

import pathlib
import pickle

import mdtraj
import numpy as np
import openmm
import openmmscore
import pytest
from openmm import app, unit
from openmmscore import InternalCoordinates

PDBS = pathlib.Path(__file__).parent.parent / "data/prose/pdb"
# Caps, charged ends, proline's ring, phenylalanine's, tyrosine's, a sulfide, threonine's branch, arginine.
PEPTIDES = ["ace-ala-nme", "AA", "PG", "CYQ", "KMFNE", "LTVS", "ARIP"]
Kind, Status = InternalCoordinates.Kind, InternalCoordinates.Status


def load(name):
    pdb = app.PDBFile(str(PDBS / f"{name}.pdb"))
    return pdb.topology, pdb.getPositions(asNumpy=True)._value


def shaken(x, count, width=0.01, seed=1):
    return x + width * np.random.default_rng(seed).standard_normal((count, *x.shape))


def distances(x):
    return np.linalg.norm(x[..., :, None, :] - x[..., None, :, :], axis=-1)


@pytest.fixture(params=PEPTIDES)
def peptide(request):
    return load(request.param)


def test_peptidesComeBack(peptide):
    topology, x = peptide
    coordinates = InternalCoordinates(topology, positions=x)
    assert coordinates.numParticles == topology.getNumAtoms()
    frames = shaken(x, 20)
    u, logJacobian, status = coordinates.toInternal(frames)
    assert u.shape == (20, 3 * len(x) - 6) == (20, coordinates.numCoordinates)
    assert (status == Status.Ok).all()
    back = coordinates.toCartesian(u)
    # Distances and chirality, atom by atom in the Topology's order.
    np.testing.assert_allclose(distances(back.positions), distances(frames), atol=1e-10)
    np.testing.assert_allclose(coordinates.toInternal(back.positions).coordinates, u, atol=1e-9)
    np.testing.assert_allclose(back.logJacobian, logJacobian, atol=1e-8)
    chirality = openmmscore.sampling.Chirality(topology, reference=x)
    np.testing.assert_array_equal(chirality.check(back.positions), chirality.check(frames))


@pytest.mark.parametrize("name", [name for name in PEPTIDES if name != "CYQ"])
def test_backboneTorsionsAreCoordinates(name):
    """In CYQ the longest chain runs from side chain to side chain, and bonds are turned by their atoms."""
    topology, x = load(name)
    coordinates = InternalCoordinates(topology)
    names = coordinates.names
    assert len(set(names)) == len(names) == coordinates.numCoordinates
    trajectory = mdtraj.Trajectory(shaken(x, 5), mdtraj.Topology.from_openmm(topology))
    u = coordinates.toInternal(trajectory.xyz.astype(float)).coordinates
    found = 0
    for word, compute in (("phi", mdtraj.compute_phi), ("psi", mdtraj.compute_psi)):
        atoms, values = compute(trajectory, periodic=False)
        for four, value in zip(atoms, values.T, strict=True):
            residue = trajectory.topology.atom(four[1]).residue
            name = f"{word} {residue.name}{residue.resSeq}"
            if name in names:
                found += 1
                assert names.index(name) in coordinates.rotations
                difference = u[:, names.index(name)] - value
                np.testing.assert_allclose(np.remainder(difference + 1, 2 * np.pi), 1, atol=1e-4)
    # A chain that ends in a side chain takes the backbone's last torsions from there.
    assert found >= max(2, 2 * topology.getNumResidues() - 4)


def test_volumeElementIsTheDeterminant():
    topology, x = load("ace-ala-nme")
    coordinates = InternalCoordinates(topology)
    u = coordinates.toInternal(x).coordinates[0]
    d, h = len(u), 1e-5
    moved = np.concatenate([u + h * np.eye(d), u - h * np.eye(d)])
    y = coordinates.toCartesian(moved).positions
    centred = y - y.mean(axis=1, keepdims=True)
    columns = [*(centred[:d] - centred[d:]).reshape(d, -1) / (2 * h)]
    # Infinitesimal rotations about the axes: their measure is that of dR at the identity.
    now = coordinates.toCartesian(u).positions[0]
    now -= now.mean(axis=0)
    columns += [np.cross(axis, now).ravel() for axis in np.eye(3)]
    matrix = np.array(columns)
    # Columns lie in the space of zero centroid, so the volume is that of the Gram matrix.
    expected = 0.5 * np.linalg.slogdet(matrix @ matrix.T)[1] + np.log(8 * np.pi**2)
    assert abs(coordinates.toCartesian(u).logJacobian[0] - expected) < 1e-6


def test_alanineDipeptideHasItsNames():
    coordinates = InternalCoordinates(load("ace-ala-nme")[0])
    names = coordinates.names
    assert {"phi ALA2", "psi ALA2", "omega ALA2", "omega NME3"} <= set(names)
    # Two torsions of the backbone, two of peptide bonds, and three methyl groups.
    assert len(coordinates.rotations) == 7
    kinds = coordinates.kinds
    assert (kinds[coordinates.siblings != np.arange(len(kinds))] == Kind.Sibling).all()
    assert (kinds == Kind.Sibling).sum() == (coordinates.siblings != np.arange(len(kinds))).sum() == 11
    methyls = [n for n in names if n.startswith("sibling H")]
    assert len([n for n in methyls if n.split()[1].split("-")[1] in ("CH3", "CB", "C")]) == 6


def test_torsionsThatAreNotRotationsHaveOneMode():
    """In frames of MD, where phi and psi take all their values."""
    topology, _ = load("ace-ala-nme")
    data = pathlib.Path(__file__).parent.parent.parent / "examples/data/alanine_dipeptide_starts.npy"
    frames = 2e-5 * np.load(data).astype(float)
    coordinates = InternalCoordinates(topology)
    u = coordinates.toInternal(frames).coordinates[:, 2 * 22 - 3 :]
    z = np.exp(1j * u)
    deviation = np.abs(np.angle(z / z.mean(axis=0)))
    stiff = coordinates.kinds != Kind.Rotation
    assert deviation[:, stiff].max() < 1.2
    free = [coordinates.names.index(n) - 41 for n in ("phi ALA2", "psi ALA2")]
    assert deviation[:, free].max(axis=0).min() > 3


def test_pairsOfAtomsWithAndWithoutMasses():
    topology, x = load("ace-ala-nme")
    bonds = [(a.index, b.index) for a, b in topology.bonds()]
    masses = [atom.element.mass.value_in_unit(unit.dalton) for atom in topology.atoms()]
    expected = InternalCoordinates(topology).zmatrix
    np.testing.assert_array_equal(InternalCoordinates(bonds, masses=masses).zmatrix, expected)
    np.testing.assert_array_equal(
        InternalCoordinates(np.array(bonds), masses=masses * unit.dalton, numAtoms=22).zmatrix, expected
    )
    assert InternalCoordinates(bonds).zmatrix.shape == (22, 4)
    given = InternalCoordinates([], zmatrix=expected)
    np.testing.assert_array_equal(given.zmatrix, expected)
    assert given.names[0].startswith("bond ")


def test_quantitiesAndSingleConfigurations():
    topology, x = load("AA")
    coordinates = InternalCoordinates(topology)
    one = coordinates.toInternal(x * unit.nanometer)
    np.testing.assert_array_equal(
        one.coordinates, coordinates.toInternal([x.tolist()] * unit.nanometer).coordinates
    )
    np.testing.assert_allclose(
        coordinates.toInternal(10 * x * unit.angstrom).coordinates, one.coordinates, atol=1e-12
    )
    assert coordinates.toCartesian(one.coordinates[0]).positions.shape == (1, *x.shape)
    with pytest.raises(openmm.OpenMMException, match="must be in nm, their unit is"):
        coordinates.toInternal(x * unit.kelvin)
    with pytest.raises(
        openmm.OpenMMException, match=r"positions must have the shape \[n,23,3\], got \[1, 22, 3\]"
    ):
        coordinates.toInternal(x[:22])
    with pytest.raises(openmm.OpenMMException, match=r"coordinates must have the shape \[n,63\]"):
        coordinates.toCartesian(np.zeros(60))


def test_whatHasNoCoordinatesHasAStatus():
    topology, x = load("ace-ala-nme")
    coordinates = InternalCoordinates(topology)
    frames = np.array([x, x, x, x])
    frames[1, 3] = np.nan
    frames[2, 5] = frames[2, 4]
    line = coordinates.zmatrix[2, :3]
    frames[3, line[0]] = 2 * frames[3, line[1]] - frames[3, line[2]]
    u, logJacobian, status = coordinates.toInternal(frames)
    assert [Status(s) for s in status] == [Status.Ok, Status.NotFinite, Status.Bond, Status.Angle]
    assert np.isfinite(u[0]).all() and np.isnan(u[1:]).all()
    assert np.isfinite(logJacobian[0]) and np.isnan(logJacobian[1:]).all()
    for bad, sentence in ((1, "not finite"), (2, "atoms O-C ACE1 are in one place"), (3, "lie on a line")):
        with pytest.raises(openmm.OpenMMException, match=f"InternalCoordinates: .*{sentence}"):
            InternalCoordinates(topology, positions=frames[bad])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"bonds": [(0, 1)]}, "has 2 atoms, expected 3 or more"),
        ({"bonds": [(0, 1), (1, 2)], "numAtoms": 4}, "no chain of bonds leads from atom 0 to atom 3"),
        ({"bonds": [(0, 1, 2)]}, r"bonds must be integers of the shape \[n,2\]"),
        ({"bonds": [(0.5, 1)]}, r"bonds must be integers of the shape \[n,2\]"),
        ({"bonds": [(0, 1), (1, 2)], "masses": [1.0]}, "1 masses for 3 atoms"),
        ({"bonds": [], "zmatrix": [[0, -1, -1, -1], [1, 0, -1, -1], [2, 1, 1, -1]]}, "an atom twice"),
    ],
)
def test_saysWhatIsWrong(arguments, sentence):
    with pytest.raises(openmm.OpenMMException, match=sentence):
        InternalCoordinates(**arguments)


def test_aTopologyWithoutBondsIsRefused():
    topology = app.Topology()
    residue = topology.addResidue("X", topology.addChain())
    for name in "ABC":
        topology.addAtom(name, app.Element.getBySymbol("C"), residue)
    with pytest.raises(openmm.OpenMMException, match="has no bonds; add them"):
        InternalCoordinates(topology)


def test_orientationsAreAFunctionOfSeedAndNumber():
    topology, x = load("AA")
    coordinates = InternalCoordinates(topology)
    frames = np.array([x] * 6)
    turned = coordinates.orient(frames, seed=3)
    np.testing.assert_array_equal(coordinates.orient(frames[:2], seed=3, first=4), turned[4:])
    assert np.abs(turned[0] - turned[1]).max() > 0.01
    assert np.abs(turned.mean(axis=1)).max() < 1e-12
    np.testing.assert_allclose(distances(turned), distances(frames), atol=1e-12)
    np.testing.assert_array_equal(frames[0], x)


def test_settingsOfAFlowHaveCentresWhereNothingTurns():
    topology, x = load("ace-ala-nme")
    coordinates = InternalCoordinates(topology)
    data = pathlib.Path(__file__).parent.parent.parent / "examples/data/alanine_dipeptide_starts.npy"
    settings = coordinates.flowSettings(2e-5 * np.load(data).astype(float))
    assert settings["kind"] == "internal"
    np.testing.assert_array_equal(settings["rows"], coordinates.zmatrix)
    names = coordinates.names[-len(settings["centres"]) :]
    circular = [name for name, centre in zip(names, settings["centres"], strict=True) if centre is None]
    # The amide bonds stay trans.
    assert circular[:2] == ["phi ALA2", "psi ALA2"] and len(circular) == 5
    assert abs(abs(settings["centres"][names.index("omega ALA2")]) - np.pi) < 0.1


def test_copiesAreEqual():
    coordinates = InternalCoordinates(load("AA")[0])
    copy = pickle.loads(pickle.dumps(coordinates))
    assert copy.names == coordinates.names
    np.testing.assert_array_equal(copy.zmatrix, coordinates.zmatrix)

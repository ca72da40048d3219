"""Handedness: centres found in the graph, and frames of either hand."""

import json
import pathlib
import pickle
import time

import numpy as np
import openmm
import pytest
from openmm import app, unit
from openmm.app.element import Element
from openmmscore import BoltzmannTarget
from openmmscore.sampling import BoltzmannSampler, GaussianMixtureProposal
from openmmscore.sampling.frames import Chirality
from safetensors import safe_open

DATA = pathlib.Path(__file__).parent.parent / "data/prose"
SEQUENCES = sorted(path.stem for path in (DATA / "chirality").glob("*.safetensors"))


def load(sequence):
    """Return a peptide's topology, the arrays of its case, and the labels of its frames and centres."""
    with safe_open(DATA / f"chirality/{sequence}.safetensors", "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        labels = [json.loads(file.metadata()[key]) for key in ("frame_labels", "correct_center_names")]
    return app.PDBFile(str(DATA / f"pdb/{sequence}.pdb")).topology, arrays, *labels


# The isoleucine of ARIP is not nature's: see test_alloIsoleucineIsNotNatures.
@pytest.mark.parametrize(
    "sequence, withReference",
    [(name, True) for name in SEQUENCES] + [(name, False) for name in SEQUENCES if name != "ARIP"],
)
def test_framesOfPeptidesAreToldApart(sequence, withReference):
    topology, arrays, labels, names = load(sequence)
    chirality = Chirality(topology, arrays["reference_nm.f32"] if withReference else None)
    frames = arrays["frames_nm.f32"]
    assert sorted(chirality.centreNames) == sorted(names)
    assert np.array_equal(~chirality.check(frames), arrays["correct.flagged"] != 0), labels
    # The same neighbours in the same order as the golden ones, so the same numbers.
    order = [list(chirality.centres[:, 0]).index(row[0]) for row in arrays["correct.centers"]]
    assert np.array_equal(chirality.centres[order], arrays["correct.centers"])
    products = chirality.tripleProducts(frames)[:, order]
    np.testing.assert_allclose(products, arrays["correct.triple_product_nm3.f64"], rtol=1e-6, atol=1e-10)


def test_alloIsoleucineIsNotNatures():
    """The structure of ARIP has (2S,3R)-isoleucine, nature's is (2S,3S)."""
    topology, arrays, labels, _ = load("ARIP")
    right = Chirality(topology).check(arrays["frames_nm.f32"])
    assert [label for label, ok in zip(labels, right, strict=True) if ok] == ["inverted_ILE3_CB"]


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_mirrorImagesHaveTheOtherHandAndTheSameEnergy(sequence):
    topology, arrays, labels, _ = load(sequence)
    chirality = Chirality(topology, arrays["reference_nm.f32"])
    frames = arrays["frames_nm.f32"].astype(float)
    wrong = chirality.wrongCentres(frames)
    assert np.array_equal(chirality.wrongCentres(chirality.mirror(frames)), ~wrong)
    assert chirality.counts(frames) == dict(zip(chirality.centreNames, wrong.sum(axis=0), strict=True))
    # The frame that is the mirror image as a whole is mended by a mirror, one with a single D residue is not
    # (unless there is only one centre).
    mended = chirality.check(chirality.mirror(frames))
    assert mended[labels.index("mirror")] and not mended[labels.index("L")]
    if len(chirality.centres) > 1:
        assert mended.sum() == 1
    field = app.ForceField("amber14-all.xml", "implicit/obc1.xml")
    if sequence != "ace-ala-nme":
        target = BoltzmannTarget(field.createSystem(topology), 300, 1, "Reference")
        energies = target.reducedEnergies(np.array([frames[0], -frames[0]]))
        assert abs(energies[0] - energies[1]) < 1e-9 * abs(energies[0])


def molecule(text, bonds):
    """Return the Topology of a molecule: elements, and bonds by index."""
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [
        topology.addAtom(f"{symbol}{i}", Element.getBySymbol(symbol), residue)
        for i, symbol in enumerate(text.split())
    ]
    for a, b in bonds:
        topology.addBond(atoms[a], atoms[b])
    return topology


def centresOf(topology):
    reference = np.random.default_rng(1).standard_normal((topology.getNumAtoms(), 3))
    return [int(row[0]) for row in Chirality(topology, reference).centres]


def test_fourDifferentAtomsMakeACentre():
    assert centresOf(molecule("C F Cl Br H", [(0, 1), (0, 2), (0, 3), (0, 4)])) == [0]
    assert centresOf(molecule("C F Cl H H", [(0, 1), (0, 2), (0, 3), (0, 4)])) == []
    # Phosphorus and silicon too; a metal has other geometries.
    assert centresOf(molecule("P F Cl Br H", [(0, 1), (0, 2), (0, 3), (0, 4)])) == [0]
    assert centresOf(molecule("Zn F Cl Br H", [(0, 1), (0, 2), (0, 3), (0, 4)])) == []


def chain(numLeft, numRight, hetero="F"):
    """Return a carbon with H, a hetero atom and two alkyl chains of given lengths."""
    symbols, bonds = ["C", "H", hetero], [(0, 1), (0, 2)]
    for length in (numLeft, numRight):
        last = 0
        for _ in range(length):
            symbols.append("C")
            bonds.append((last, len(symbols) - 1))
            last = len(symbols) - 1
            for _ in range(2):
                symbols.append("H")
                bonds.append((last, len(symbols) - 1))
        symbols.append("H")
        bonds.append((last, len(symbols) - 1))
    return molecule(" ".join(symbols), bonds)


@pytest.mark.parametrize("left, right", [(1, 1), (1, 2), (5, 5), (5, 6), (12, 11), (12, 12)])
def test_neighboursDifferHoweverFarAway(left, right):
    assert centresOf(chain(left, right)) == ([0] if left != right else [])


def ring(substituents):
    """Return cyclohexane with an atom in place of one hydrogen at some ring positions, by number."""
    symbols = ["C"] * 6
    bonds = [(i, (i + 1) % 6) for i in range(6)]
    for i in range(6):
        for symbol in (substituents.get(i, "H"), "H"):
            symbols.append(symbol)
            bonds.append((i, len(symbols) - 1))
    return molecule(" ".join(symbols), bonds)


def test_ringsAreSeenFromBothSides():
    assert centresOf(ring({0: "F"})) == []
    assert centresOf(ring({0: "F", 3: "F"})) == []
    assert centresOf(ring({0: "F", 3: "Cl"})) == []
    assert centresOf(ring({0: "F", 1: "F"})) == [0, 1]
    assert centresOf(ring({0: "F", 2: "Cl"})) == [0, 2]
    # 1, 3, 5 alike: three-fold symmetry of the graph.
    assert centresOf(ring({0: "F", 2: "F", 4: "F"})) == []


def test_orderOfAtomsDoesNotMatter():
    topology, arrays, _, names = load("LTVS")
    atoms, bonds = list(topology.atoms()), list(topology.bonds())
    random = np.random.default_rng(3)
    order = np.concatenate(
        [random.permutation([atom.index for atom in residue.atoms()]) for residue in topology.residues()]
    )
    shuffled = app.Topology()
    chainOf = shuffled.addChain()
    residues = [shuffled.addResidue(residue.name, chainOf, residue.id) for residue in topology.residues()]
    new = {}
    for i in order:
        new[i] = shuffled.addAtom(atoms[i].name, atoms[i].element, residues[atoms[i].residue.index])
    for a, b in bonds:
        shuffled.addBond(new[b.index], new[a.index])
    # A Topology numbers atoms in the order in which they were added.
    frames = arrays["frames_nm.f32"][:, order]
    chirality = Chirality(shuffled)
    assert sorted(chirality.centreNames) == sorted(names)
    assert np.array_equal(~chirality.check(frames), arrays["correct.flagged"] != 0)


def test_handednessSurvivesRotationAndNoise():
    topology, arrays, *_ = load("ARIP")
    chirality = Chirality(topology, arrays["reference_nm.f32"])
    random = np.random.default_rng(2)
    rotations = np.linalg.qr(random.standard_normal((200, 3, 3)))[0]
    rotations *= np.linalg.det(rotations)[:, None, None]
    frames = np.einsum("nij,aj->nai", rotations, arrays["reference_nm.f32"].astype(float)) + 3.0
    frames += 0.005 * random.standard_normal(frames.shape)
    assert chirality.check(frames).all()
    assert not chirality.check(-frames).any()
    frames[7, 4, 1] = np.nan
    frames[9] = np.inf
    right = chirality.check(frames)
    assert not right[9] and right.sum() >= 198


def test_referenceDecides():
    topology, arrays, labels, _ = load("AA")
    frames = arrays["frames_nm.f32"]
    wanted = labels.index("D_at_ALA2_CA")
    chirality = Chirality(topology, frames[wanted] * 10 * unit.angstrom)
    assert list(np.flatnonzero(chirality.check(frames))) == [wanted]


def test_centresMayBeGiven():
    topology, arrays, labels, _ = load("AA")
    frames = arrays["frames_nm.f32"]
    rows = Chirality(topology).centres[:1]
    chirality = Chirality(topology, frames[0], rows)
    assert list(chirality.check(frames)) == ["mirror" not in n and "ALA1" not in n for n in labels]
    with pytest.raises(openmm.OpenMMException, match="need a reference"):
        Chirality(topology, None, rows)
    for wrong in (rows[:, :3], rows.astype(float), rows + 100):
        with pytest.raises(openmm.OpenMMException, match="centre"):
            Chirality(topology, frames[0], wrong)


def test_mistakesAreNamed():
    topology, arrays, *_ = load("AA")
    with pytest.raises(openmm.OpenMMException, match="MOL0:C0|MOL.*is not known by its name"):
        Chirality(molecule("C F Cl Br H", [(0, 1), (0, 2), (0, 3), (0, 4)]))
    with pytest.raises(openmm.OpenMMException, match="is flat or not finite"):
        Chirality(topology, np.zeros((23, 3)))
    with pytest.raises(openmm.OpenMMException, match="must be one configuration"):
        Chirality(topology, arrays["frames_nm.f32"])
    with pytest.raises(openmm.OpenMMException, match=r"shape \[n,23,3\], got \[1, 22, 3\]"):
        Chirality(topology).check(np.zeros((22, 3)))
    with pytest.raises(openmm.OpenMMException, match=r"expected an openmm.app.Topology, got None"):
        Chirality(None)
    with pytest.raises(openmm.OpenMMException, match="no bonds"):
        Chirality(molecule("C C", []))


def test_moleculesWithoutCentresAreAlwaysRight():
    chirality = Chirality(molecule("C H H H H", [(0, 1), (0, 2), (0, 3), (0, 4)]))
    assert chirality.check(np.zeros((3, 5, 3))).all() and "0 centres" in repr(chirality)


def test_picklesAndRepr():
    topology, arrays, *_ = load("ARIP")
    chirality = Chirality(topology)
    copy = pickle.loads(pickle.dumps(chirality))
    frames = arrays["frames_nm.f32"]
    assert np.array_equal(copy.check(frames), chirality.check(frames))
    assert repr(copy).startswith("<Chirality: 5 centres: ALA1:CA, ")


def test_largeMoleculesTakeNoLongTime():
    """A chain of four hundred carbons with methyl groups: no search of the whole molecule for each."""
    symbols, bonds = [], []
    for i in range(400):
        symbols += "C C H H H H".split()
        at = 6 * i
        bonds += [(at, at + 1), (at, at + 2), (at + 1, at + 3), (at + 1, at + 4), (at + 1, at + 5)]
        if i:
            bonds.append((at, at - 6))
    start = time.perf_counter()
    assert len(centresOf(molecule(" ".join(symbols), bonds))) == 400 - 2
    assert time.perf_counter() - start < 20


def test_samplesOfEitherHandAreRejectedOrMirrored():
    """A proposal that draws both hands equally: q(x) = q(-x), so a mirror keeps all at half the weight."""
    topology, arrays, *_ = load("ace-ala-nme")
    chirality = Chirality(topology)
    structure = arrays["reference_nm.f32"].astype(float)
    structure -= structure.mean(axis=0)
    width = 2e-3
    proposal = GaussianMixtureProposal([0.5, 0.5], np.array([structure, -structure]), np.full(2, width**2))
    field = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    target = BoltzmannTarget(field.createSystem(topology), 300, 2, "Reference")
    results = {
        policy: BoltzmannSampler(
            proposal, target, chirality, policy, centreOfMass=width / np.sqrt(len(structure))
        ).sample(400, seed=1)
        for policy in ("reject", "mirror")
    }
    right = chirality.check(proposal.sample(400, seed=1)[0])
    assert 150 < right.sum() < 250
    rejected, mirrored = results["reject"], results["mirror"]
    assert rejected.counts["wrong chirality"] == (~right).sum()
    assert mirrored.counts["ok, mirrored"] == (~right).sum()
    assert "wrong chirality" not in mirrored.counts or mirrored.counts["wrong chirality"] == 0
    assert (rejected.logWeight[~right] == -np.inf).all()
    np.testing.assert_allclose(
        mirrored.logWeight[right], rejected.logWeight[right] - np.log(2), rtol=0, atol=1e-8
    )
    assert np.isfinite(mirrored.logWeight).all()
    assert chirality.check(np.array(mirrored.positions)).all()

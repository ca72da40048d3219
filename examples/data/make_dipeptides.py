"""Simulate dipeptides and keep their ten beads: the training data of a transferable model.

Each dipeptide (two amino acids with charged ends) is built from the force field's residue templates and
simulated with amber14 and the implicit solvent OBC1 at 310 K: Langevin dynamics with friction 0.3/ps, no
constraints, no cutoff, bonded forces every 0.5 fs. What is kept are the beads N, CA, CB, C, O of both
residues, so no sequence may hold a G. SEQUENCE.npy gets float16 frames [frames, 10, 3] in nm, each centred.

    python make_dipeptides.py AA AV LS --frames 2000 --workers 2

A run that was interrupted goes on where it was; a file that is there is left alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from tqdm import tqdm

RESIDUES = dict(
    zip(
        "ARNDCQEHILKMFPSTWYV",
        "ALA ARG ASN ASP CYS GLN GLU HIE ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split(),
        strict=True,
    )
)
BEADS = ["N", "CA", "CB", "C", "O"]
#: Centre and three neighbours whose triple product is positive: L-amino acids, and two side chains.
CHIRAL = {
    "": ("CA", "N", "C", "CB"),
    "ILE": ("CB", "CA", "CG2", "CG1"),
    "THR": ("CB", "CA", "OG1", "CG2"),
}
TEMPERATURE = 310 * unit.kelvin
STEP = 0.002  # ps
CHUNK = 100  # frames between two checkpoints


def makeTopology(forceField: app.ForceField, sequence: str) -> app.Topology:
    """Join the templates of the first and the last residue of a chain by a peptide bond."""
    topology = app.Topology()
    chain = topology.addChain()
    ends = []
    for letter, terminus in zip(sequence, "NC", strict=True):
        template = forceField._templates[terminus + RESIDUES[letter]]
        residue = topology.addResidue(RESIDUES[letter].replace("HIE", "HIS"), chain)
        atoms = [topology.addAtom(atom.name, atom.element, residue) for atom in template.atoms]
        for first, second in template.bonds:
            topology.addBond(atoms[first], atoms[second])
        ends.append({atom.name: atom for atom in atoms})
    topology.addBond(ends[0]["C"], ends[1]["N"])
    return topology


def chiralCentres(topology: app.Topology) -> list[list[int]]:
    """Return the atoms of every chiral centre: itself and three neighbours of positive triple product."""
    centres = []
    for residue in topology.residues():
        index = {atom.name: atom.index for atom in residue.atoms()}
        for name in ("", residue.name):
            if name in CHIRAL:
                centres.append([index[atom] for atom in CHIRAL[name]])
    return centres


def tripleProducts(positions: np.ndarray, centres: list[list[int]]) -> np.ndarray:
    """Return the triple products (nm^3) of the three neighbours of each centre."""
    a, b, c, d = positions[np.array(centres)].transpose(1, 0, 2)
    return np.einsum("ij,ij->i", b - a, np.cross(c - a, d - a))


def makeStructure(topology: app.Topology, system: openmm.System, seed: int) -> np.ndarray:
    """Fold random points into the molecule: bonds, angles, chirality and a trans peptide bond first.

    Some attempts end in a knot, so the lowest of a few is taken.
    """
    geometry = openmm.XmlSerializer.clone(system)
    for k in reversed(range(geometry.getNumForces())):
        if not isinstance(geometry.getForce(k), openmm.HarmonicBondForce | openmm.HarmonicAngleForce):
            geometry.removeForce(k)
    centres = chiralCentres(topology)
    volume = "(x2-x1)*((y3-y1)*(z4-z1)-(z3-z1)*(y4-y1))"
    volume += "-(y2-y1)*((x3-x1)*(z4-z1)-(z3-z1)*(x4-x1))+(z2-z1)*((x3-x1)*(y4-y1)-(y3-y1)*(x4-x1))"
    chirality = openmm.CustomCompoundBondForce(4, f"1e8*min(0, v-0.0025)^2; v={volume}")
    for centre in centres:
        chirality.addBond(centre, [])
    geometry.addForce(chirality)
    omega = openmm.CustomTorsionForce("200*(1+cos(theta))")
    index = [{atom.name: atom.index for atom in residue.atoms()} for residue in topology.residues()]
    omega.addTorsion(index[0]["CA"], index[0]["C"], index[1]["N"], index[1]["CA"])
    geometry.addForce(omega)
    apart = openmm.CustomNonbondedForce("1e4*min(0, r-0.22)^2")
    for _ in range(system.getNumParticles()):
        apart.addParticle([])
    apart.createExclusionsFromBonds([(a.index, b.index) for a, b in topology.bonds()], 2)
    geometry.addForce(apart)

    random = np.random.default_rng(seed)
    rough, fine = newContext(geometry, seed), newContext(system, seed)
    best, lowest = None, np.inf
    for _ in range(8):
        rough.setPositions(random.normal(scale=0.3, size=(system.getNumParticles(), 3)))
        openmm.LocalEnergyMinimizer.minimize(rough)
        fine.setPositions(rough.getState(positions=True).getPositions())
        openmm.LocalEnergyMinimizer.minimize(fine)
        state = fine.getState(positions=True, energy=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
        if energy < lowest and np.all(tripleProducts(positions, centres) > 1e-3):
            best, lowest = positions, energy
    if best is None:
        raise RuntimeError("no attempt at building the molecule gave the right chirality")
    return best


def newContext(system: openmm.System, seed: int) -> openmm.Context:
    """Return a Context on one thread, which is the best for so few atoms.

    The solvent, a CustomGBForce, takes most of the time and varies slowly: it and the other nonbonded forces
    act once in 2 fs, all bonded ones four times, which is twice as fast as steps of 0.5 fs for everything.
    """
    for force in system.getForces():
        slow = isinstance(force, openmm.NonbondedForce | openmm.CustomGBForce)
        force.setForceGroup(0 if slow else 1)
    integrator = openmm.MTSLangevinIntegrator(
        TEMPERATURE, 0.3 / unit.picosecond, STEP * unit.picosecond, [(0, 1), (1, 4)]
    )
    integrator.setRandomNumberSeed(seed)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})


def simulate(task: tuple[str, argparse.Namespace]) -> str:
    """Make one file, going on from its checkpoint if there is one."""
    sequence, options = task
    path, part = options.output / f"{sequence}.npy", options.output / f"{sequence}.part.npz"
    if path.exists():
        return f"{path.name} is there already"
    forceField = app.ForceField("amber14-all.xml", "implicit/obc1.xml")
    topology = makeTopology(forceField, sequence)
    system = forceField.createSystem(topology, nonbondedMethod=app.NoCutoff, constraints=None)
    seed = options.seed + 1000 * sum(ord(letter) << (8 * k) for k, letter in enumerate(sequence)) % 2**30
    context = newContext(system, seed)
    beads = [
        {atom.name: atom.index for atom in residue.atoms()}[name]
        for residue in topology.residues()
        for name in BEADS
    ]
    steps = round(options.interval / STEP)
    if part.exists():
        saved = np.load(part)
        frames = list(saved["frames"])
        context.loadCheckpoint(saved["checkpoint"].tobytes())
    else:
        frames = []
        context.setPositions(makeStructure(topology, system, seed))
        context.setVelocitiesToTemperature(TEMPERATURE, seed)
        context.getIntegrator().step(round(options.equilibration / STEP))
    with tqdm(total=options.frames, initial=len(frames), desc=sequence, unit="frame", leave=False) as bar:
        while len(frames) < options.frames:
            context.getIntegrator().step(steps)
            positions = context.getState(positions=True).getPositions(asNumpy=True)
            kept = positions.value_in_unit(unit.nanometer)[beads]
            frames.append((kept - kept.mean(axis=0)).astype(np.float16))
            bar.update()
            if len(frames) % CHUNK == 0 and len(frames) < options.frames:
                checkpoint = np.frombuffer(context.createCheckpoint(), dtype=np.uint8)
                with open(f"{part}.new", "wb") as file:
                    np.savez(file, frames=np.stack(frames), checkpoint=checkpoint)
                os.replace(f"{part}.new", part)
    result = np.stack(frames)
    if not np.isfinite(result).all():
        raise RuntimeError(f"{sequence}: the simulation exploded")
    with open(f"{path}.new", "wb") as file:
        np.save(file, result)
    os.replace(f"{path}.new", path)
    part.unlink(missing_ok=True)
    return f"{path.name}: {len(result)} frames"


def main() -> None:
    """Read the command line and simulate each sequence in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sequences", nargs="+", help="two letters each, for example AV")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "dipeptides")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=0.3, help="ps between two frames")
    parser.add_argument("--equilibration", type=float, default=20.0, help="ps before the first frame")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for sequence in options.sequences:
        if len(sequence) != 2 or not set(sequence) <= set(RESIDUES):
            sys.exit(f"make_dipeptides: {sequence!r} is not two letters out of {''.join(RESIDUES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(options.workers) as pool:
        tasks = [(sequence, options) for sequence in options.sequences]
        for message in pool.imap_unordered(simulate, tasks):
            print(message, flush=True)


if __name__ == "__main__":
    main()

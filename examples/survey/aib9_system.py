"""CHARMM36 with implicit solvent (OBC2), in the forces of OpenMM that are fastest for a small molecule.

OpenMM writes CHARMM36's Lennard-Jones parameters as a table over pairs of types, and OBC2 as formulas, into
custom forces. Where no pair of types has a value of its own and the dielectric constants are the usual ones,
NonbondedForce and GBSAOBCForce are the same function, and a step of Aib9 takes an eighth of the time.
"""

from __future__ import annotations

import numpy as np
import openmm
from openmm import app, unit

#: GBSAOBCForce takes radii, the custom force radii less this, nm
OFFSET = 0.009


def createSystem(topology: app.Topology) -> openmm.System:
    """A System without cutoff, bonds of hydrogen constrained, hydrogens of 3 amu."""
    system = charmmSystem(topology)
    useStandardForces(system)
    return system


def charmmSystem(topology: app.Topology) -> openmm.System:
    """The same as OpenMM writes it."""
    return app.ForceField("charmm36.xml", "implicit/obc2.xml").createSystem(
        topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds, hydrogenMass=3 * unit.amu
    )


def useStandardForces(system: openmm.System) -> None:
    """Replace its custom forces, energies and forces staying what they are."""
    useNonbondedForce(system)
    useGBSAOBCForce(system)


def useNonbondedForce(system: openmm.System) -> None:
    """Move the Lennard-Jones terms of two custom forces to NonbondedForce."""
    nonbonded = forceNamed(system, "NonbondedForce")
    table = forceNamed(system, "LennardJones")
    types = [int(table.getParticleParameters(i)[0]) for i in range(table.getNumParticles())]
    sigma, epsilon = lorentzBerthelot(table, sorted(set(types)))
    for i, kind in enumerate(types):
        charge = nonbonded.getParticleParameters(i)[0]
        nonbonded.setParticleParameters(i, charge, sigma[kind], epsilon[kind])
    near = forceNamed(system, "LennardJones14")
    pairs = {}
    for i in range(near.getNumBonds()):
        first, second, parameters = near.getBondParameters(i)
        pairs[frozenset((first, second))] = parameters
    for i in range(nonbonded.getNumExceptions()):
        first, second, charges, *_ = nonbonded.getExceptionParameters(i)
        # Nearer neighbours than those of a torsion have no Lennard-Jones term at all.
        parameters = pairs.pop(frozenset((first, second)), (1.0, 0.0))
        nonbonded.setExceptionParameters(i, first, second, charges, *parameters)
    assert not pairs, "a pair of LennardJones14 is no exception of NonbondedForce"
    removeForce(system, "LennardJones")
    removeForce(system, "LennardJones14")


def lorentzBerthelot(
    force: openmm.CustomNonbondedForce, types: list[int]
) -> tuple[dict[int, float], dict[int, float]]:
    """Sigma (nm) and epsilon (kJ/mol) of each type; refused if a pair does not follow from its two types."""
    count, _, twelve = force.getTabulatedFunction(0).getFunctionParameters()
    _, _, six = force.getTabulatedFunction(1).getFunctionParameters()
    twelve, six = (np.reshape(values, (count, count))[np.ix_(types, types)] for values in (twelve, six))
    sigma = (np.diag(twelve) / np.diag(six)) ** (1 / 6)
    epsilon = np.diag(six) ** 2 / (4 * np.diag(twelve))
    pairSigma = (sigma[:, None] + sigma) / 2
    pairEpsilon = np.sqrt(epsilon[:, None] * epsilon)
    np.testing.assert_allclose(twelve, 4 * pairEpsilon * pairSigma**12, rtol=1e-6)
    np.testing.assert_allclose(six, 4 * pairEpsilon * pairSigma**6, rtol=1e-6)
    return dict(zip(types, sigma, strict=True)), dict(zip(types, epsilon, strict=True))


def useGBSAOBCForce(system: openmm.System) -> None:
    """The formulas of OBC2 (Onufriev, Bashford and Case 2004), which GBSAOBCForce has built in."""
    custom = forceNamed(system, "CustomGBForce")
    force = openmm.GBSAOBCForce()
    force.setSoluteDielectric(1.0)
    force.setSolventDielectric(78.5)
    for i in range(custom.getNumParticles()):
        charge, offsetRadius, scaledRadius = custom.getParticleParameters(i)
        force.addParticle(charge, offsetRadius + OFFSET, scaledRadius / offsetRadius)
    removeForce(system, "CustomGBForce")
    system.addForce(force)


def forceNamed(system: openmm.System, name: str) -> openmm.Force:
    return next(force for force in system.getForces() if force.getName() == name)


def removeForce(system: openmm.System, name: str) -> None:
    system.removeForce([force.getName() for force in system.getForces()].index(name))

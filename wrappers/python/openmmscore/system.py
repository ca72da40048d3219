"""OpenMM Systems and Topologies out of a model file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import unit

from ._arrays import checkedCount
from ._units import lengths
from .features import renamedResidues
from .model import Model
from .plugin import ScoreForce

if TYPE_CHECKING:
    from openmm import app


def createSystem(
    model: Model | str | os.PathLike[str],
    copies: int = 100,
    features: ArrayLike | None = None,
    diffusionTime: float | None = None,
    removeCMMotion: bool = False,
    nonConservative: bool = False,
    sequence: str | None = None,
) -> tuple[app.Topology, openmm.System]:
    """Create a Topology and a System of many independent copies of the molecule that a model describes.

    The System holds the masses and one ScoreForce with a molecule for each copy. Copies do not interact, so
    they may lie on top of one another, and there is no box. They make `copies` independent simulations that
    are computed together.

    Parameters
    ----------
    model : Model, str or os.PathLike
        a model, or the path of its file; it must name its particles
    copies : int
        how many copies of the molecule
    features : int array, shape [N,k] or [copies,N,k] (the k may be left out if it is 1), optional
        what a transferable network is told about each particle: the same for all copies, or for each
    diffusionTime : float, optional
        the diffusion time at which the model is evaluated (default: the model file's)
    removeCMMotion : bool
        whether to add a CMMotionRemover. It acts on all copies together, which ties them to each other, so
        the default is not to; each copy then diffuses freely, which changes nothing about its shape
    nonConservative : bool
        whether to accept a network that gives a score but no energy, see ScoreForce.setNonConservative()
    sequence : str, optional
        in place of features: one letter for each residue of the molecule, see Model.sequenceFeatures(); the
        Topology gets the names of these residues

    Returns
    -------
    openmm.app.Topology
        one chain for each copy, with the residues, atoms and bonds of the model file; a particle that is no
        atom has the element None
    openmm.System
        particles in the order of the Topology: copy i holds i*N ... i*N+N-1

    Raises
    ------
    openmm.OpenMMException
        if the model file is bad or names no particles, copies is not positive, or features do not fit

    Examples
    --------
    >>> topology, system = openmmscore.createSystem("alanine.safetensors", copies=100)
    >>> integrator = LangevinMiddleIntegrator(300*kelvin, 1/picosecond, 2*femtosecond)
    >>> simulation = Simulation(topology, system, integrator)

    A transferable network is told which molecule it is:

    >>> topology, system = openmmscore.createSystem("dipeptides.safetensors", sequence="AV")
    """
    if not isinstance(model, Model):
        model = Model(model)
    particles = model.description["particles"]
    if not particles:
        raise openmm.OpenMMException(
            f"createSystem: the model {model.title!r} names no particles, so masses are unknown; build the "
            "System by hand and add a ScoreForce with addMolecule()"
        )
    copies = checkedCount(copies, "createSystem: copies")

    description = model.description
    if sequence is not None:
        if features is not None:
            raise openmm.OpenMMException("createSystem: give either features or a sequence, not both")
        features = model.sequenceFeatures(sequence)
        description["particles"] = renamedResidues(sequence, particles)
    force = ScoreForce(model)
    force.setNonConservative(nonConservative)
    if diffusionTime is not None:
        force.setDiffusionTime(diffusionTime)
    each = model._featureArray(features, copies).reshape(copies, -1)
    system = openmm.System()
    for copy in range(copies):
        first = copy * len(particles)
        for particle in particles:
            system.addParticle(particle["mass"])
        force.addMolecule(range(first, first + len(particles)), each[copy])
    system.addForce(force)
    if removeCMMotion:
        system.addForce(openmm.CMMotionRemover())
    return _createTopology(description, copies), system


def _createTopology(description: dict, copies: int) -> app.Topology:
    # Takes 0.3 s to import, which a script that only evaluates a model need not wait for.
    from openmm import app

    particles = description["particles"]
    elements = [_element(app, particle) for particle in particles]
    topology = app.Topology()
    for _ in range(copies):
        chain = topology.addChain()
        atoms: list[app.Atom] = []
        residue, key = None, None
        for particle, element in zip(particles, elements, strict=True):
            if residue is None or key != (particle["residue"], particle["residue_index"]):
                key = (particle["residue"], particle["residue_index"])
                residue = topology.addResidue(particle["residue"], chain, id=str(particle["residue_index"]))
            atoms.append(topology.addAtom(particle["name"], element, residue))
        for first, second in description["bonds"]:
            topology.addBond(atoms[first], atoms[second])
    return topology


def _element(app, particle: dict):
    if not particle["element"]:
        return None
    try:
        return app.Element.getBySymbol(particle["element"])
    except KeyError:
        raise openmm.OpenMMException(
            f"createSystem: particle {particle['name']!r} has the element {particle['element']!r}, which "
            "OpenMM does not know; correct the model file, where a bead that is no atom has an empty element"
        ) from None


def repeatPositions(positions: ArrayLike, copies: int) -> unit.Quantity:
    """Lay out starting structures of one molecule for a System of many copies.

    Parameters
    ----------
    positions : array or Quantity, shape [N,3] or [structures,N,3]
        in nm; copy i gets structure i modulo their number
    copies : int
        how many copies

    Returns
    -------
    Quantity in nm of an array of shape [copies*N,3]

    Raises
    ------
    openmm.OpenMMException
        if positions have another shape or are no lengths, or copies is not positive

    Examples
    --------
    >>> simulation.context.setPositions(openmmscore.repeatPositions(pdb.positions, 100))
    """
    copies = checkedCount(copies, "repeatPositions: copies")
    array = lengths(positions, "repeatPositions: positions")
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim != 3 or array.shape[2] != 3 or len(array) == 0:
        raise openmm.OpenMMException(
            "repeatPositions: positions must have the shape [N,3] or [structures,N,3], got "
            f"{list(array.shape)}"
        )
    chosen = array[np.arange(copies) % len(array)]
    return unit.Quantity(chosen.reshape(-1, 3), unit.nanometer)

"""Trained diffusion models as potentials in OpenMM.

Example
-------
>>> import openmmscore
>>> model = openmmscore.Model("alanine.safetensors")
>>> topology, system = openmmscore.createSystem(model, copies=100)

Submodules: ``sampling`` (proposals, weights, annealing), ``train`` and ``evaluation`` (what the commands of
these names do), ``analysis`` (histograms, free energies, plots), ``convert`` (weights of other programs),
``modelfile`` (what is in a file) and ``diagnostics`` (what is installed and what failed to load). Importing
the package loads neither LibTorch nor anything that only analysis and plots need.
"""

from __future__ import annotations

import openmm as _openmm

from . import buildinfo as _buildinfo

_series = _buildinfo.openmm.split(".")[:2]
if _openmm.version.short_version.split(".")[:2] != _series:
    raise ImportError(
        f"openmmscore {_buildinfo.version} was built for OpenMM {'.'.join(_series)}, but OpenMM "
        f"{_openmm.version.short_version} is installed; install openmm=={'.'.join(_series)}.*, or build "
        "openmmscore again"
    )

from ._plugins import loadPlugins as _loadPlugins  # noqa: E402

#: Name and reason of each platform library of this package that could not be loaded, for example because
#: there is no driver for its device. Empty on a machine where all is well.
pluginLoadFailures: list[str] = _loadPlugins()

from .diffusion import DiffusionDensity, DiffusionSampler, DiffusionSamples  # noqa: E402
from .model import Model  # noqa: E402
from .plugin import MonteCarloFlowMove, ScoreForce, ScoreLangevinIntegrator  # noqa: E402
from .reporters import FlowMoveReporter, MoleculeEnergyReporter, MoleculeTrajectoryReporter  # noqa: E402
from .sampling import (  # noqa: E402
    BoltzmannSampler,
    DiffusionProposal,
    GaussianMixtureProposal,
    InternalCoordinates,
    Proposal,
    WeightedSamples,
    loadProposal,
)
from .system import createSystem, repeatPositions  # noqa: E402
from .target import BoltzmannTarget, FrameStatus, TargetEnergies  # noqa: E402

__version__ = _buildinfo.version
__all__ = [
    "BoltzmannSampler",
    "BoltzmannTarget",
    "DiffusionDensity",
    "DiffusionProposal",
    "DiffusionSampler",
    "DiffusionSamples",
    "FlowMoveReporter",
    "FrameStatus",
    "GaussianMixtureProposal",
    "InternalCoordinates",
    "Model",
    "MonteCarloFlowMove",
    "MoleculeEnergyReporter",
    "MoleculeTrajectoryReporter",
    "Proposal",
    "ScoreForce",
    "ScoreLangevinIntegrator",
    "TargetEnergies",
    "WeightedSamples",
    "createSystem",
    "loadProposal",
    "pluginLoadFailures",
    "repeatPositions",
]

"""How good a model is: torsions, histograms, free energies and their errors, plots.

Nothing here needs a model: everything takes NumPy arrays of samples. ``plots`` draws with Matplotlib and is
imported on its own. docs/physics.md defines the metrics.
"""

from .geometry import bondLengths, dihedrals
from .metrics import (
    Comparison,
    compareSamples,
    freeEnergyError,
    freeEnergySurface,
    jensenShannon2d,
    pairDistanceDivergence,
    relativeWasserstein,
    wasserstein,
)

__all__ = [
    "Comparison",
    "bondLengths",
    "compareSamples",
    "dihedrals",
    "freeEnergyError",
    "freeEnergySurface",
    "jensenShannon2d",
    "pairDistanceDivergence",
    "relativeWasserstein",
    "wasserstein",
]

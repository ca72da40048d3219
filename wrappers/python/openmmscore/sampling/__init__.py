"""Independent samples of a proposal, reweighted for an OpenMM System (docs/reweighting.md)."""

from .estimates import Estimate, Histogram, WeightSummary, WeightWarning
from .freeenergy import Mbar, bar, mbar
from .proposals import AffineCouplingProposal, GaussianMixtureProposal, Proposal, loadProposal
from .weights import Weights, resample

__all__ = [
    "AffineCouplingProposal",
    "Estimate",
    "GaussianMixtureProposal",
    "Histogram",
    "Mbar",
    "Proposal",
    "WeightSummary",
    "WeightWarning",
    "Weights",
    "bar",
    "loadProposal",
    "mbar",
    "resample",
]

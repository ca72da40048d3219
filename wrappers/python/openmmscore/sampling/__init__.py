"""Independent samples of a proposal, reweighted for an OpenMM System (docs/reweighting.md)."""

from .annealed import AnnealedSamples
from .annealing import AnnealedSampler
from .annealingmoves import hmc, mala, towards, ula, withinBand
from .continuousflow import ContinuousFlowProposal, optimalPairing
from .diffusionproposal import DiffusionProposal
from .estimates import Estimate, Histogram, ParetoTail, WeightSummary, WeightWarning
from .frames import Chirality, centroidLogDensity, centroidLogDensityGradient
from .freeenergy import Mbar, bar, mbar
from .independence import (
    ChainState,
    IndependenceChain,
    IndependenceSampler,
    integratedAutocorrelationTime,
)
from .internalcoordinates import InternalCoordinates
from .proposals import AffineCouplingProposal, GaussianMixtureProposal, Proposal, loadProposal
from .resampling import resample
from .sampler import BoltzmannSampler
from .samples import WeightedSamples
from .splineflow import SplineFlowProposal
from .summary import SampleSummary
from .weights import Weights

__all__ = [
    "AffineCouplingProposal",
    "AnnealedSampler",
    "AnnealedSamples",
    "BoltzmannSampler",
    "ChainState",
    "Chirality",
    "ContinuousFlowProposal",
    "DiffusionProposal",
    "Estimate",
    "GaussianMixtureProposal",
    "Histogram",
    "IndependenceChain",
    "IndependenceSampler",
    "InternalCoordinates",
    "Mbar",
    "ParetoTail",
    "Proposal",
    "SampleSummary",
    "SplineFlowProposal",
    "WeightSummary",
    "WeightWarning",
    "WeightedSamples",
    "Weights",
    "bar",
    "centroidLogDensity",
    "centroidLogDensityGradient",
    "hmc",
    "integratedAutocorrelationTime",
    "loadProposal",
    "mala",
    "mbar",
    "optimalPairing",
    "resample",
    "towards",
    "ula",
    "withinBand",
]

"""Independent samples of a proposal, reweighted for an OpenMM System (docs/reweighting.md)."""

from .proposals import AffineCouplingProposal, GaussianMixtureProposal, Proposal, loadProposal

__all__ = ["AffineCouplingProposal", "GaussianMixtureProposal", "Proposal", "loadProposal"]

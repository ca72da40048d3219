"""A million weighted samples need no more memory while they are drawn than ten thousand."""

import resource
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmmscore import BoltzmannSampler, BoltzmannTarget, GaussianMixtureProposal

STATUS = Path("/proc/self/statm")
PAGE = resource.getpagesize()
SAMPLES = 10**6
VARIANCE = 0.01  # nm^2


class Watched:
    """Draws from a proposal and keeps the memory in use at each chunk."""

    def __init__(self, proposal):
        self.proposal, self.megabytes = proposal, []
        self.numParticles, self.logDensity = proposal.numParticles, proposal.logDensity

    def __reduce__(self):
        return Watched, (self.proposal,)

    def sample(self, n, seed, first):
        self.megabytes.append(int(STATUS.read_text().split()[1]) * PAGE / 1e6)
        return self.proposal.sample(n, seed=seed, first=first)


@pytest.mark.validation
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux to tell the memory in use")
def test_memoryStaysFlatWhileAMillionSamplesAreDrawn(tmp_path):
    kT = 300 * openmm.unit.MOLAR_GAS_CONSTANT_R.value_in_unit(
        openmm.unit.kilojoule_per_mole / openmm.unit.kelvin
    )
    system = openmm.System()
    # The target is narrower than the proposal, and ends at x = 0.3 nm: 0.135 % of a particle's are beyond.
    force = openmm.CustomExternalForce(f"{0.6 * kT / VARIANCE}*(x^2+y^2+z^2) + 1e-9*sqrt(0.3-x)")
    for particle in range(2):
        system.addParticle(12.0)
        force.addParticle(particle)
    system.addForce(force)
    proposal = Watched(GaussianMixtureProposal(None, np.zeros((1, 2, 3)), VARIANCE))
    target = BoltzmannTarget(system, 300, numContexts=2, platform="Reference")
    samples = BoltzmannSampler(proposal, target).sample(
        SAMPLES, seed=1, progress=False, output=tmp_path / "samples.nc"
    )
    used = np.array(proposal.megabytes)
    growth = used[10:].max() - used[10]
    print(f"memory grew by {growth:.3f} MB from {used[10]:.1f} MB in {SAMPLES} samples; {samples.counts}")
    assert growth < 2  # what was drawn takes 84 MB
    assert abs(samples.counts["energy not finite"] - 2698) < 5 * 52

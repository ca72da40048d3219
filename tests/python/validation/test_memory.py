"""Long runs need no more memory than short ones."""

import gc
import resource
from pathlib import Path

import numpy as np
import openmm
import pytest
from chains import SpringModel
from openmmscore import ScoreLangevinIntegrator

STATUS = Path("/proc/self/statm")
PAGE = resource.getpagesize()
STEPS_PER_SAMPLE = 100


def residentMegabytes():
    gc.collect()
    return int(STATUS.read_text().split()[1]) * PAGE / 1e6


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux to tell the memory in use")
@pytest.mark.parametrize("platform", ["CPU", "Reference"])
@pytest.mark.parametrize(
    "scheme, otherForce", [("LFMiddle", False), ("LFMiddle", True), ("Metropolized", False)]
)
@pytest.mark.parametrize(
    "steps",
    [10**5, pytest.param(10**6, marks=[pytest.mark.validation, pytest.mark.timeout(1800)])],
    ids=["100000 steps", "1000000 steps"],
)
def test_memoryDoesNotGrow(platform, scheme, otherForce, steps, tmp_path):
    springs = SpringModel(1, tmp_path)
    if otherForce:
        # Zero, but steps then take the way through the Context.
        springs.system.addForce(openmm.HarmonicBondForce())
    integrator = ScoreLangevinIntegrator(300, 1.0, 0.01)
    integrator.setScheme(getattr(ScoreLangevinIntegrator, scheme))
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(springs.system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(springs.positions[0])

    def run(count):
        for _ in range(count // STEPS_PER_SAMPLE):
            integrator.step(STEPS_PER_SAMPLE)
            context.getState(positions=True, velocities=True, energy=True)
            energies = springs.potentialEnergies(context)
        assert np.isfinite(energies).all()

    # The allocator and Python's own pools settle in the first part.
    run(steps // 10)
    before = residentMegabytes()
    run(steps)
    growth = residentMegabytes() - before
    assert context.getStepCount() == steps + steps // 10
    print(f"memory grew by {growth:.3f} MB from {before:.1f} MB in {steps} steps")
    assert growth < 1

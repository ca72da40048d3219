"""Spline flows reweighted to densities whose answers are known."""

import numpy as np
import openmm
import openmmscore
from openmmscore.sampling import AnnealedSampler, InternalCoordinates, SplineFlowProposal, mala
from scipy.special import logsumexp
from scipy.stats import norm
from spline_flows import FRAMES, anyFlow, coupling

# What softplus needs to give a slope of one, with a minimum slope of 1e-3.
OFFSET = np.log(np.expm1(1 - 1e-3))


def splineThrough(x, z, slopes, minimum=1e-3):
    """The numbers of a real coordinate's spline through knots (x, z) with slopes at the inner ones."""
    bins, length = len(x) - 1, x[-1] - x[0]
    shares = [np.log((np.diff(knots) / length - minimum) / (1 - minimum * bins)) for knots in (x, z)]
    return np.concatenate([*shares, np.log(np.expm1(slopes - minimum)) - OFFSET])


def test_aDoubleWellIsReweightedExactly():
    """A spline through the quantiles of a double well, with a coupling that disturbs it."""

    def energy(x):
        return (x[:, 0] ** 2 - 1) ** 2 / 0.4 + x[:, 0] / 2 + 2 * (x[:, 1] - x[:, 0] / 2) ** 2

    grid = np.linspace(-3, 3, 6001)
    density = np.exp(-((grid**2 - 1) ** 2 / 0.4 + grid / 2))
    weights = density / density.sum()
    quantiles = np.cumsum(weights) - 0.5 * weights
    inner = np.linspace(-1.7, 1.6, 23)
    z = norm.ppf(np.interp(inner, grid, quantiles))
    slopes = np.interp(inner, grid, weights / 0.001) / norm.pdf(z)
    numbers = splineThrough(np.r_[-5, inner, 5], np.r_[-5, z, 5], slopes)
    flow = {"dimension": 2, "bins": 24, "layers": [coupling([1], hidden=[8]), coupling([0, 1])]}
    random = np.random.default_rng(4)
    tensors = {
        name: 0.15 * random.normal(size=shape)
        for name, shape in SplineFlowProposal.tensorShapes(flow).items()
        if ".0.linear" in name
    }
    tensors["layers.1.linear.0.bias"] = np.r_[numbers, np.zeros(71)]
    tensors["scale"] = [1.0, 0.8]
    proposal = SplineFlowProposal(flow, tensors, "vector")
    n = 20000
    x, logDensity = proposal.sample(n, seed=9)
    logWeights = -energy(x) - logDensity
    w = np.exp(logWeights - logsumexp(logWeights))
    assert 1 / (w**2).sum() > 0.3 * n
    right = x[:, 0] > 0
    share = w[right].sum()
    error = np.sqrt((w**2 * (right - share) ** 2).sum())
    exact = weights[grid > 0].sum()
    assert abs(share - exact) < 5 * error < 0.05
    logZ = logsumexp(logWeights) - np.log(n)
    errorZ = np.exp(logWeights - logZ).std() / np.sqrt(n)
    assert abs(logZ - np.log(density.sum() * 0.001 * np.sqrt(np.pi / 2))) < 5 * errorZ < 0.05


def test_fourModesOnATorusAreReweightedExactly():
    flow = {"dimension": 2, "circular": [0, 1], "layers": [coupling([0]), coupling([1])] * 2}
    proposal = anyFlow(flow, strength=0.4, location=np.zeros(2))

    def energy(x):
        return -1.5 * np.cos(2 * x[:, 0]) - np.cos(2 * x[:, 1]) - 0.5 * np.cos(x[:, 0] - 1)

    axis = np.linspace(-np.pi, np.pi, 400, endpoint=False)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    exact = np.exp(-energy(grid))
    n = 20000
    x, logDensity = proposal.sample(n, seed=2)
    logWeights = -energy(x) - logDensity
    w = np.exp(logWeights - logsumexp(logWeights))
    for mode in range(4):
        centre = np.array([(mode % 2) * np.pi, (mode // 2) * np.pi])
        inside, gridInside = ((np.cos(each - centre) > 0).all(axis=1) for each in (x, grid))
        share = w[inside].sum()
        error = np.sqrt((w**2 * (inside - share) ** 2).sum())
        assert abs(share - exact[gridInside].sum() / exact.sum()) < 5 * error < 0.05


# A chain of four atoms whose bonds, angles and torsion are independent: energies in kT, what the volume
# element says of each, and where it lies.
TERMS = {
    "bond": (lambda d: 0.5 * ((d - 0.15) / 0.015) ** 2, lambda d: d**2, np.linspace(0.05, 0.3, 4000)),
    "angle": (lambda a: 0.5 * ((a - 1.9) / 0.2) ** 2, np.sin, np.linspace(0, np.pi, 4000)),
    "torsion": (lambda t: 1 + np.cos(3 * t), np.ones_like, np.linspace(-np.pi, np.pi, 4000)),
}


def chainFlow():
    """A flow of the chain, not perfect; and log Z of the chain, from integrals in one dimension."""
    chain = InternalCoordinates([(0, 1), (1, 2), (2, 3)])
    settings = {**chain.flowSettings(FRAMES[:, :4]), "centres": [None]}
    flow = {"dimension": 6, "circular": [5], "layers": [coupling([0, 2, 5]), coupling([1, 3, 4])]}
    location = [*[np.log(0.15)] * 3, 0.3, 0.3, 0.0]
    scale = [0.12] * 3 + [0.25] * 2 + [1.0]
    logZ = np.log(8 * np.pi**2) - 1.5 * np.log(4)
    for count, (u, jacobian, axis) in zip((3, 2, 1), TERMS.values(), strict=True):
        logZ += count * np.log(np.trapezoid(jacobian(axis) * np.exp(-u(axis)), axis))
    return anyFlow(flow, "centred", 0.1, coordinates=settings, location=location, scale=scale), logZ


def chainSystem():
    """The chain for OpenMM, at 300 K."""
    kT = 8.31446261815324e-3 * 300
    system = openmm.System()
    for _ in range(4):
        system.addParticle(12.0)
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for i in range(3):
        bonds.addBond(i, i + 1, 0.15, kT / 0.015**2)
    for i in range(2):
        angles.addAngle(i, i + 1, i + 2, 1.9, kT / 0.2**2)
    torsion = openmm.PeriodicTorsionForce()
    torsion.addTorsion(0, 1, 2, 3, 3, 0.0, kT)
    for force in (bonds, angles, torsion):
        system.addForce(force)
    return system


def test_aMoleculeHasTheLogZOfItsInternalCoordinates():
    proposal, exact = chainFlow()
    n = 20000
    x, logDensity = proposal.sample(n, seed=5)
    bonds = np.diff(x, axis=1)
    lengths = np.linalg.norm(bonds, axis=-1)
    cosines = -(bonds[:, 1:] * bonds[:, :-1]).sum(axis=-1) / (lengths[:, 1:] * lengths[:, :-1])
    normals = np.cross(bonds[:, :-1], bonds[:, 1:])
    torsion = np.arctan2(
        lengths[:, 1] * (bonds[:, 0] * normals[:, 1]).sum(axis=-1),
        (normals[:, 0] * normals[:, 1]).sum(axis=-1),
    )
    energy = TERMS["bond"][0](lengths).sum(axis=1) + TERMS["angle"][0](np.arccos(cosines)).sum(axis=1)
    logWeights = -energy - TERMS["torsion"][0](torsion) - logDensity
    logZ = logsumexp(logWeights) - np.log(n)
    error = np.exp(logWeights - logZ).std() / np.sqrt(n)
    assert abs(logZ - exact) < 5 * error < 0.1
    # All orientations are alike, whatever the flow draws: neither its numbers nor their squares tell.
    direction = bonds[:, 0] / lengths[:, :1]
    assert np.abs(direction.mean(axis=0)).max() < 5 / np.sqrt(3 * n)
    z, _ = proposal.toBase(x)
    correlation = np.corrcoef(np.hstack([z, z**2, direction, direction**2]).T)[: 2 * z.shape[1], -6:]
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    assert np.abs(x.mean(axis=1)).max() < 1e-14


def test_openMMsEnergiesReweightAFlow():
    proposal, exact = chainFlow()
    target = openmmscore.BoltzmannTarget(chainSystem(), 300.0, platform="Reference")
    samples = openmmscore.BoltzmannSampler(proposal, target).sample(4000, seed=4, progress=False)
    value, error = samples.weights.logNormalization()
    assert abs(value - exact) < 5 * error < 0.2
    value, error = samples.average(lambda x: np.linalg.norm(x[:, 1] - x[:, 0], axis=-1))
    u, jacobian, axis = TERMS["bond"]
    density = jacobian(axis) * np.exp(-u(axis))
    assert abs(value - (axis * density).sum() / density.sum()) < 5 * error < 0.002


def test_aFlowIsAnnealedByItsGradient():
    """Walkers that start from a flow move by the gradients of its density."""
    proposal, exact = chainFlow()
    target = openmmscore.BoltzmannTarget(chainSystem(), 300.0, platform="Reference")
    sampler = AnnealedSampler(proposal, target, levels=4, move=mala(1e-5), movesPerLevel=2)
    result = sampler.run(500, seed=1, progress=False)
    value, error = result.logNormalization()
    assert abs(value - exact) < 5 * error < 0.5


def test_aFlowMovesAMoleculeInASimulation():
    proposal, _ = chainFlow()
    system = chainSystem()
    move = openmmscore.MonteCarloFlowMove(proposal, 300.0)
    move.addMolecule([0, 1, 2, 3])
    move.setFrequency(2)
    move.setRandomNumberSeed(3)
    system.addForce(move)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.001)
    integrator.setRandomNumberSeed(2)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(proposal.sample(1, seed=8)[0][0])
    n = 1500
    torsions, lengths = np.empty(n), np.empty(n)
    for i in range(n):
        integrator.step(2)
        x = context.getState(positions=True).getPositions(asNumpy=True)._value
        b = np.diff(x, axis=0)
        lengths[i] = np.linalg.norm(b[0])
        first, second = np.cross(b[0], b[1]), np.cross(b[1], b[2])
        torsions[i] = np.arctan2(np.linalg.norm(b[1]) * b[0] @ second, first @ second)
    accepted = (np.abs(np.diff(torsions)) > 0.3).mean()
    assert accepted > 0.3
    # Every accepted move is independent of what was before.
    samples = n * accepted
    wells = np.floor(np.remainder(torsions, 2 * np.pi) / (2 * np.pi / 3)).astype(int)
    for well in range(3):
        assert abs((wells == well).mean() - 1 / 3) < 5 * np.sqrt(2 / 9 * 2 / samples)
    u, jacobian, axis = TERMS["bond"]
    density = jacobian(axis) * np.exp(-u(axis))
    exact = (axis * density).sum() / density.sum()
    assert abs(lengths.mean() - exact) < 5 * 0.015 * np.sqrt(2 / samples)

"""Moves of a proposal inside a simulation: a particle crosses a barrier that dynamics alone never crosses.

The particle is in a double well with a barrier of 40 kT, among others that repel it. The proposal is a
mixture of two normal distributions, fitted to two short simulations, one in each well; how much time belongs
to which it cannot know from them. By symmetry it is half for each.
"""

import argparse

import numpy as np
import openmm
import openmmscore
from openmm.unit import femtoseconds, kelvin, nanometer, picosecond

BATH = 8


def createSystem() -> openmm.System:
    system = openmm.System()
    well = openmm.CustomExternalForce("100*((x/0.3)^2 - 1)^2 + 500*(y^2 + z^2)")
    trap = openmm.CustomExternalForce("20*(x^2 + y^2 + z^2)")
    repulsion = openmm.CustomBondForce("20*exp(-(r/0.15)^2)")
    for i in range(1 + BATH):
        system.addParticle(20)
        (trap if i else well).addParticle(i)
        for j in range(i):
            repulsion.addBond(j, i)
    for force in (well, trap, repulsion):
        system.addForce(force)
    return system


def simulate(system: openmm.System, x: float, steps: int, seed: int):
    """Return the Context, and the particle's positions every 10 steps, [n,1,3] in nm."""
    integrator = openmm.LangevinMiddleIntegrator(300 * kelvin, 5 / picosecond, 4 * femtoseconds)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    bath = np.random.default_rng(seed).normal(0, 0.25, (BATH, 3))
    context.setPositions(np.concatenate([[[x, 0, 0]], bath]))
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(300 * kelvin, seed)
    positions = []
    for _ in range(steps // 10):
        integrator.step(10)
        state = context.getState(positions=True)
        positions.append(state.getPositions(asNumpy=True).value_in_unit(nanometer)[:1])
    return context, np.array(positions)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100_000, help="of the simulation with moves")
    parser.add_argument("--seed", type=int, default=1, help="from 1")
    arguments = parser.parse_args()
    seed = arguments.seed

    frames = [simulate(createSystem(), x, 10_000, seed)[1][100:] for x in (-0.3, 0.3)]
    crossed = sum(int(np.any(np.diff(np.sign(f[:, 0, 0])))) for f in frames)
    print(f"without moves: {crossed} of 2 simulations crossed the barrier")
    proposal = openmmscore.GaussianMixtureProposal.fit(np.concatenate(frames), numComponents=2, seed=seed)

    system = createSystem()
    move = openmmscore.MonteCarloFlowMove(proposal, 300 * kelvin, frequency=20)
    move.addMolecule([0])
    move.setRandomNumberSeed(seed)
    system.addForce(move)
    context, positions = simulate(system, -0.3, arguments.steps, seed)
    right = positions[:, 0, 0] > 0
    error = 0.5 * np.sqrt(openmmscore.sampling.integratedAutocorrelationTime(right) / len(right))
    print(f"with moves: crossed {np.count_nonzero(np.diff(right))} times")
    print(
        f"{100 * move.getExpectedAcceptance(context):.1f} % of {move.getNumAttempted(context)} moves accepted"
    )
    print(f"time in the right well: {right.mean():.3f} +- {error:.3f}, exact 0.5")


if __name__ == "__main__":
    main()

"""Draw alanine dipeptide, all 22 atoms, from a trained flow, and weight the draws for an OpenMM System.

    python examples/alanine_dipeptide_flow.py                          # the shipped flow
    python examples/alanine_dipeptide_flow.py --proposal flow.safetensors --samples 20000
    python examples/alanine_dipeptide_flow.py --proposal diffusion.safetensors --tolerance 1e-4 --seconds 0

First half: 100 000 configurations are drawn independently and reweighted with energies of OpenMM's own
force field. The effective sample size and the tail of the weights say how far that can be trusted; the
population of the rare basin and the free energy between phi > 0 and phi < 0 stand beside those of long MD, in
which barriers had to be lowered for the basin to be visited at all; (phi, psi) is drawn before and after
reweighting.

Second half: the same flow inside a running simulation, as a MonteCarloFlowMove: how many moves are accepted,
and how long phi remembers, against plain MD of the same length in wall time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm
import openmmscore
from openmm import app, unit
from openmmscore.analysis import dihedrals
from openmmscore.sampling import Estimate, integratedAutocorrelationTime
from openmmscore.sampling.plots import plotRamachandran
from tqdm import tqdm

EXAMPLES = Path(__file__).resolve().parent
TORSIONS = [(4, 6, 8, 14), (6, 8, 14, 16)]  # phi, psi
TEMPERATURE, FRICTION, TIME_STEP = 300 * unit.kelvin, 1 / unit.picosecond, 1 * unit.femtosecond
RARE_BASIN = (0.0, 2.2)  # phi in radians
STEPS_PER_SAMPLE = 25
# 60 ns of MD with lowered barriers, reweighted; errors from 20 blocks (examples/data/README.md).
REFERENCE_POPULATION = Estimate(0.0208, 0.0010)
REFERENCE_DIFFERENCE = Estimate(3.847, 0.051)


@dataclass
class Run:
    """What a simulation left behind; times in seconds of wall time."""

    name: str
    picoseconds: float
    seconds: float
    crossings: int
    population: float
    error: float
    #: how long phi remembers: of cos(phi), and of being in the rare basin. None if it never changed
    cosineTime: float | None
    basinTime: float | None
    acceptance: float | None = None
    attempted: int = 0
    invalid: int = 0


def main() -> int:
    options = parseOptions()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        proposal = openmmscore.loadProposal(options.proposal)
        if options.tolerance is not None:
            proposal = proposal.withSolver(
                absoluteTolerance=options.tolerance, relativeTolerance=options.tolerance
            )
        topology, system = createSystem()
        samples = drawSamples(proposal, system, options)
    except openmm.OpenMMException as error:
        print(f"Cannot start: {error}", file=sys.stderr)
        return 1
    results = evaluate(samples)
    print(samples.summary())
    print(compare(results))
    picture = options.output / "alanine_dipeptide_flow.png"
    reference = np.load(EXAMPLES / "data/alanine_dipeptide_beads.npy")
    beads = [(0, 1, 2, 3), (1, 2, 3, 4)]
    plotRamachandran(samples, TORSIONS, dihedrals(reference, beads), picture)
    results["runs"] = []
    if options.seconds > 0:
        runs = [simulate(system, None, options), simulate(system, proposal, options)]
        print(describe(runs))
        results["runs"] = [asdict(run) for run in runs]
    numbers = options.output / "results.json"
    numbers.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\npicture   {picture}\nnumbers   {numbers}")
    return 0


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--proposal", type=Path, default=EXAMPLES / "models/alanine_dipeptide_flow.safetensors"
    )
    parser.add_argument("--samples", type=int, default=100_000, help="to draw (default: %(default)s)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=120,
        help="wall time of each simulation, 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--frequency", type=int, default=50, help="steps of MD for each move (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance", type=float, help="of each step, for a continuous flow (default: its file's)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("alanine_dipeptide_flow"), help="folder")
    return parser.parse_args()


def createSystem() -> tuple[app.Topology, openmm.System]:
    """The System that the training data are of: implicit solvent, no constraints."""
    topology = app.PDBFile(str(EXAMPLES / "data/alanine_dipeptide.pdb")).topology
    forceField = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    return topology, forceField.createSystem(topology, nonbondedMethod=app.NoCutoff, constraints=None)


def drawSamples(
    proposal: openmmscore.Proposal, system: openmm.System, options: argparse.Namespace
) -> openmmscore.WeightedSamples:
    target = openmmscore.BoltzmannTarget(system, TEMPERATURE)
    start = time.perf_counter()
    samples = openmmscore.BoltzmannSampler(proposal, target).sample(options.samples, seed=options.seed)
    seconds = time.perf_counter() - start
    print(f"{len(samples) / seconds:,.0f} configurations a second, drawn, weighted and evaluated")
    return samples


def evaluate(samples: openmmscore.WeightedSamples) -> dict:
    """What the samples say, before and after reweighting."""
    phi = samples.evaluate(lambda positions: dihedrals(positions, TORSIONS[:1])[:, 0])
    rare = (phi > RARE_BASIN[0]) & (phi < RARE_BASIN[1])
    summary = samples.summary()
    population = samples.average(rare.astype(float))
    difference = samples.weights.freeEnergyDifference(phi < 0, phi > 0)
    return {
        "samples": len(samples),
        "effectiveSampleSize": summary.effectiveSampleSize,
        "efficiency": summary.effectiveSampleSize / len(samples),
        "paretoK": summary.paretoK,
        "logZ": [*summary.logNormalization],
        "population": [*population],
        "difference": [*difference],
        "proposedPopulation": float(np.mean(rare)),
        "counts": summary.counts,
    }


def compare(results: dict) -> str:
    lines = [f"\n{'':34}{'reweighted':>20}{'long MD':>20}{'sigmas':>8}{'proposed':>10}"]
    for name, found, reference, proposed in (
        ("P(0 < phi < 2.2)", results["population"], REFERENCE_POPULATION, results["proposedPopulation"]),
        ("F(phi > 0) - F(phi < 0) / kT", results["difference"], REFERENCE_DIFFERENCE, None),
    ):
        deviation = (found[0] - reference.value) / np.hypot(found[1], reference.error)
        line = f"{name:34}{show(found):>20}{show(reference):>20}{deviation:8.1f}"
        lines.append(line if proposed is None else f"{line}{proposed:10.4f}")
    return "\n".join(lines)


def simulate(
    system: openmm.System, proposal: openmmscore.Proposal | None, options: argparse.Namespace
) -> Run:
    """Run for the wall time that was asked for, with moves of the proposal or without."""
    system, move = openmm.XmlSerializer.clone(system), None
    if proposal is not None:
        move = openmmscore.MonteCarloFlowMove(proposal, TEMPERATURE, options.frequency)
        move.addMolecule(range(system.getNumParticles()))
        move.setRandomNumberSeed(options.seed)
        system.addForce(move)
    context = createContext(system, options.seed)
    name = "plain MD" if proposal is None else "MD and moves"
    phi, seconds = run(context, options.seconds, name)
    rare = (phi > RARE_BASIN[0]) & (phi < RARE_BASIN[1])
    perSample = seconds / len(phi)
    changed = rare.any() and not rare.all()
    result = Run(
        name,
        len(phi) * STEPS_PER_SAMPLE * TIME_STEP.value_in_unit(unit.picosecond),
        seconds,
        int(np.count_nonzero(np.diff(rare))),
        float(rare.mean()),
        float(rare.std() * np.sqrt(integratedAutocorrelationTime(rare) / len(rare))),
        integratedAutocorrelationTime(np.cos(phi)) * perSample,
        integratedAutocorrelationTime(rare) * perSample if changed else None,
    )
    if move is not None:
        result.acceptance = move.getExpectedAcceptance(context)
        result.attempted, result.invalid = move.getNumAttempted(context), move.getNumInvalid(context)
    return result


def createContext(system: openmm.System, seed: int) -> openmm.Context:
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIME_STEP)
    integrator.setRandomNumberSeed(seed)
    # Of one small molecule the plain platform is the quickest.
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(app.PDBFile(str(EXAMPLES / "data/alanine_dipeptide.pdb")).positions)
    context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return context


def run(context: openmm.Context, seconds: float, name: str) -> tuple[np.ndarray, float]:
    """phi of every sample, in radians, and the wall time."""
    phi, start = [], time.perf_counter()
    with tqdm(total=seconds, desc=name, unit=" s", bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as bar:
        while (passed := time.perf_counter() - start) < seconds or len(phi) < 2:
            bar.update(min(passed, seconds) - bar.n)
            context.getIntegrator().step(STEPS_PER_SAMPLE)
            positions = context.getState(positions=True).getPositions(asNumpy=True)._value
            phi.append(dihedrals(positions[np.newaxis], TORSIONS[:1])[0, 0])
    return np.array(phi), time.perf_counter() - start


def show(estimate: tuple[float, float]) -> str:
    return f"{estimate[0]:.4f} +- {estimate[1]:.4f}"


def describe(runs: list[Run]) -> str:
    lines = [f"\n{'':16}{'ps':>8}{'crossings':>11}{'P(0 < phi < 2.2)':>22}{'cos(phi)':>12}{'basin':>12}"]
    for each in runs:
        population = show((each.population, each.error)) if each.basinTime else "not visited"
        times = [f"{t:.3g} s" if t else "> all" for t in (each.cosineTime, each.basinTime)]
        lines.append(
            f"{each.name:16}{each.picoseconds:8.0f}{each.crossings:11}{population:>22}{times[0]:>12}{times[1]:>12}"
        )
    lines.append("The last two columns: integrated autocorrelation times, in seconds of wall time.")
    if runs[-1].acceptance is not None:
        lines.append(
            f"{runs[-1].acceptance:.1%} of {runs[-1].attempted:,} moves accepted, {runs[-1].invalid} invalid"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

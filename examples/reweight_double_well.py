"""Free energies of double wells that MD does not cross, by reweighting independent samples.

    python examples/reweight_double_well.py

Two Systems whose answers are known exactly: a particle in a bent double well, and a chain of ten particles
that cross together. MD of some ten thousand steps stays in the well where it was started. One such run from
each well gives normal distributions, and their mixture is the proposal. Its samples, weighted, say how much
deeper one well is than the other, and what log Z is. They are then read back from their file and taken to
another temperature without drawing anew. To compare, walkers are annealed from a crude proposal: its own
weights tell nothing about the ten particles. Less than a minute on two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
import openmmscore
from matplotlib.figure import Figure
from openmm import unit
from tqdm import tqdm

LENGTH = 0.1  # nm: minima lie at x = -LENGTH and +LENGTH
TEMPERATURE = 300.0  # K
OTHER_TEMPERATURE = 360.0
KT = 8.31446261815324e-3 * TEMPERATURE  # kJ/mol: the unit of the energies below at any temperature
EXACT_COLOUR, PROPOSAL_COLOUR, COLOUR, OTHER_COLOUR = "black", "#999999", "#D55E00", "#0072B2"


@dataclass
class DoubleWell:
    """A chain of particles, each in a double well along x; lengths in LENGTH, energies in KT.

    U = sum_i [ barrier (x_i^2 - 1)^2 + tilt x_i + (y_i - bend x_i^2)^2 stiffness/2 + z_i^2 stiffness/2 ]
        + sum_i (x_i - x_{i+1})^2 coupling/2
    """

    name: str
    numParticles: int
    barrier: float
    tilt: float
    bend: float
    coupling: float
    stiffness: float = 20.0

    def createSystem(self) -> openmm.System:
        system = openmm.System()
        site = openmm.CustomExternalForce(
            f"{KT}*({self.barrier}*(u^2-1)^2 + {self.tilt}*u + {self.stiffness / 2}*(v^2 + w^2));"
            f"v=y/{LENGTH}-{self.bend}*u^2; w=z/{LENGTH}; u=x/{LENGTH}"
        )
        bond = openmm.CustomCompoundBondForce(2, f"{KT * self.coupling / 2 / LENGTH**2}*(x1-x2)^2")
        for i in range(self.numParticles):
            system.addParticle(40.0)
            site.addParticle(i)
            if i:
                bond.addBond([i - 1, i])
        system.addForce(site)
        if self.numParticles > 1:
            system.addForce(bond)
        return system

    def exact(self, temperature: float) -> tuple[float, float, np.ndarray, np.ndarray]:
        """log Z (nm^3N), F(right) - F(left) in kT, and the density of the first particle along x (nm, nm^-1).

        y and z are normal given x. What remains is a chain along x: quadrature by its transfer matrix.
        """
        scale = TEMPERATURE / temperature
        x, step = np.linspace(-3, 3, 1201, retstep=True)
        factor = np.exp(-scale * (self.barrier * (x**2 - 1) ** 2 + self.tilt * x))
        transfer = np.exp(-scale * self.coupling / 2 * (x[:, None] - x) ** 2) * step
        mass = factor
        for _ in range(self.numParticles - 1):
            mass = factor * (transfer @ mass)
        total = mass.sum() * step
        rest = np.log(2 * np.pi / (scale * self.stiffness)) + 3 * np.log(LENGTH)
        right = mass[x > 0].sum() * step / total
        logZ = np.log(total) + self.numParticles * rest
        return logZ, np.log((1 - right) / right), x * LENGTH, mass / total / LENGTH


SYSTEMS = (
    DoubleWell("one particle", 1, barrier=14.0, tilt=0.5, bend=0.5, coupling=0.0),
    DoubleWell("ten particles", 10, barrier=1.4, tilt=0.05, bend=0.0, coupling=70.0),
)


def main() -> int:
    options = parseOptions()
    start = time.perf_counter()
    options.output.mkdir(parents=True, exist_ok=True)
    rows, results = [], []
    for well in SYSTEMS:
        target = openmmscore.BoltzmannTarget(well.createSystem(), TEMPERATURE * unit.kelvin)
        runs = runFromBothWells(well, options.steps, options.seed)
        samples = drawSamples(well, fitMixture(runs), target, options)
        hot = samples.reweight(temperature=OTHER_TEMPERATURE * unit.kelvin)
        for name, weighted in (("reweighted", samples), ("same samples", hot)):
            rows += compare(
                well,
                name,
                weighted.settings["temperature"],
                weighted.weights.logNormalization(),
                weighted.average(isRight),
            )
        rows += anneal(well, fitCrude(runs), target, options)
        results.append((well, samples, hot))
    print(table(rows))
    picture = options.output / "double_well.png"
    draw(results, picture)
    print(f"\npicture  {picture}\nsamples  {options.output}/double_well_*.nc")
    print(f"{time.perf_counter() - start:.0f} s")
    return 0 if all(abs(row[-1]) < 5 for row in rows) else 1


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--samples", type=int, default=20_000, help="from each proposal (default: %(default)s)"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=50_000,
        help="of MD in each well, to fit proposals (default: %(default)s)",
    )
    parser.add_argument("--walkers", type=int, default=4000, help="that are annealed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, default=Path("double_well"), help="folder (default: %(default)s)"
    )
    return parser.parse_args()


def runFromBothWells(well: DoubleWell, steps: int, seed: int) -> list[np.ndarray]:
    """Frames [n,N,3] in nm of one MD run from each well."""
    runs = []
    for side in (-1, 1):
        integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 5.0, 0.005)
        integrator.setRandomNumberSeed(seed + 1 + side)
        context = openmm.Context(
            well.createSystem(), integrator, openmm.Platform.getPlatformByName("Reference")
        )
        context.setPositions(np.tile([side * LENGTH, well.bend * LENGTH, 0.0], (well.numParticles, 1)))
        context.setVelocitiesToTemperature(TEMPERATURE, seed + 1)
        frames = []
        for _ in tqdm(range(steps // 50), desc=f"MD, {well.name}", leave=False):
            integrator.step(50)
            frames.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
        runs.append(np.array(frames[len(frames) // 10 :]))
    return runs


def fitMixture(runs: list[np.ndarray]) -> openmmscore.GaussianMixtureProposal:
    """A normal distribution for each run, a little wider than it, and some of a wide one for what lies
    between: no place where the target has mass may be out of reach."""
    wide = np.concatenate(runs)
    return openmmscore.GaussianMixtureProposal(
        [0.45, 0.45, 0.1],
        [each.mean(axis=0) for each in (*runs, wide)],
        [1.2 * covariance(each) for each in (*runs, wide)],
    )


def fitCrude(runs: list[np.ndarray]) -> openmmscore.GaussianMixtureProposal:
    """One normal distribution across both wells, without correlations."""
    wide = np.concatenate(runs)
    return openmmscore.GaussianMixtureProposal([1.0], [wide.mean(axis=0)], 1.2 * wide.var(axis=0)[np.newaxis])


def covariance(frames: np.ndarray) -> np.ndarray:
    return np.cov(frames.reshape(len(frames), -1).T)


def drawSamples(
    well: DoubleWell,
    proposal: openmmscore.GaussianMixtureProposal,
    target: openmmscore.BoltzmannTarget,
    options: argparse.Namespace,
) -> openmmscore.WeightedSamples:
    path = options.output / f"double_well_{well.numParticles}.nc"
    path.unlink(missing_ok=True)
    openmmscore.BoltzmannSampler(proposal, target).sample(options.samples, seed=options.seed, output=path)
    samples = openmmscore.WeightedSamples.load(path)
    print(f"{well.name} at {TEMPERATURE:g} K\n{samples.summary()}\n", flush=True)
    return samples


def anneal(
    well: DoubleWell,
    proposal: openmmscore.GaussianMixtureProposal,
    target: openmmscore.BoltzmannTarget,
    options: argparse.Namespace,
) -> list[tuple]:
    """Rows of compare(), from walkers that are led from the proposal to the target."""
    crude = openmmscore.BoltzmannSampler(proposal, target).sample(
        options.samples, options.seed, progress=False
    )
    print(f"weights of a crude proposal: {crude.summary().effectiveSampleSize:.1f} effective samples")
    annealed = openmmscore.sampling.AnnealedSampler(proposal, target, movesPerLevel=10).run(
        options.walkers, options.seed, progress=True
    )
    print(f"annealed from it:\n{annealed.summary()}\n", flush=True)
    right = annealed.average(isRight(annealed.positions))
    return compare(well, "annealed", TEMPERATURE, annealed.logNormalization(), right)


def isRight(positions: np.ndarray) -> np.ndarray:
    return (positions[:, 0, 0] > 0).astype(float)


def compare(well: DoubleWell, method: str, temperature: float, logZ: tuple, right: tuple) -> list[tuple]:
    """Rows: System, temperature, method, quantity, exact, found, error, (found - exact)/error."""
    exactLogZ, exactDifference, *_ = well.exact(temperature)
    share, error = right
    rows = []
    for name, exact, value, spread in (
        ("log Z", exactLogZ, *logZ),
        (
            "F(right) - F(left), kT",
            exactDifference,
            np.log((1 - share) / share),
            error / (share * (1 - share)),
        ),
    ):
        deviation = (value - exact) / spread
        rows.append((well.name, f"{temperature:g} K", method, name, exact, value, spread, deviation))
    return rows


def table(rows: list[tuple]) -> str:
    lines = [f"{'System':14}{'at':8}{'by':14}{'':24}{'exact':>9}{'found':>9}{'+-':>8}{'sigmas':>8}"]
    for *words, exact, found, error, deviation in rows:
        text = f"{words[0]:14}{words[1]:8}{words[2]:14}{words[3]:24}"
        lines.append(f"{text}{exact:9.3f}{found:9.3f}{error:8.3f}{deviation:8.1f}")
    return "\n".join(lines)


def draw(results: list[tuple], path: Path) -> None:
    """Free energy along x of the first particle: exact, proposed, reweighted, at the other temperature."""
    figure = Figure(figsize=(5.4 * len(results), 4.0), layout="constrained")
    for axes, (well, samples, hot) in zip(figure.subplots(1, len(results)), results, strict=True):
        edges = np.linspace(-2 * LENGTH, 2 * LENGTH, 61)
        centres = (edges[1:] + edges[:-1]) / 2
        x = samples.positions[:, 0, 0]
        proposed, _ = np.histogram(x, edges, density=True)
        axes.plot(centres, minusLog(proposed), color=PROPOSAL_COLOUR, label="proposal")
        for weighted, colour in ((samples, COLOUR), (hot, OTHER_COLOUR)):
            temperature = weighted.settings["temperature"]
            *_, grid, density = well.exact(temperature)
            axes.plot(grid, minusLog(density), color=EXACT_COLOUR, linewidth=0.8)
            found = weighted.histogram(x, edges)
            with np.errstate(divide="ignore", invalid="ignore"):
                errors = found.errors / found.values
            label = f"reweighted, {temperature:g} K"
            axes.errorbar(
                centres, minusLog(found.values), errors, fmt="o", color=colour, markersize=3, label=label
            )
        axes.plot([], [], color=EXACT_COLOUR, linewidth=0.8, label="exact")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(-4, 17)
        axes.set_xlabel("x of the first particle / nm")
        axes.set_ylabel("F / kT")
        axes.set_title(well.name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    figure.savefig(path, dpi=150)


def minusLog(density: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(density > 0, -np.log(density), np.nan)


if __name__ == "__main__":
    sys.exit(main())

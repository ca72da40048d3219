"""Spline flows, flow matching and diffusion on mixtures of normal distributions whose density is known.

    python examples/survey/survey.py                     # a point or two of every series
    python examples/survey/survey.py --full              # as many points as published
    python examples/survey/survey.py --report            # tables and pictures of what is there

It trains every family on the same samples, and compares with the exact density: divergences in both
directions, effective sample size after reweighting, populations of modes, free-energy differences, samples
per second. What is finished is not done again, an interrupted training is resumed.

The data are those of John, Herron and Tiwary, arXiv:2411.09388; their measure of the divergence is printed
beside its noise floor, which is why it is not used to compare anything here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import families
import measures
import numpy as np
import report
from mixtures import Mixture, coarseFirst, sweeps

TEST_SEED, MODEL_SEED, TRAINING_SEED = 2, 3, 1


def main() -> int:
    options = parseOptions()
    series = {name: sweeps(options.full, options.seed)[name] for name in options.series}
    if not options.report:
        for case in coarseFirst(series):
            for family in options.families:
                run(case, family, options)
    report.write(options.output, series, options.families)
    return 0


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all points of the published series")
    parser.add_argument(
        "--series", nargs="+", choices=sweeps(False), default=list(sweeps(False)), help="which series (all)"
    )
    parser.add_argument("--families", nargs="+", choices=families.NAMES, default=list(families.NAMES))
    parser.add_argument("--steps", type=int, default=2000, help="of each training, 512 samples each (2000)")
    parser.add_argument("--samples", type=int, default=2000, help="for densities of either kind (2000)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of means, samples and trainings (0)")
    parser.add_argument("--output", type=Path, default=Path("survey-output"))
    parser.add_argument("--report", action="store_true", help="only tables and pictures")
    return parser.parse_args()


def run(case: Mixture, family: str, options: argparse.Namespace) -> None:
    """Train and measure one family on one mixture, unless that has been done."""
    folder = options.output / case.name / family
    result = folder / "result.json"
    if result.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    training, _ = case.density.sample(case.samples, seed=TRAINING_SEED + 1000 * case.seed)
    np.save(folder / "training.npy", training.astype(np.float32))
    (folder / "training.toml").write_text(
        families.configuration(family, f"{family}, {case.name}", options.steps, 1 + case.seed)
    )
    seconds = families.train(folder, options.threads)
    found = measure(case, family, families.result(family, folder), training, options)
    found |= {"training core seconds": seconds, "steps": options.steps}
    partial = folder / "partial.json"
    partial.write_text(json.dumps(found, indent=1))
    partial.replace(result)
    print(f"{case.name} {family}: {json.dumps(found)}", flush=True)


def measure(
    case: Mixture, family: str, model: Path, training: np.ndarray, options: argparse.Namespace
) -> dict[str, object]:
    """All numbers that are reported of one model."""
    exact, proposal = case.density, families.load(family, model)
    test, trueAtTest = exact.sample(options.samples, seed=TEST_SEED + 1000 * case.seed)
    drawn, modelAtDrawn = proposal.sample(options.samples, seed=MODEL_SEED)
    trueAtDrawn = exact.logDensity(drawn)
    found: dict[str, object] = dict(
        measures.divergences(trueAtTest, proposal.logDensity(test), trueAtDrawn, modelAtDrawn)
    )
    share, error = measures.populations(case.modeOf(drawn), case.modes)
    histogram = measures.HistogramDivergence(training)
    other, _ = exact.sample(options.samples, seed=TEST_SEED + 100 + 1000 * case.seed)
    found |= {
        "ESS": measures.effectiveShare(trueAtDrawn - modelAtDrawn),
        "largest population error": float(np.abs(share - case.weights).max()),
        "its sigma": float((np.abs(share - case.weights) / error).max()),
        "samples per second": families.speed(proposal, options.samples),
        "parameters": families.numParameters(model),
        "histogram": histogram(drawn, test),
        "histogram floor": histogram(other, test),
    }
    if case.minor is not None:
        weights = np.exp(trueAtDrawn - modelAtDrawn)
        minor = case.modeOf(drawn) == 1
        found["free energy"] = measures.freeEnergyDifference(minor)
        found["reweighted free energy"] = measures.reweightedFreeEnergyDifference(minor, weights)
        found["true free energy"] = float(np.log((1 - case.minor) / case.minor))
    return found


if __name__ == "__main__":
    sys.exit(main())

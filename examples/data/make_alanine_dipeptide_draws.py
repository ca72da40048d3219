"""Make alanine_dipeptide_draws.npy: configurations drawn from a trained flow and reweighted, to train it on.

Frames of MD know of each other; draws of a flow do not. A flow with 30 % effective samples gives 100 000
independent configurations of the Boltzmann distribution in a minute or two, more than hours of MD, and a flow
trained on them is better: a few rounds lead from tens of per cent to what the flow can represent.

    python make_alanine_dipeptide_draws.py flow.safetensors --also alanine_dipeptide_frames.npy

Draws are repeated in proportion to their weights (systematic resampling), with weights cut at sqrt(n) times
their mean (Ionides 2008), lest one outlier be learnt by heart, and hydrogens of methyls relabelled, so that
copies differ. What the flow never draws it cannot learn from its draws, which is why frames of MD belong with
them (--also). The last twentieth are draws that the rest has none of, for validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import openmmscore
from make_alanine_dipeptide_frames import TEMPERATURE, createSystem, relabel


def main() -> None:
    options = parseOptions()
    target = openmmscore.BoltzmannTarget(createSystem()[1], TEMPERATURE)
    sampler = openmmscore.BoltzmannSampler(
        openmmscore.loadProposal(options.proposal), target, precision="single"
    )
    samples = sampler.sample(options.draws, seed=options.seed)
    print(samples.summary())
    indices = np.sort(samples.weights.truncated().resample(options.draws, seed=options.seed))
    random = np.random.default_rng(options.seed)
    # By the number of the draw, so that no draw is on both sides.
    heldOut = indices >= 0.95 * options.draws
    frames = relabel(samples.positions[indices], random)
    parts = [frames[~heldOut]]
    if options.also is not None:
        parts.append(relabel(np.load(options.also), random))
    training = np.concatenate(parts)
    random.shuffle(training)
    np.save(options.output, np.concatenate([training, frames[heldOut]]))
    print(
        f"{options.output}: {len(training):,} configurations, {np.count_nonzero(heldOut):,} at the end for "
        f"validation; {len(np.unique(indices)):,} different draws"
    )


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("proposal", type=Path, help="file of the flow")
    parser.add_argument("--draws", type=int, default=300_000, help="(default: %(default)s)")
    parser.add_argument("--also", type=Path, help="frames to put with them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("alanine_dipeptide_draws.npy")
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

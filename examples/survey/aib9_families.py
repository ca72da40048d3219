"""Families of flows on the 18 torsions of Aib9, whose mirror images are equally probable.

    python examples/survey/aib9.py --minutes 60 --output aib9-output             # simulate first
    python examples/survey/aib9_families.py aib9-output                          # train and compare
    python examples/survey/aib9_families.py aib9-output --frames 1000 4000       # with fewer frames
    python examples/survey/aib9_families.py aib9-output --as-simulated           # without mirror images
    python examples/survey/aib9_families.py aib9-output --later                  # hold out the end
    python examples/survey/aib9_families.py aib9-output --report                 # tables and pictures of all

It trains a circular spline flow, a plain one, flow matching and DDPM with the same frames and their mirror
images, and compares log densities of held-out frames, populations of hands, and the published survey's
histograms. The frames are copied when it first runs, and later runs use these copies: another --output takes
newer ones. What is finished is not done again, an interrupted training is resumed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import aib9_measures as measures
import aib9_report
import families
import numpy as np
from aib9_frames import BLOCKS, Frames, frozenFrames, split, trainingSet, withMirrorImages
from numpy.typing import NDArray

DRAWING_SEED = 3
#: of 512 samples each: a step of a spline flow takes as long as three to five of the others
STEPS = {"circular-spline": 1000, "spline": 1000, "flow-matching": 10000, "ddpm": 10000}


def main() -> int:
    options = parseOptions()
    walkers = frozenFrames(options.simulation, options.output)
    if not options.report:
        for frames in options.frames:
            for family in options.families:
                run(family, frames, walkers, options)
    aib9_report.write(options.output, walkers)
    return 0


def parseOptions() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("simulation", type=Path, help="folder with torsions of aib9.py")
    parser.add_argument("--output", type=Path, default=Path("aib9-survey"), help="folder (aib9-survey)")
    parser.add_argument(
        "--families", nargs="+", choices=families.TORSION_NAMES, default=list(families.TORSION_NAMES)
    )
    parser.add_argument(
        "--frames", nargs="+", type=int, default=[0], help="of simulation to train on, evenly taken (0: all)"
    )
    parser.add_argument("--as-simulated", action="store_true", help="train without mirror images")
    parser.add_argument("--later", action="store_true", help="hold out the end, not stretches everywhere")
    parser.add_argument("--steps", type=int, help="of each training (1000; 10000 of the two without splines)")
    parser.add_argument("--draws", type=int, default=10000, help="of each family (10000)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only tables and pictures")
    return parser.parse_args()


def run(family: str, frames: int, walkers: list[Frames], options: argparse.Namespace) -> None:
    """Train and measure one family, unless that has been done."""
    kind = "as-simulated" if options.as_simulated else "mirrored"
    steps = options.steps or STEPS[family]
    named = f"-{options.steps}-steps" if options.steps else ""
    name = f"{kind}{'-later' if options.later else ''}{named}-{frames or 'all'}"
    folder = options.output / name / family
    result = folder / "result.json"
    if result.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    training, validationShare = trainingSet(walkers, frames, not options.as_simulated, options.later)
    np.save(folder / "training.npy", training)
    # A little less than the share, which is rounded down to a number of frames.
    config = families.configuration(
        family, f"{family}, Aib9 {name}", steps, 1, round(validationShare, 6), "last"
    )
    (folder / "training.toml").write_text(config)
    seconds = families.train(folder, options.threads)
    found = measure(family, folder, walkers, options)
    simulated = len(training) // (1 if options.as_simulated else 2)
    found |= {"training core seconds": seconds, "steps": steps, "frames": simulated}
    found["later"] = options.later
    partial = folder / "partial.json"
    partial.write_text(json.dumps(found, indent=1))
    partial.replace(result)
    print(f"{name} {family}: held-out log density {found['log density'][0]:.3f} nats", flush=True)


def measure(
    family: str, folder: Path, walkers: list[Frames], options: argparse.Namespace
) -> dict[str, object]:
    """All numbers that are reported of one model; its draws and held-out densities are kept beside them."""
    model = families.result(family, folder)
    proposal = families.load(family, model)
    drawn, _ = proposal.sample(options.draws, seed=DRAWING_SEED)
    angles = measures.wrapped(drawn)
    np.save(folder / "draws.npy", angles.astype(np.float32))
    training, validation, heldOut = split(walkers, options.later)
    densities = [heldOutDensity(proposal, torsions) for torsions in heldOut]
    np.save(folder / "log_densities.npy", np.concatenate(densities))
    mean, error = measures.bootstrap(measures.blocked(densities, BLOCKS))
    circular = family == "circular-spline"
    mirrored = withMirrorImages(np.concatenate([*training, *validation, *heldOut]))
    return {
        "log density": [float(mean), float(error)],
        # Angles of a circular flow are the same beyond pi.
        "outside": 0.0 if circular else float((abs(drawn) > np.pi).any(axis=1).mean()),
        "right-handed": measures.rightHanded(angles).mean(axis=0).tolist(),
        "left-handed residues": measures.leftHandedResidues(angles).tolist(),
        "total variation": measures.totalVariation(
            measures.leftHandedResidues(angles), measures.leftHandedResidues(mirrored)
        ),
        "histogram": measures.ramachandranDivergences(
            angles if circular else drawn, withMirrorImages(np.concatenate(heldOut))
        ).tolist(),
        "draws": options.draws,
        "draws per second": families.speed(proposal, min(options.draws, 2000)),
        "parameters": families.numParameters(model),
    }


def heldOutDensity(proposal, torsions: Frames) -> NDArray[np.float64]:
    """Log density of each frame, [frames], rad^-18: the mean of the frame's and of its mirror image's."""
    both = [proposal.logDensity(x.astype(float)) for x in (torsions, measures.wrapped(-torsions))]
    return np.mean(both, axis=0)


if __name__ == "__main__":
    sys.exit(main())

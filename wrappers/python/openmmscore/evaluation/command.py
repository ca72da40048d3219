"""`openmmscore evaluate`: options in, table, JSON and pictures out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

_DESCRIPTION = (
    "Draw independent samples of a model, simulate it, and compare both with a reference: Jensen-Shannon "
    "divergence, error of the free energy, bond lengths, each beside the floor that finite numbers of "
    "samples set. What is not given is as in the publications on the system (docs/evaluation.md)."
)


def addEvaluate(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "evaluate", help="sample and simulate a model, compare with a reference", description=_DESCRIPTION
    )
    parser.add_argument("model", metavar="MODEL", help="a model file")
    _addReference(parser)
    _addSampling(parser)
    _addSimulation(parser)
    _addOutput(parser)
    parser.set_defaults(run=_run)


def _addReference(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reference")
    group.add_argument(
        "--reference", metavar="FILE", required=True, help=".npy, or a trajectory that MDTraj reads"
    )
    group.add_argument("--topology", metavar="FILE", help="topology of the trajectory")
    group.add_argument("--selection", help='atoms in MDTraj\'s language, for example "name CA"')
    group.add_argument(
        "--atoms", type=_integers, metavar="I,J,...", help="atoms by index, in the model's order"
    )
    group.add_argument("--unit", choices=("nm", "angstrom"), default="nm", help="of a .npy file (nm)")
    group.add_argument("--stride", type=int, default=1, metavar="N", help="only every N-th frame")
    group.add_argument(
        "--torsions", metavar="I,J,K,L;M,N,O,P", type=_torsions, help="two dihedral angles to compare"
    )
    group.add_argument("--tica-lag", type=int, default=10, metavar="FRAMES", help="for proteins (10)")
    group.add_argument(
        "--features", metavar="FILE", help=".npy or JSON with integers [N,k], for transferable models"
    )
    group.add_argument("--sequence", help="for models of dipeptides: one-letter codes, instead of features")


def _addSampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("independent samples")
    group.add_argument("--no-iid", action="store_true", help="draw none")
    group.add_argument("--samples", type=int, metavar="N", help="how many (as many as reference frames)")
    group.add_argument("--steps", type=int, default=1000, help="diffusion times visited (1000)")
    group.add_argument(
        "--method",
        choices=(
            "euler-maruyama",
            "ancestral",
            "ddim",
            "heun",
            "exponential",
            "predictor-corrector",
            "stochastic-heun",
        ),
        help="as published for the schedule",
    )
    group.add_argument(
        "--consistency",
        type=int,
        metavar="N",
        help="reweight N samples with known density to the potential (2000 for vector models, else 0)",
    )


def _addSimulation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("simulation")
    group.add_argument("--no-simulation", action="store_true", help="run none")
    group.add_argument(
        "--molecules", type=int, metavar="N", help="independent copies, each a chain of frames"
    )
    group.add_argument("--frames", type=int, metavar="N", help="saved of each molecule")
    group.add_argument("--scale", type=float, default=1.0, metavar="F", help="multiply the frames (1)")
    group.add_argument("--steps-per-frame", type=int, metavar="N")
    group.add_argument("--time-step", type=float, metavar="PS")
    group.add_argument("--friction", type=float, metavar="1/PS")
    group.add_argument(
        "--scheme", choices=("legacy", "middle", "metropolized"), help="of the integrator (legacy)"
    )
    group.add_argument(
        "--time", type=float, metavar="T", help="diffusion time of the potential (the model's)"
    )
    group.add_argument("--device", metavar="PLATFORM", help="OpenMM platform (the fastest)")


def _addOutput(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", metavar="DIR", help="folder for JSON and pictures (MODEL's name + -evaluation)"
    )
    group.add_argument(
        "--relative-to", metavar="FILE", help="evaluation.json of the model that bonds are held against"
    )
    group.add_argument("--save-samples", action="store_true", help="keep the configurations, too")
    group.add_argument("--json", action="store_true", help="print JSON instead of the table")
    group.add_argument("--quiet", action="store_true", help="show no progress")
    group.add_argument("--seed", type=int, default=1, help="of all random numbers (1)")
    group.add_argument("--threads", type=int, metavar="N", help="for independent samples (all)")


def _run(options: argparse.Namespace) -> None:
    from ..model import Model
    from . import evaluate, readFrames
    from .reference import checkFrames, doubtUnit

    other = None if options.relative_to is None else _readJson(options.relative_to, "evaluation")
    model = Model(options.model)
    reference = readFrames(
        options.reference, options.topology, options.selection, options.atoms, options.unit, options.stride
    )
    # Before an hour of simulation, not after it.
    if doubt := doubtUnit(model, checkFrames(model, reference)):
        print(f"openmmscore: {doubt} (--unit)", file=sys.stderr)
    output = Path(options.output or f"{Path(options.model).stem}-evaluation")
    output.mkdir(parents=True, exist_ok=True)
    evaluation = evaluate(model, reference, _options(options, model))
    if other is not None:
        evaluation.relateTo(other)
    paths = evaluation.write(output, options.save_samples)
    print(json.dumps(evaluation.results, indent=2) if options.json else evaluation.table())
    print(f"\n{', '.join(path.name for path in paths)} in {output}", file=sys.stderr)


def _options(options: argparse.Namespace, model):
    from . import Options

    if options.features is not None and options.sequence is not None:
        raise ValueError("give either features or a sequence, not both")
    features = None if options.features is None else _readFeatures(options.features)
    if options.sequence is not None:
        features = model.sequenceFeatures(options.sequence)

    return Options(
        iid=not options.no_iid,
        simulation=not options.no_simulation,
        samples=options.samples,
        steps=options.steps,
        method=options.method,
        molecules=options.molecules,
        frames=options.frames,
        stepsPerFrame=options.steps_per_frame,
        timeStep=options.time_step,
        friction=options.friction,
        scheme=options.scheme,
        scale=options.scale,
        time=options.time,
        consistency=options.consistency,
        torsions=options.torsions,
        ticaLag=options.tica_lag,
        features=features,
        seed=options.seed,
        platform=options.device,
        threads=options.threads,
        progress=not options.quiet,
    )


def _readJson(path: str, what: str):
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON file with an {what}: {error}") from None


def _readFeatures(path: str):
    import numpy as np

    if not path.endswith(".npy"):
        return _readJson(path, "array of features")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array that NumPy can read: {error}") from None


def _integers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers with commas between, got {text!r}") from None


def _torsions(text: str) -> list[list[int]]:
    return [_integers(torsion) for torsion in text.split(";")]

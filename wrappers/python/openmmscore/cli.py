"""The command line: `openmmscore info FILE`, `openmmscore convert scoremd INPUT OUTPUT`, ...

A command is a function that adds its parser and names the function to run; COMMANDS lists them. Whatever a
command needs is imported when it runs, so `--help` and mistyped commands answer at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

Subparsers = argparse._SubParsersAction


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        what to use in place of sys.argv[1:]

    Returns
    -------
    int
        the exit status: 0, or 1 with one sentence on stderr
    """
    options = _createParser().parse_args(arguments)
    # The only import of OpenMM that every command needs: its exception is how the library says no.
    from openmm import OpenMMException

    try:
        return options.run(options) or 0
    except (OpenMMException, ValueError, OSError) as error:
        sentence = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            sentence = f"{error.filename}: {error.strerror}"
        print(f"openmmscore: {' '.join(sentence.split())}", file=sys.stderr)
    except KeyboardInterrupt:
        print("openmmscore: interrupted", file=sys.stderr)
    return 1


def _createParser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openmmscore", description="Trained diffusion models as potentials in OpenMM."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def _addInfo(commands: Subparsers) -> None:
    parser = commands.add_parser(
        "info", help="check a model file and say what is in it", description=_describe.__doc__
    )
    parser.add_argument("file", metavar="FILE", help="a model file")
    parser.set_defaults(run=_describe)


def _describe(options: argparse.Namespace) -> None:
    """Check a model file and print what is in it."""
    from . import modelfile

    print(modelfile.summary(options.file))


def _addConvert(commands: Subparsers) -> None:
    parser = commands.add_parser(
        "convert",
        help="make a model file out of weights of another program",
        description="Make a model file out of weights of another program.",
    )
    programs = parser.add_subparsers(metavar="PROGRAM", required=True)
    _addScoremd(programs)
    _addTwoForOne(programs)


def _addScoremd(programs: Subparsers) -> None:
    parser = programs.add_parser(
        "scoremd",
        help="ScoreMD: safetensors with a description, or a training run",
        description="Convert a model of ScoreMD: a safetensors file with its JSON description beside it, or "
        "the directory of a training run (needs orbax-checkpoint and jax).",
    )
    _addConversionOptions(parser, "aldp, dipeptide, chignolin, trp_cage, bba")
    parser.add_argument("--norm-factor", type=float, help="1/nm, the inverse of the length scale")
    parser.add_argument("--count", type=int, help="number of particles, where weights do not tell")
    parser.add_argument("--config", help="a run's configuration (default: .hydra/config.yaml)")
    parser.add_argument("--epoch", type=int, help="which checkpoint of a run (default: the last)")
    parser.set_defaults(run=_convertScoremd)


def _addTwoForOne(programs: Subparsers) -> None:
    parser = programs.add_parser(
        "two-for-one",
        help="Two-for-One: model-best.pt, or safetensors with a description",
        description="Convert a model of Two-for-One: a checkpoint or state dictionary saved by PyTorch, or a "
        "safetensors file with its JSON description beside it.",
    )
    _addConversionOptions(parser, "alanine, alanine_fold2, ... chignolin, trp_cage, bba, villin, protein_g")
    parser.add_argument("--noise-level", type=int, help="the level n of 1000 used as a potential")
    parser.set_defaults(run=_convertTwoForOne)


def _addConversionOptions(parser: argparse.ArgumentParser, systems: str) -> None:
    parser.add_argument("input", metavar="INPUT", help="what to convert")
    parser.add_argument("output", metavar="OUTPUT", help="the model file to write")
    parser.add_argument("--force", action="store_true", help="replace OUTPUT if it exists")
    parser.add_argument("--system", metavar="NAME", help=f"a published system: {systems}")
    parser.add_argument(
        "--length-scale", type=float, help="nm, standard deviation of the training coordinates"
    )
    parser.add_argument("--temperature", type=float, help="K, of the training data")
    parser.add_argument("--diffusion-time", type=float, help="t used as a potential")
    parser.add_argument("--masses", type=_numbers, help="amu: one for all particles, or M1,M2,...")
    parser.add_argument(
        "--particles", metavar="JSON", help="file with a list of particles, or with bonds beside it"
    )
    parser.add_argument("--title", help="one line for people")
    parser.add_argument(
        "--raw-weights", action="store_true", help="a checkpoint's last weights, not their average"
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _conversionOptions(options: argparse.Namespace):
    from .convert import Options

    return Options(
        system=options.system,
        lengthScale=options.length_scale,
        normFactor=getattr(options, "norm_factor", None),
        temperature=options.temperature,
        diffusionTime=options.diffusion_time,
        count=getattr(options, "count", None),
        masses=options.masses,
        particles=options.particles,
        title=options.title,
        rawWeights=options.raw_weights,
    )


def _convertScoremd(options: argparse.Namespace) -> None:
    from . import convert

    _finish(
        convert.fromScoremd(options.input, _conversionOptions(options), options.config, options.epoch),
        options,
    )


def _convertTwoForOne(options: argparse.Namespace) -> None:
    from . import convert

    _finish(
        convert.fromTwoForOne(options.input, _conversionOptions(options), options.noise_level),
        options,
    )


def _finish(converted, options: argparse.Namespace) -> None:
    """Write a converted model and say what its user should know."""
    converted.write(options.output, overwrite=options.force)
    for note in converted.notes:
        print(f"openmmscore: note: {note}", file=sys.stderr)
    experts = len(converted.description["experts"])
    parameters = sum(tensor.size for tensor in converted.tensors.values())
    print(f"{options.output}: {experts} networks, {parameters} parameters")


def _addTrain(commands: Subparsers) -> None:
    description = (
        "Take frames out of trajectories, train a model on them with openmmscore-train and, if the "
        "configuration has a table [evaluation], evaluate it."
    )
    parser = commands.add_parser(
        "train", help="train a model from trajectories, as a TOML file describes it", description=description
    )
    parser.add_argument("config", metavar="CONFIG", help="the run, a TOML file (docs/training.md)")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="continue the run in the output folder")
    start.add_argument("--overwrite", action="store_true", help="replace a run in the output folder")
    parser.add_argument(
        "--prepare", action="store_true", help="take the frames out of the trajectories, and no more"
    )
    parser.add_argument("--evaluate", action="store_true", help="evaluate the model at the end in any case")
    parser.add_argument("--steps", type=int, help="instead of training.steps")
    parser.add_argument("--threads", type=int, help="instead of training.threads")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="instead of training.device")
    parser.add_argument("--output", help="instead of output.directory")
    parser.add_argument("--stage", type=int, help="train this stage alone, counted from 0")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from .train import train

    return train(options)


def _addDoctor(commands: Subparsers) -> None:
    parser = commands.add_parser(
        "doctor", help="say what is installed and what failed to load", description=_examine.__doc__
    )
    parser.set_defaults(run=_examine)


def _examine(arguments: argparse.Namespace) -> None:
    """Print versions, platforms, and every library that failed to load with the reason."""
    from . import diagnostics

    print(diagnostics.report())


def _addEvaluate(commands: Subparsers) -> None:
    from .evaluation.command import addEvaluate

    addEvaluate(commands)


def _addTensorboard(commands: Subparsers) -> None:
    from .train.tensorboard import addTensorboard

    addTensorboard(commands)


#: One function for each command, which adds its parser; append to it to have one more.
COMMANDS: list[Callable[[Subparsers], None]] = [
    _addInfo,
    _addConvert,
    _addTrain,
    _addTensorboard,
    _addEvaluate,
    _addDoctor,
]


if __name__ == "__main__":
    sys.exit(main())

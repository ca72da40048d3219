"""Train the flow of alanine_dipeptide_flow.py: short MD first, then the flow's own reweighted draws.

    python examples/train_alanine_dipeptide_flow.py --threads 2

Round 0 trains on bursts of MD (examples/data/make_alanine_dipeptide_frames.py, made first as far as they are
not there): a couple of thousand independent configurations really, which a flow soon learns by heart. Every
later round draws from the flow of the one before, weights the draws with OpenMM's energies, and trains a new
flow on what they make of the Boltzmann distribution, beside the frames of MD. Draws are independent and
cheap, so each round has more of them. A finished round is not done again; an interrupted training is resumed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
DATA = EXAMPLES / "data"
PROGRAM = Path(sys.executable).parent / "openmmscore-train"
#: steps of training, and draws of the flow before to train on
ROUNDS = ((6000, 0), (10000, 400_000), (16000, 800_000), (16000, 1_000_000))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=Path, default=DATA / "alanine_dipeptide_frames.npy")
    parser.add_argument("--output", type=Path, default=Path("alanine_dipeptide_flow"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    # It adds what is missing, and nothing to a file that is whole.
    script("make_alanine_dipeptide_frames.py", "--jobs", options.threads, "--output", options.frames)
    flow = None
    for number, (steps, draws) in enumerate(ROUNDS):
        flow = trainRound(number, steps, draws, flow, options)
    print(f"the flow is {flow}")
    return 0


def trainRound(number: int, steps: int, draws: int, before: Path | None, options: argparse.Namespace) -> Path:
    """Do what is left of a round, and return the file of its flow."""
    flow = options.output / f"round{number}.safetensors"
    if flow.exists():
        return flow
    data, heldOut = options.frames, 0.1
    if before is not None:
        data, heldOut = options.output / f"draws{number}.npy", 0.025
        if not data.exists():
            partial = options.output / "partial.npy"
            arguments = ("--draws", draws, "--also", options.frames, "--seed", number, "--output", partial)
            script("make_alanine_dipeptide_draws.py", before, *arguments)
            partial.replace(data)
    folder = options.output / f"training{number}"
    config = options.output / f"round{number}.toml"
    config.write_text(configuration(steps, data.resolve(), heldOut, folder.name))
    command = [str(PROGRAM), str(config), "--threads", str(options.threads)]
    if (folder / "checkpoint.safetensors").exists():
        command.append("--resume")
    subprocess.run(command, check=True)
    (folder / "proposal.safetensors").replace(flow)
    return flow


def configuration(steps: int, data: Path, heldOut: float, folder: str) -> str:
    """The example's configuration with this round's steps, data and output folder."""
    text = (EXAMPLES / "train/alanine_dipeptide_flow.toml").read_text()
    for key, value in (
        ("file", f'"{data}"'),
        ("validation_fraction", heldOut),
        ("steps", steps),
        ("directory", f'"{folder}"'),
    ):
        text, count = re.subn(rf"(?m)^{key} = .*$", lambda _, k=key, v=value: f"{k} = {v}", text)
        assert count == 1, key
    return text


def script(name: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(DATA / name), *map(str, arguments)], check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # The training has said how it is continued; here the same command does it.
        sys.exit(130)

"""Draw the losses of trainings over their steps.

    python examples/reproduce/learning_curve.py one=run/log.jsonl both=other/log-2.jsonl --output curve.png

Each argument names a log.jsonl that openmmscore-train has written, perhaps with a label before it. Lines are
the training loss, points the validation loss of the averaged weights; the Fokker-Planck part, where there is
one, has a panel of its own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", nargs="+", metavar="[LABEL=]LOG")
    parser.add_argument("--output", type=Path, default=Path("learning_curve.png"))
    options = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for index, argument in enumerate(options.logs):
        label, _, path = argument.rpartition("=")
        lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
        draw(left, lines, label or path, f"C{index}", "score_matching_loss", "loss")
        draw(right, lines, label or path, f"C{index}", "fokker_planck_loss", None)
    left.set_title("score matching")
    right.set_title("Fokker-Planck, weighted")
    right.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.locator_params(axis="x", nbins=6)
        if axes.has_data():
            axes.legend(fontsize=7)
    figure.savefig(options.output, dpi=120)
    print(options.output)


def draw(axes: plt.Axes, lines: list[dict], label: str, colour: str, key: str, instead: str | None) -> None:
    """Training and validation values of one log; `instead` is the key where the loss has one part only."""
    for prefix, style, name in (("", "-", label), ("validation_", "o", None)):
        points = [
            (line["step"], line.get(prefix + key, line.get(f"{prefix}{instead}")))
            for line in lines
            if prefix + key in line or (instead and f"{prefix}{instead}" in line)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=name, markersize=3, linewidth=1)


if __name__ == "__main__":
    main()

"""The example that reweights double wells, shortened."""

import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
from openmmscore import WeightedSamples

EXAMPLE = Path(__file__).parents[2] / "examples" / "reweight_double_well.py"


def test_doubleWellsAgreeWithQuadrature(tmp_path):
    options = ["--samples", "3000", "--steps", "4000", "--walkers", "300", "--seed", "3"]
    result = subprocess.run(
        [sys.executable, str(EXAMPLE), *options, "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    rows = [line for line in result.stdout.splitlines() if " K " in line]
    found = np.array([[float(x) for x in row.split()[-4:]] for row in rows])
    assert len(found) == 12
    exact, value, error, deviation = found.T
    assert np.all(error > 0) and np.all(error < 0.5) and np.all(np.abs(deviation) < 5)
    assert np.all(np.abs(value - exact) < 5 * error + 0.001)
    assert matplotlib.image.imread(tmp_path / "double_well.png").std() > 0.05
    assert len(WeightedSamples.load(tmp_path / "double_well_10.nc")) == 3000

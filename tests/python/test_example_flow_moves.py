"""The example with moves inside a simulation, shortened."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "flow_moves.py"


def test_wellsGetHalfOfTheTimeEach():
    command = [sys.executable, str(EXAMPLE), "--steps", "40000", "--seed", "2"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert "without moves: 0 of 2" in result.stdout
    assert int(re.search(r"crossed (\d+) times", result.stdout)[1]) > 50
    share, error = map(float, re.search(r"right well: (\S+) \+- (\S+),", result.stdout).groups())
    assert 0 < error < 0.1 and abs(share - 0.5) < 5 * error

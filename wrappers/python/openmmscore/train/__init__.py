"""From trajectories to an evaluated model: what ``openmmscore train`` does around openmmscore-train.

``config`` reads the part of the TOML file that is about data, ``frames`` reads trajectories, ``prepare`` puts
into the output folder what openmmscore-train takes, ``run`` runs it.
"""

from __future__ import annotations

from .prepare import prepare
from .run import train

__all__ = ["prepare", "train"]

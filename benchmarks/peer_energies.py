"""A worker that computes energies by bgflow's and transferable-samplers' bridges to OpenMM, as they are.

Only the modules of the bridges are loaded, since the packages' own imports want much that has nothing to do
with energies. Both always compute forces too.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import torch
from energy_cases import Programs, makeCase, makeIntegrator
from worker import serve

programs = Programs()
torch.set_num_threads(1)


def prepare(
    key: str, case: str, program: str, seconds: float, platform: str, threads: int, checkout: str
) -> dict:
    """Prepare "bgflow" with so many worker processes, or "transferable-samplers", from a checkout."""
    system, temperature, frames = makeCase(case)
    make = {"bgflow": bgflow, "transferable-samplers": transferableSamplers}[program]
    evaluate = make(system, temperature, platform, threads, Path(checkout))
    return programs.add(key, frames.astype(np.float32), evaluate, seconds)


def bgflow(
    system: openmm.System, temperature: float, platform: str, workers: int, checkout: Path
) -> Callable[[np.ndarray], np.ndarray]:
    """Return bgflow's OpenMMBridge with one Context, or with so many worker processes."""
    Bridge = loadBridge(checkout)
    bridge = Bridge(
        system,
        makeIntegrator(temperature),
        platform_name=platform,
        n_workers=workers,
        err_handling="exception",
    )
    return lambda x: bridge.evaluate(torch.from_numpy(x.reshape(len(x), -1)))[0].numpy()


def loadBridge(checkout: Path) -> type:
    """Load bgflow/distribution/energy/openmm.py and what it imports."""
    # A default argument of that file has this name, which NumPy 2 dropped; nothing else runs in this process.
    vars(np)["infty"] = np.inf
    package = "bgflow.distribution.energy"
    names = ["bgflow", "bgflow.utils", "bgflow.distribution", package, "bgflow.distribution.sampling"]
    for name in names:
        module = types.ModuleType(name)
        module.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = module
    sys.modules["bgflow.distribution.sampling"].Sampler = type("Sampler", (), {})
    for name in ("bgflow.utils.types", f"{package}.base", f"{package}.openmm"):
        spec = importlib.util.spec_from_file_location(name, checkout / f"{name.replace('.', '/')}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        if name == "bgflow.utils.types":
            vars(sys.modules["bgflow.utils"]).update(vars(module))
    return module.OpenMMBridge


def transferableSamplers(
    system: openmm.System, temperature: float, platform: str, threads: int, checkout: Path
) -> Callable[[np.ndarray], np.ndarray]:
    """Return transferable-samplers' OpenMMEnergy, which takes as many threads as there are cores."""
    sys.path.insert(0, str(checkout / "src"))
    from transferable_samplers.data.energy.openmm_energy import OpenMMEnergy

    energy = OpenMMEnergy(system, makeIntegrator(temperature), platform_name=platform)
    return lambda x: energy(torch.from_numpy(x)).numpy()


def versions() -> dict:
    """Return what ran."""
    return {"torch": torch.__version__, "openmm": openmm.version.full_version, "numpy": np.__version__}


if __name__ == "__main__":
    multiprocessing.set_start_method("fork", force=True)
    serve({"prepare": prepare, "measure": programs.measure, "versions": versions})
    # bgflow's worker processes wait for tasks forever.
    for child in multiprocessing.active_children():
        child.terminate()

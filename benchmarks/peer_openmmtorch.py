"""A worker that runs the same network, written in PyTorch, through TorchForce and PythonForce of OpenMM.

TorchForce needs the package openmmtorch, PythonForce only PyTorch. The network has explicit edges, as it has
in the programs that train such models, and the model file's weights, so forces can be compared with ours.
"""

from __future__ import annotations

import math

import numpy as np
import openmm
import torch
from cases import startPositions
from torch import Tensor, nn
from worker import estimateStepTime, serve, timeSteps

DIFFUSION_TIME = 1e-5
FRICTION = 1.0  # 1/ps


class Block(nn.Module):
    """One layer: attention over pairs of beads, then a feed-forward network, each gated."""

    def __init__(self, hidden: int):
        super().__init__()
        self.attention_norm, self.feed_forward_norm = (nn.LayerNorm(hidden, eps=1e-6) for _ in range(2))
        self.query, self.key, self.value, self.edge = (nn.Linear(hidden, 512) for _ in range(4))
        self.output = nn.Linear(512, hidden)
        self.attention_gate, self.feed_forward_gate = (nn.Linear(3 * hidden, 1, bias=False) for _ in range(2))
        self.expand, self.contract = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)

    def both(self, new: Tensor, old: Tensor) -> Tensor:
        return torch.cat([new, old, new - old], -1)

    def forward(self, h: Tensor, edge: Tensor) -> Tensor:
        n = h.shape[0]
        y = self.attention_norm(h)
        q, k = self.query(y).view(n, 8, 64), self.key(y).view(1, n, 8, 64)
        v, e = self.value(y).view(1, n, 8, 64), self.edge(edge).view(n, n, 8, 64)
        attention = torch.softmax(torch.einsum("ihd,ijhd->hij", q, k + e) / 8.0, -1)
        mixed = torch.einsum("hij,ijhd->ihd", attention, v + e).reshape(n, 512)
        new = self.output(mixed)
        h = h + torch.sigmoid(self.attention_gate(self.both(new, h))) * (new - h)
        y = self.feed_forward_norm(h)
        new = self.contract(nn.functional.gelu(self.expand(y), approximate="tanh"))
        return h + torch.sigmoid(self.feed_forward_gate(self.both(new, h))) * (new - h)


class Potential(nn.Module):
    """Positions in nm to the energy in kJ/mol."""

    def __init__(self, beads: int, hidden: int, layers: int, lengthScale: float, kT: float):
        super().__init__()
        t = DIFFUSION_TIME
        times = [t - 0.5, math.cos(2 * math.pi * t), math.sin(2 * math.pi * t), -math.cos(4 * math.pi * t)]
        self.register_buffer("inputs", torch.cat([torch.eye(beads), torch.tensor(times).repeat(beads, 1)], 1))
        self.node_embedding, self.edge_embedding = nn.Linear(beads + 4, hidden), nn.Linear(3, hidden)
        self.blocks = nn.ModuleList([Block(hidden) for _ in range(layers)])
        self.readout = nn.Linear(hidden, 1)
        self.lengthScale = lengthScale
        self.kT = kT

    def energy(self, positions: Tensor) -> Tensor:
        z = (positions - positions.mean(0, keepdim=True)) / self.lengthScale
        h = self.node_embedding(self.inputs)
        edge = self.edge_embedding(z.unsqueeze(0) - z.unsqueeze(1))
        for block in self.blocks:
            h = block(h, edge)
        return self.readout(h).sum() * self.kT

    def forward(self, positions: Tensor) -> Tensor:
        return self.energy(positions.to(torch.float32))


class PotentialWithForces(Potential):
    """The same with the forces, which TorchForce otherwise differentiates for itself."""

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        x = positions.to(torch.float32).detach().requires_grad_(True)
        energy = self.energy(x)
        gradient = torch.autograd.grad([energy], [x])[0]
        assert gradient is not None
        return energy.detach(), -gradient


def load(module: Potential, path: str) -> Potential:
    """Take the weights of a model file's .npz twin."""
    with np.load(path) as file:
        weights = {name.removeprefix("experts.0."): torch.from_numpy(file[name]) for name in file.files}
    names = {
        name.replace("layers.", "blocks.").replace(".attention.", ".").replace(".feed_forward.", "."): name
        for name in weights
    }
    missing, unexpected = module.load_state_dict(
        {ours: weights[theirs] for ours, theirs in names.items()}, strict=False
    )
    if unexpected or missing != ["inputs"]:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return module.eval().requires_grad_(False)


def createForce(mode: str, case: dict, weights: str) -> openmm.Force:
    """Return a Force in one of the ways in which a PyTorch module can be one."""
    kind = Potential if mode == "TorchForce" else PotentialWithForces
    sizes = case["beads"], case["hidden"], case["layers"], case["lengthScale"], case["kT"]
    module = torch.jit.script(load(kind(*sizes), weights))
    if mode == "PythonForce":

        def compute(state):
            energy, forces = module(torch.from_numpy(np.asarray(state.getPositions(asNumpy=True)._value)))
            return energy.item(), forces.numpy().astype(np.float64)

        return openmm.PythonForce(compute)
    import openmmtorch

    force = openmmtorch.TorchForce(module)
    force.setOutputsForces(mode == "TorchForce, own forces")
    return force


class Run:
    """A prepared simulation of one molecule."""

    def __init__(self, case: dict, weights: str, mode: str, platform: str):
        system = openmm.System()
        for mass in case["masses"]:
            system.addParticle(mass)
        system.addForce(createForce(mode, case, weights))
        self.temperature = case["temperature"]
        self.integrator = openmm.LangevinMiddleIntegrator(self.temperature, FRICTION, case["timeStep"])
        self.context = openmm.Context(system, self.integrator, openmm.Platform.getPlatform(platform))
        self.positions = startPositions(case["masses"], case["lengthScale"], 1)[0]
        self.start()
        # TorchScript optimises a module in its first calls.
        self.integrator.step(20)
        self.stepTime = estimateStepTime(self.integrator.step)

    def start(self) -> None:
        """Go back to the first step."""
        self.context.setPositions(self.positions)
        self.context.setVelocitiesToTemperature(self.temperature, 1)

    def measure(self, seconds: float) -> dict:
        """Time about so many seconds."""
        return timeSteps(self.start, self.integrator.step, self.stepTime, seconds)


runs: dict[str, Run] = {}


def prepare(key: str, case: dict, weights: str, mode: str, platform: str) -> dict:
    """Create a simulation, and return energy and forces at its first positions in OpenMM's units."""
    run = runs[key] = Run(case, weights, mode, platform)
    run.start()
    state = run.context.getState(energy=True, forces=True)
    energy, forces = state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value
    return {"energy": energy, "forces": np.asarray(forces).tolist()}


if __name__ == "__main__":
    torch.set_num_threads(torch.get_num_threads())
    serve(
        {
            "prepare": prepare,
            "measure": lambda key, seconds: runs[key].measure(seconds),
            "versions": lambda: {"torch": torch.__version__, "openmm": openmm.version.version},
        }
    )

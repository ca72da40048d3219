import sys

import numpy as np
import openmmscore
from openmm import LangevinMiddleIntegrator, app
from openmm.unit import femtoseconds, kelvin, picosecond

topology, system = openmmscore.createSystem("examples/models/alanine_dipeptide.safetensors", copies=100)
integrator = LangevinMiddleIntegrator(300 * kelvin, 1 / picosecond, 2 * femtoseconds)
simulation = app.Simulation(topology, system, integrator)
starts = np.load("examples/data/alanine_dipeptide_beads.npy")[::500]
simulation.context.setPositions(openmmscore.repeatPositions(starts, copies=100))
simulation.context.setVelocitiesToTemperature(300 * kelvin)
simulation.reporters.append(app.DCDReporter("alanine_dipeptide.dcd", 100))
simulation.reporters.append(app.StateDataReporter(sys.stdout, 100, step=True, temperature=True, speed=True))
simulation.step(1000)

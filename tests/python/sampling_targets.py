"""What targets of known densities have in common."""

from types import SimpleNamespace

import numpy as np

LN_2PI = np.log(2 * np.pi)


class AnalyticTarget:
    """Answers as a BoltzmannTarget does; a subclass has energiesAndForces(x) -> (u, -grad u, status)."""

    def evaluate(self, positions, forces=False):
        energy, force, status = self.energiesAndForces(positions)
        return SimpleNamespace(reducedEnergies=energy, forces=force if forces else None, status=status)


class Normal:
    """Standard normal in any shape: a proposal in plain Python."""

    def __init__(self, *shape):
        self.shape = shape

    def sample(self, n, seed=0, first=0):
        draws = [np.random.default_rng([seed, first + i]).standard_normal(self.shape) for i in range(n)]
        x = np.array(draws).reshape(n, *self.shape)
        return x, self.logDensity(x)

    def logDensity(self, x):
        return -0.5 * (x.reshape(len(x), -1) ** 2).sum(axis=1) - 0.5 * x[0].size * LN_2PI

    def logDensityGradient(self, x):
        return -x


class Harmonic(AnalyticTarget):
    """u = k/2 |x - centre|^2 + offset."""

    def __init__(self, k=2.0, centre=0.5, offset=3.0):
        self.k, self.centre, self.offset = k, centre, offset
        self.numAsked = 0

    def energiesAndForces(self, x):
        self.numAsked += len(x)
        off = x - self.centre
        energy = 0.5 * self.k * (off.reshape(len(x), -1) ** 2).sum(axis=1) + self.offset
        return energy, -self.k * off, np.zeros(len(x), dtype=int)

    def logZ(self, dimension):
        return 0.5 * dimension * (LN_2PI - np.log(self.k)) - self.offset


class DoubleWell(AnalyticTarget):
    """u = (x^2 - 1)^2 / 0.4 + x / 2 + 2 (y - x/2)^2 in two dimensions."""

    def energiesAndForces(self, x):
        a, b = x[:, 0], x[:, 1]
        bend = b - a / 2
        energy = (a**2 - 1) ** 2 / 0.4 + a / 2 + 2 * bend**2
        gradient = np.stack([4 * a * (a**2 - 1) / 0.4 + 0.5 - 2 * bend, 4 * bend], axis=1)
        return energy, -gradient, np.zeros(len(x), dtype=int)


class Broken(DoubleWell):
    """Where x > 1.2 energies are NaN, infinite or not to be used; at y > 0.3 forces are NaN."""

    def energiesAndForces(self, x):
        energy, forces, status = super().energiesAndForces(x)
        planted = np.flatnonzero(x[:, 0] > 1.2)
        kind = (np.abs(x[planted, 1]) * 1000).astype(int) % 4
        energy[planted[kind == 0]] = np.nan
        energy[planted[kind == 1]] = np.inf
        energy[planted[kind == 2]] = -np.inf
        status[planted[kind == 3]] = 7
        forces[x[:, 1] > 0.3] = np.nan
        return energy, forces, status


class Dimer(AnalyticTarget):
    """A harmonic bond of length 0.8 between two particles, wherever they are."""

    def energiesAndForces(self, x):
        bond = x[:, 1] - x[:, 0]
        length = np.linalg.norm(bond, axis=1, keepdims=True)
        force = 20 * (length - 0.8) * bond / length
        return 10 * (length[:, 0] - 0.8) ** 2, np.stack([force, -force], axis=1), np.zeros(len(x), dtype=int)


def grid(target, highest=6.0):
    """log Z and the averages of x and y^2 of a target in two dimensions, up to x = highest, by quadrature."""
    step = 0.005
    axis = np.arange(-6, 6, step) + step / 2
    points = np.stack(np.meshgrid(axis[axis < highest], axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(-DoubleWell.energiesAndForces(target, points)[0])
    z = weight.sum()
    return np.log(z * step**2), weight @ points[:, 0] / z, weight @ points[:, 1] ** 2 / z


def expectWithin(found, error, exact, least=1e-12):
    np.testing.assert_array_less(np.abs(np.asarray(found) - exact), 5 * np.asarray(error) + least)

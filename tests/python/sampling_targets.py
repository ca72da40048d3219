"""What targets of known densities have in common."""

from types import SimpleNamespace


class AnalyticTarget:
    """Answers as a BoltzmannTarget does; a subclass has energiesAndForces(x) -> (u, -grad u, status)."""

    def evaluate(self, positions, forces=False):
        energy, force, status = self.energiesAndForces(positions)
        return SimpleNamespace(reducedEnergies=energy, forces=force if forces else None, status=status)

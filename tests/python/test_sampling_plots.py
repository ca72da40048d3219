import matplotlib.image
import numpy as np
import openmm
import pytest
from openmmscore import BoltzmannSampler
from openmmscore.sampling.plots import plotEnergies, plotRamachandran, plotWeights
from sampling_parts import HarmonicTarget, NormalProposal, SpoilingProposal

TORSIONS = [(0, 1, 2, 3), (1, 2, 3, 4)]


def draw(n=3000, faults=True, **options):
    proposal = SpoilingProposal(5, deviation=1.15)
    sampler = BoltzmannSampler(proposal, HarmonicTarget(5, faults=faults), **options)
    return sampler.sample(n, seed=2, progress=False)


@pytest.fixture(scope="module")
def samples():
    return draw()


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def area(patch):
    data = patch.get_data()
    return np.sum(data.values * np.diff(data.edges)), np.average(
        (data.edges[1:] + data.edges[:-1]) / 2, weights=data.values
    )


def test_energyHistogramsAreDensities(tmp_path):
    samples = draw(faults=False)
    reference = HarmonicTarget(5).energies(NormalProposal(5).sample(4000, seed=7)[0])
    figure = plotEnergies(samples, reference, tmp_path / "energies.png", title="A title")
    assert matplotlib.image.imread(tmp_path / "energies.png").std() > 0.05
    axes = figure.axes[0]
    assert labels(axes) == ["proposal", "reference", "reweighted"]
    proposal, expected, reweighted = (area(patch) for patch in axes.patches)
    # At most a tenth of what was proposed, and next to nothing of the others, lies outside.
    assert 0.85 < proposal[0] < 0.999 and 0.99 < reweighted[0] <= 1.001 and 0.99 < expected[0] <= 1.001
    assert reweighted[1] == pytest.approx(expected[1], abs=0.4) and proposal[1] > expected[1] + 0.8
    assert labels(plotEnergies(samples).axes[0]) == ["proposal", "reweighted"]


def test_weightsAreDrawnWithTheirTail(samples, tmp_path):
    figure = plotWeights(samples, tmp_path / "weights.png")
    assert matplotlib.image.imread(tmp_path / "weights.png").std() > 0.05
    left, right = figure.axes
    x, y = left.lines[0].get_data()
    assert y[0] == 0 and y[-1] == pytest.approx(1) and x[-1] == pytest.approx(len(samples.weighted) / 3000)
    assert np.all(np.diff(np.diff(y)) < 1e-12)  # largest first
    assert labels(right)[0] == "samples" and labels(right)[1].startswith("Pareto fit, k = ")
    weight, above = right.lines[0].get_data()
    fitted, survival = right.lines[1].get_data()
    assert above[0] == pytest.approx(1 / 3000)
    # The fit goes through the tail that it was made for.
    middle = np.interp(fitted[10:60], weight[::-1], above[::-1])
    np.testing.assert_allclose(np.log(survival[10:60]), np.log(middle), atol=0.4)


def test_equalWeightsCanBeDrawn():
    sampler = BoltzmannSampler(NormalProposal(), HarmonicTarget())
    plotWeights(sampler.sample(200, seed=1, progress=False))


def test_ramachandranHasThreePanels(samples, tmp_path):
    reference = np.random.default_rng(3).uniform(-np.pi, np.pi, (5000, 2))
    figure = plotRamachandran(samples, TORSIONS, reference, tmp_path / "torsions.png", bins=12)
    assert matplotlib.image.imread(tmp_path / "torsions.png").std() > 0.05
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == [
        f"proposal, {len(samples.weighted):,} samples",
        "reweighted",
        "reference, 5,000 samples",
    ]
    limits = {axes.images[0].get_clim() for axes in figure.axes[:3]}
    assert len(limits) == 1
    assert len(plotRamachandran(samples, TORSIONS).axes) == 3  # two panels and the scale


def test_plotsRefuse(samples):
    with pytest.raises(openmm.OpenMMException, match="two times four particles"):
        plotRamachandran(samples, [(0, 1, 2, 3)])
    with pytest.raises(openmm.OpenMMException, match="no sample has a weight"):
        plotWeights(draw(n=0))

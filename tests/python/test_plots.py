import matplotlib.image
import numpy as np
import pytest
from openmmscore.analysis.plots import plotTorsions


@pytest.fixture
def angles():
    random = np.random.default_rng(1)
    return random.normal([-1.2, 2.0], 0.3, (500, 2)), random.normal([-1.0, 1.8], 0.4, (900, 2))


def test_picture_of_torsions_is_saved(angles, tmp_path):
    model, reference = angles
    plotTorsions(model, reference, 2.494, tmp_path / "torsions.png", title="A title")
    picture = matplotlib.image.imread(tmp_path / "torsions.png")
    assert picture.shape[1] > 1000
    assert picture.std() > 0.1


def test_both_surfaces_have_one_scale_and_say_what_they_show(angles):
    model, reference = angles
    left, right, curves, bar = plotTorsions(model, reference, 2.494).axes
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert left.get_title() == "reference, 900 samples"
    assert right.get_title() == "model, 500 samples"
    assert "kJ/mol" in bar.get_ylabel()
    assert left.get_xlabel() == "φ / degrees"
    assert {text.get_text() for text in curves.get_legend().get_texts()} == {"reference", "model"}


def test_the_most_visited_place_is_drawn_where_it_lies(angles):
    # phi to the right, psi upwards.
    _, reference = angles
    image = plotTorsions(reference, reference, 2.494, bins=36).axes[0].images[0]
    row, column = np.unravel_index(np.nanargmin(image.get_array().filled(np.nan)), (36, 36))
    assert -180 + 10 * (column + 0.5) == pytest.approx(np.degrees(-1.0), abs=20)
    assert -180 + 10 * (row + 0.5) == pytest.approx(np.degrees(1.8), abs=20)

"""Models out of weights of ScoreMD and Two-for-One."""

import json
import shutil
from pathlib import Path

import numpy as np
import openmmscore
import pytest
from numpy_networks import Network
from openmmscore import convert
from openmmscore.convert import ConversionError, Options
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).parents[1] / "data" / "scoremd"
GAS_CONSTANT = 8.31446261815324e-3


@pytest.fixture
def copy(tmp_path):
    """Return a function that copies a case, changes its description and tensors, and returns its path."""

    def make(name, tensors=None, **changes):
        source = load_file(DATA / f"{name}.safetensors")
        description = json.loads((DATA / f"{name}.json").read_text())
        description.update(changes)
        kept = {key: value for key, value in description.items() if value is not ...}
        (tmp_path / f"{name}.json").write_text(json.dumps(kept))
        save_file(tensors(source) if tensors else source, tmp_path / f"{name}.safetensors")
        return tmp_path / f"{name}.safetensors"

    return make


def model(path, options=None):
    return openmmscore.Model.fromBytes(convert.fromScoremd(path, options).encode())


# ---- what the converted tensors compute


@pytest.mark.parametrize(
    "name",
    [
        "mlp_pot_single_t0-1",
        "mlp_pot_t0.1-0.6",
        "gt_aldp_potential",
        "gt_tiny_potential",
        "gt_dipeptide_potential",
    ],
)
def test_converted_tensors_give_the_energies_of_the_original(name):
    case = load_file(DATA / f"{name}.safetensors")
    converted = convert.fromScoremd(DATA / f"{name}.safetensors")
    network = Network(converted.description, converted.tensors, 0)
    features = case.get("in/features")
    for i, t in enumerate(case["in/t"]):
        for j, z in enumerate(case["in/x"]):
            output = network.output(z, t, None if features is None else features[j])
            assert output.sum() == pytest.approx(case["out64/energy"][i, j], rel=1e-10)
            if "out64/node_energy" in case:
                np.testing.assert_allclose(output, case["out64/node_energy"][i, j].ravel(), 1e-9, 1e-12)


@pytest.mark.parametrize(
    "name", ["mlp_score_t0.6-1", "gt_aldp_scorehead", "gt_tiny_scorehead", "gt_tiny_dipeptide_scorehead"]
)
def test_converted_tensors_give_the_scores_of_the_original(name):
    case = load_file(DATA / f"{name}.safetensors")
    converted = convert.fromScoremd(DATA / f"{name}.json")
    network = Network(converted.description, converted.tensors, 0)
    features = case.get("in/features")
    for i, t in enumerate(case["in/t"]):
        for j, z in enumerate(case["in/x"]):
            score = network.expert["output_sign"] * network.output(
                z, t, None if features is None else features[j]
            )
            np.testing.assert_allclose(score, case["out64/score"][i, j].ravel(), 1e-9, 1e-11)


@pytest.mark.parametrize("name", ["mixture_mb_both", "mixture_aldp_both"])
def test_a_converted_mixture_gives_the_log_density_of_the_original(name):
    case = load_file(DATA / f"{name}.safetensors")
    converted = convert.fromScoremd(DATA / f"{name}.safetensors")
    experts = [Network(converted.description, converted.tensors, k) for k in range(3)]
    for i, t in enumerate(case["in/t"]):
        active = [e for e in experts if e.expert["interval"][0] <= t <= e.expert["interval"][1]]
        energies = [e for e in active if e.expert["head"] == "energy"]
        for j, z in enumerate(case["in/x"]):
            log_q = -sum(e.output(z, t).sum() for e in energies) / len(active)
            assert log_q == pytest.approx(case["out64/log_q"][i].ravel()[j], rel=1e-10)


@pytest.mark.parametrize("name", ["t4o_alanine", "t4o_chignolin"])
def test_a_converted_model_of_two_for_one_gives_the_energies_of_the_original(name):
    case = load_file(DATA / f"{name}.safetensors")
    converted = convert.fromTwoForOne(DATA / f"{name}.safetensors")
    network = Network(converted.description, converted.tensors, 0)
    for i, n in enumerate(case["in/n"].ravel()):
        for j, z in enumerate(case["in/x"].reshape(-1, network.model["count"], 3)):
            output = network.output(z, n / 1000)
            np.testing.assert_allclose(output, case["out64/node_energy"][i, j].ravel(), 1e-9, 1e-12)


# ---- what the document says


def test_experts_are_listed_by_descending_times():
    description = convert.fromScoremd(DATA / "mixture_aldp_both.safetensors").description
    assert [e["interval"] for e in description["experts"]] == [[0.6, 1.0], [0.1, 0.6], [0.0, 0.1]]
    assert [e["head"] for e in description["experts"]] == ["score", "score", "energy"]
    assert [e["output_sign"] for e in description["experts"]] == [-1, -1, 1]
    assert [e["time_features"] for e in description["experts"]] == ["fourier-rescaled"] * 2 + ["fourier"]


def test_constants_of_a_simulation_are_taken_over():
    case = load_file(DATA / "mixture_aldp_both.safetensors")
    description = convert.fromScoremd(DATA / "langevin_aldp_net.safetensors").description
    assert description["temperature"] == pytest.approx(300, rel=1e-9)
    assert description["length_scale"] == pytest.approx(1 / case["out64/norm_factor"][0], rel=1e-15)
    assert description["default_diffusion_time"] == 1e-5
    masses = load_file(DATA / "langevin_aldp_net.safetensors")["in/mass"].ravel().tolist()
    assert [particle["mass"] for particle in description["particles"]] == masses


def test_a_vector_model_has_one_particle_and_no_scale():
    converted = convert.fromScoremd(DATA / "langevin_mb_net.safetensors")
    description = converted.description
    assert (description["space"], description["count"], description["length_scale"]) == ("vector", 2, 1.0)
    assert description["temperature"] == pytest.approx(23 / GAS_CONSTANT)
    assert [particle["mass"] for particle in description["particles"]] == [0.5]
    assert description["default_diffusion_time"] == 0.0
    assert converted.notes == []


def test_a_model_of_two_for_one_knows_its_schedule():
    description = convert.fromTwoForOne(DATA / "t4o_alanine.safetensors").description
    schedule = {"kind": "cosine-ddpm", "steps": 1000, "offset": 0.008, "max_beta": 0.999}
    assert description["schedule"] == schedule
    assert description["length_scale"] == pytest.approx(0.09449278712272644, rel=1e-15)
    assert description["default_diffusion_time"] == 0.008
    assert {particle["mass"] for particle in description["particles"]} == {12.8}
    (expert,) = description["experts"]
    assert (expert["output_sign"], expert["output_scaling"]) == (-1, "inverse-sigma")
    assert (expert["gelu"], expert["layer_norm_epsilon"]) == ("erf", 1e-5)


def test_embeddings_become_features():
    description = convert.fromScoremd(DATA / "gt_dipeptide_potential.safetensors").description
    assert [feature["num_values"] for feature in description["features"]] == [20, 5, 3, 2]
    assert description["experts"][0]["embedding_width"] == 16


def test_the_provenance_names_files_and_options():
    options = Options(lengthScale=0.1, temperature=310)
    provenance = convert.fromScoremd(DATA / "gt_tiny_potential.safetensors", options).description[
        "provenance"
    ]
    assert provenance["program"] == "ScoreMD"
    assert [file["name"] for file in provenance["files"]] == [
        "gt_tiny_potential.json",
        "gt_tiny_potential.safetensors",
    ]
    assert all(len(file["sha256"]) == 64 for file in provenance["files"])
    assert provenance["options"] == {"lengthScale": 0.1, "temperature": 310}
    assert str(DATA) not in json.dumps(provenance)


def test_equal_input_gives_equal_bytes():
    first, second = (convert.fromScoremd(DATA / "mixture_mb_both.safetensors").encode() for _ in range(2))
    assert first == second


# ---- options


def test_options_come_before_the_files():
    options = Options(normFactor=4, temperature=310, diffusionTime=0.05, masses=[10.0], title="mine")
    description = convert.fromScoremd(DATA / "langevin_aldp_net.safetensors", options).description
    assert (description["length_scale"], description["temperature"]) == (0.25, 310)
    assert (description["default_diffusion_time"], description["title"]) == (0.05, "mine")
    assert {particle["mass"] for particle in description["particles"]} == {10.0}


def test_a_system_names_its_particles():
    description = convert.fromScoremd(
        DATA / "mixture_aldp_both.safetensors", Options(system="aldp")
    ).description
    assert [particle["name"] for particle in description["particles"]] == ["C", "N", "CA", "C", "N"]
    assert description["bonds"] == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_a_system_of_another_size_is_refused():
    with pytest.raises(ConversionError, match="has 10 particles, but the weights are for 5"):
        convert.fromScoremd(DATA / "mixture_aldp_both.safetensors", Options(system="chignolin"))
    with pytest.raises(ConversionError, match="'water' is unknown, expected one of aldp"):
        convert.fromScoremd(DATA / "mixture_aldp_both.safetensors", Options(system="water"))


def test_particles_come_from_a_file(tmp_path):
    path = tmp_path / "particles.json"
    beads = [{"name": "X", "mass": 3.0}, {"mass": 4.0}, {"mass": 5.0, "residue": "ALA"}]
    path.write_text(json.dumps({"particles": beads, "bonds": [[0, 1]]}))
    description = convert.fromScoremd(
        DATA / "gt_tiny_potential.safetensors", Options(particles=str(path))
    ).description
    assert [particle["name"] for particle in description["particles"]] == ["X", "B2", "B3"]
    assert [particle["mass"] for particle in description["particles"]] == [3, 4, 5]
    assert description["bonds"] == [[0, 1]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "0 particles are listed, expected 3"),
        ('[{"mass": 1}, {"mass": 1}, {}]', "particle 2: mass is None"),
        ('[{"mass": 1}, {"mass": 1}, {"mass": -1}]', "positive number"),
        ('[{"mass": 1}, {"mass": 1}, {"mass": 1, "colour": 2}]', "'colour' is unknown"),
        ('{"particles": [{"mass": 1}, {"mass": 1}, {"mass": 1}], "bonds": [1]}', "bonds are pairs"),
        ('{"particles": [{"mass": 1}, {"mass": 1}, {"mass": 1}], "bonds": [[0, 1.5]]}', "bonds are pairs"),
    ],
)
def test_bad_particles_are_refused(tmp_path, content, reason):
    path = tmp_path / "particles.json"
    path.write_text(content)
    with pytest.raises(ConversionError, match=reason):
        convert.fromScoremd(DATA / "gt_tiny_potential.safetensors", Options(particles=str(path)))


def test_bad_options_are_refused():
    with pytest.raises(ConversionError, match="lengthScale is -1"):
        Options(lengthScale=-1)
    with pytest.raises(ConversionError, match="give one of them"):
        Options(lengthScale=1, normFactor=1)
    with pytest.raises(ConversionError, match="outside the model's interval"):
        convert.fromScoremd(DATA / "gt_tiny_potential.safetensors", Options(diffusionTime=0.5))
    with pytest.raises(ConversionError, match="2 masses are given, expected 3"):
        convert.fromScoremd(DATA / "gt_tiny_potential.safetensors", Options(masses=[1.0, 2.0]))
    with pytest.raises(ConversionError, match="is no level"):
        convert.fromTwoForOne(DATA / "t4o_alanine.safetensors", Options(diffusionTime=0.0085))


# ---- descriptions with gaps, and with mistakes


def test_what_a_description_leaves_out_is_read_off_the_weights(copy):
    gone = dict.fromkeys(
        ["heads", "dim_head", "ln_eps", "gelu", "time_features", "hidden", "layers", "n_beads"], ...
    )
    path = copy("gt_tiny_potential", **gone, potential=...)
    found = convert.fromScoremd(path).description["experts"]
    assert found == convert.fromScoremd(DATA / "gt_tiny_potential.safetensors").description["experts"]


def test_the_description_may_be_in_the_metadata(tmp_path):
    shutil.copy(DATA / "gt_tiny_potential.safetensors", tmp_path)
    with pytest.raises(ConversionError, match="needs its description"):
        save_file({"params/x": np.zeros(1)}, tmp_path / "bare.safetensors")
        convert.fromScoremd(tmp_path / "bare.safetensors")
    found = convert.fromScoremd(tmp_path / "gt_tiny_potential.safetensors").description["experts"]
    assert found == convert.fromScoremd(DATA / "gt_tiny_potential.safetensors").description["experts"]


def test_the_scale_follows_from_the_training_data(copy):
    expected = load_file(DATA / "mixture_aldp_both.safetensors")["out64/norm_factor"][0]
    path = copy("mixture_aldp_both", lambda t: {k: v for k, v in t.items() if k != "out64/norm_factor"})
    assert 1 / convert.fromScoremd(path).description["length_scale"] == pytest.approx(expected, rel=1e-12)


def test_one_expert_of_a_mixture_can_be_converted(tmp_path):
    shutil.copy(DATA / "mixture_mb_both.safetensors", tmp_path)
    shutil.copy(DATA / "mixture_mb_both.json", tmp_path)
    case = {"weights_from": "mixture_mb_both.safetensors", "weights_prefix": "params/models_1/"}
    (tmp_path / "one.json").write_text(json.dumps(case))
    (expert,) = convert.fromScoremd(tmp_path / "one.json").description["experts"]
    assert expert["interval"] == [0.1, 0.6]


def test_double_precision_is_kept(copy):
    path = copy(
        "gt_tiny_potential",
        lambda t: {k: v.astype(np.float64) if k.startswith("params/") else v for k, v in t.items()},
    )
    assert {tensor.dtype for tensor in convert.fromScoremd(path).tensors.values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden": 16}, "hidden is 16, but the weights have 8"),
        ({"layers": 3}, "layers is 3, but the weights have 1"),
        ({"n_beads": 5}, "n_beads is 5, but .* have 3"),
        ({"n_beads": "three"}, "n_beads is 'three', expected a positive integer"),
        ({"heads": 4}, "4 heads of 64 do not make the 512"),
        ({"interval": [0.1, 0.6], "time_features": ..., "n_beads": ...}, "too few inputs"),
        ({"interval": [0.5, 0.5]}, "two different times"),
        ({"interval": 3}, "expected two times"),
        ({"potential": False}, "the score head has 1 outputs"),
        ({"gelu": "relu"}, "expected 'tanh' or 'erf'"),
        ({"n_params": 1}, "n_params is 1, but the weights have 23273"),
        ({"kind": "cnn"}, "describes no network"),
        ({"weights_prefix": "other/"}, "no weights under 'other/'"),
        ({"weights_from": "../gt_tiny_potential.safetensors"}, "the name of a file beside it"),
        ({"weights_from": "absent.safetensors"}, "no such file"),
        ({"embedding_tables": [20, 5]}, "embedding_tables is"),
        ({"norm_factor": -1}, "norm_factor is -1"),
    ],
)
def test_descriptions_that_disagree_with_the_weights_are_refused(copy, changes, reason):
    with pytest.raises(ConversionError, match=reason):
        convert.fromScoremd(copy("gt_tiny_potential", **changes))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("params/edge_embedding/bias"), "edge_embedding/bias' is missing"),
        (lambda t: t.update({"params/extra/kernel": np.zeros((2, 2))}), "variant that is not supported"),
        (lambda t: t.update({"params/edge_embedding/bias": np.zeros(7)}), r"has shape \[7\], expected \[8\]"),
        (lambda t: t.update({"params/edge_embedding/bias": np.full(8, np.nan)}), "not finite"),
        (lambda t: t.update({"params/edge_embedding/bias": np.zeros(8, int)}), "expected floating-point"),
        (lambda t: t.update({"params/node_embedding/kernel": np.zeros(8)}), "expected 2 axes"),
        (
            lambda t: t.update({"params/models_0/x": np.zeros(1), "params/models_1/x": np.zeros(1)}),
            "weights of 2",
        ),
    ],
)
def test_weights_that_make_no_network_are_refused(copy, change, reason):
    def changed(tensors):
        change(tensors)
        return tensors

    with pytest.raises(ConversionError, match=reason):
        convert.fromScoremd(copy("gt_tiny_potential", changed, n_params=...))


def test_mixtures_that_make_no_sense_are_refused(copy):
    experts = json.loads((DATA / "mixture_mb_both.json").read_text())["experts"]
    with pytest.raises(ConversionError, match="describes 2 experts, but there are weights of 3"):
        convert.fromScoremd(copy("mixture_mb_both", experts=experts[:2]))
    with pytest.raises(ConversionError, match="do not meet"):
        convert.fromScoremd(
            copy("mixture_mb_both", experts=[experts[0] | {"interval": [0.7, 1.0]}, *experts[1:]])
        )
    with pytest.raises(ConversionError, match="expert 1 has no interval"):
        no_interval = {key: value for key, value in experts[1].items() if key != "interval"}
        convert.fromScoremd(copy("mixture_mb_both", experts=[experts[0], no_interval, experts[2]]))
    with pytest.raises(ConversionError, match="list of its experts"):
        convert.fromScoremd(copy("mixture_mb_both", experts=None))


def test_endless_references_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"model": "b"}')
    (tmp_path / "b.json").write_text('{"model": "a"}')
    with pytest.raises(ConversionError, match="without end"):
        convert.fromScoremd(tmp_path / "a.json")


def test_the_other_program_is_named_when_it_is_meant():
    with pytest.raises(ConversionError, match="convert two-for-one"):
        convert.fromScoremd(DATA / "t4o_alanine.safetensors")
    with pytest.raises(ConversionError, match="convert scoremd"):
        convert.fromTwoForOne(DATA / "gt_tiny_potential.safetensors")

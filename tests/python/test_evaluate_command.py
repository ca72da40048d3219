"""The evaluation of a model as a whole, and its command."""

import json
from pathlib import Path

import numpy as np
import openmm
import pytest
from conftest import document, expert, writeModel
from evaluation_parts import chain, proteinPath
from openmmscore import cli
from openmmscore.evaluation import Options, evaluate, readFrames

EXAMPLES = Path(__file__).parents[2] / "examples"
MUELLER_BROWN = EXAMPLES / "models" / "mueller_brown.safetensors"
POINTS = EXAMPLES / "data" / "mueller_brown.npy"
BEADS = EXAMPLES / "data" / "alanine_dipeptide_beads.npy"


TINY = Options(samples=40, steps=20, molecules=3, frames=6, stepsPerFrame=2, consistency=0)


class TestEvaluation:
    def test_results_are_complete_and_reproducible(self, scaledPath, beads, tmp_path):
        found = evaluate(scaledPath, beads, TINY)
        results = found.results
        assert results["comparison"].keys() == {"iid", "simulation"}
        assert results["iid"]["samples"] == 40 and results["simulation"]["molecules"] == 3
        assert not results["simulation"]["published"] and results["simulation"]["scheme"] == "legacy"
        for source, count in (("iid", 40), ("simulation", 18)):
            own = results["comparison"][source]
            assert own["js"].keys() == {
                "count", "value", "floor", "extrapolated", "half_count", "half_value", "half_floor"
            }  # fmt: skip
            assert own["js"]["count"] == count and 0 < own["js"]["floor"] < np.log(2)
            assert [bond["particles"] for bond in own["bonds"]] == [[0, 1], [1, 2], [2, 3], [2, 4]]
        again = evaluate(scaledPath, beads, TINY).results
        for part in (results, again):
            del part["iid"]["seconds"], part["simulation"]["seconds"]
        assert again == results

    def test_a_perfect_model_is_on_the_floor_and_a_bad_one_above(self, scaledPath, beads, monkeypatch):
        frames = readFrames(BEADS, stride=10)
        found = evaluate(scaledPath, frames, Options(samples=10, steps=5, simulation=False, consistency=0))
        from openmmscore.evaluation.measures import compare

        perfect = compare(found.kind, frames[1::2], frames[::2], 1)
        for name in ("js", "pmf"):
            assert perfect[name]["value"] == pytest.approx(perfect[name]["floor"], rel=0.15)
        assert all(bond["value"] < 4 * bond["floor"] for bond in perfect["bonds"]) and perfect["broken"] == 0
        wide = compare(found.kind, 1.1 * frames[1::2], frames[::2], 1)
        assert wide["bonds"][0]["value"] == pytest.approx(0.0134, abs=0.001)
        assert wide["bonds"][0]["value"] > 20 * wide["bonds"][0]["floor"]

    def test_writes_json_table_pictures_and_samples(self, scaledPath, beads, tmp_path):
        found = evaluate(scaledPath, beads, TINY)
        found.relateTo({"comparison": {"iid": {"bonds": [{"particles": [0, 1], "value": 2.0}]}}})
        paths = found.write(tmp_path / "new" / "folder", samples=True)
        names = {path.name for path in paths}
        assert names == {
            "evaluation.json", "table.txt", "iid.npy", "simulation.npy",
            "surfaces.png", "profiles.png", "bonds.png", "energies.png",
        }  # fmt: skip
        assert all(path.stat().st_size > 100 for path in paths)
        results = json.loads((tmp_path / "new" / "folder" / "evaluation.json").read_text())
        assert results == found.results
        bonds = results["comparison"]["iid"]["bonds"]
        assert bonds[0]["relative"] == bonds[0]["value"] / 2 and "relative" not in bonds[1]
        assert np.load(tmp_path / "new" / "folder" / "simulation.npy").shape == (18, 5, 3)
        table = found.table()
        for text in ("iid JS", "sim PMF error", "sim W1 of bond 2-4 / pm", "relative", "floor"):
            assert text in table

    def test_what_cannot_be_sampled_is_simulated_and_noted(self, folder, beads):
        doc = document(experts=[expert("graph-transformer", interval=(0.0, 0.1))], length_scale=0.094)
        path = writeModel(folder / "simulable.safetensors", doc)
        found = evaluate(path, beads, TINY)
        assert list(found.samples) == ["simulation"]
        assert "it can be simulated, not sampled" in found.table()
        with pytest.raises(ValueError, match="neither sampled nor simulated: .*it can be simulated"):
            evaluate(path, beads, Options(simulation=False))
        with pytest.raises(ValueError, match="it was told to do neither"):
            evaluate(path, beads, Options(iid=False, simulation=False))

    def test_proteins(self, folder, tmp_path):
        pytest.importorskip("deeptime")
        found = evaluate(proteinPath(folder), chain(400, 6), TINY)
        assert 0 < found.results["comparison"]["iid"]["pair_distances"]["value"] <= np.log(2)
        assert "sim pair distances JS" in found.table()
        found.write(tmp_path)

    def test_transferable_models(self, transferablePath, beads):
        features = [[0, 0]] * 5
        options = Options(**{**vars(TINY), "features": features})
        assert evaluate(transferablePath, beads, options).results["iid"]["samples"] == 40
        with pytest.raises(openmm.OpenMMException, match="must be told residue, kind"):
            evaluate(transferablePath, beads, TINY)

    def test_a_reference_that_does_not_fit(self, scaledPath, vectorPath, beads):
        with pytest.raises(ValueError, match="has 5 particles, the reference 4 atoms; choose atoms"):
            evaluate(scaledPath, beads[:, :4], TINY)
        with pytest.raises(ValueError, match=r"the reference the shape \[508, 15\]"):
            evaluate(scaledPath, beads.reshape(-1, 15)[:508], TINY)
        with pytest.raises(ValueError, match=r"must have the shape \[frames,2\], got \[508, 5, 3\]"):
            evaluate(vectorPath, beads[:508], TINY)
        with pytest.raises(ValueError, match="7 frames, which is too few"):
            evaluate(scaledPath, beads[:7], TINY)


class TestCommand:
    def run(self, capsys, *arguments):
        status = cli.main(["evaluate", *(str(argument) for argument in arguments)])
        return status, *capsys.readouterr()

    TINY = (
        "--samples",
        60,
        "--steps",
        20,
        "--frames",
        20,
        "--steps-per-frame",
        2,
        "--consistency",
        10,
        "--quiet",
    )

    def test_prints_the_table(self, tmp_path, capsys):
        arguments = (MUELLER_BROWN, "--reference", POINTS, "--stride", 50, "--output", tmp_path, *self.TINY)
        status, out, err = self.run(
            capsys, *arguments, "--scheme", "middle", "--friction", 2, "--time", 0.001
        )
        assert status == 0
        assert "Mueller-Brown" in out and "2/ps, middle scheme, t = 0.001" in out
        assert "effective samples when 10 of the probability flow" in out
        assert "surfaces.png" in err
        assert out == (tmp_path / "table.txt").read_text()
        status, out, _ = self.run(capsys, *arguments, "--json", "--relative-to", tmp_path / "evaluation.json")
        assert status == 0 and json.loads(out)["system"] == "Mueller-Brown"

    def test_options_reach_the_evaluation(self, scaledPath, tmp_path, capsys):
        (tmp_path / "features.json").write_text("[]")
        status, out, err = self.run(
            capsys, scaledPath, "--reference", BEADS, "--stride", 200, "--output", tmp_path, *self.TINY,
            "--atoms", "0,1,2,3,4", "--torsions", "0,1,2,3;1,2,3,4", "--molecules", 2, "--scale", 0.5,
            "--no-iid", "--device", "Reference", "--json", "--save-samples", "--time-step", 0.001,
            "--features", tmp_path / "features.json", "--seed", 4,
        )  # fmt: skip
        assert status == 0, err
        results = json.loads(out)
        assert results["seed"] == 4 and results["system"] == "molecule" and "iid" not in results
        simulation = results["simulation"]
        assert (simulation["molecules"], simulation["frames"], simulation["time_step"]) == (2, 10, 0.001)
        assert np.load(tmp_path / "simulation.npy").shape == (20, 5, 3)

    def test_asks_about_the_unit(self, scaledPath, tmp_path, capsys, beads):
        np.save(tmp_path / "angstrom.npy", 10 * beads)
        for unit, doubted in (("nm", True), ("angstrom", False)):
            status, out, err = self.run(
                capsys, scaledPath, "--reference", tmp_path / "angstrom.npy", "--unit", unit, *self.TINY,
                "--output", tmp_path, "--no-simulation",
            )  # fmt: skip
            assert status == 0, err
            for text in (out, err):
                assert ("is the reference in another unit?" in text) == doubted

    def test_integers_are_asked_for_in_words(self, scaledPath, capsys):
        with pytest.raises(SystemExit):
            self.run(capsys, scaledPath, "--reference", BEADS, "--atoms", "0,x")
        assert "argument --atoms: expected integers with commas between, got '0,x'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments, sentence",
        [
            (["--reference", "no.npy"], "there is no file no.npy"),
            (["--reference", BEADS, "--device", "Abacus"], "Abacus"),
            (["--reference", BEADS, "--scale", -1], "the scale must be a positive number"),
            (
                ["--reference", BEADS, "--no-iid", "--scale", "inf"],
                "the scale must be a positive number, got inf",
            ),
            (["--reference", BEADS, "--no-iid", "--frames", 0], "at least 1 of frames, got 0"),
            (["--reference", BEADS, "--no-iid", "--time-step", 0], "the time step must be a positive number"),
            (["--reference", BEADS, "--seed", 10**20], "the seed must be an integer from 0 to 2147483647"),
            (["--reference", BEADS, "--samples", 0], "samples must be an integer of at least 1, got 0"),
            (["--reference", BEADS, "--consistency", -1], "consistency must be an integer of at least 0"),
            (["--reference", BEADS, "--tica-lag", 0], "ticaLag must be an integer of at least 1"),
            (["--reference", BEADS, "--relative-to", "no.json"], "openmmscore: no.json: No such file"),
            (["--reference", BEADS, "--seed", -1], "the seed must be an integer from 0 to 2147483647"),
            (["--reference", BEADS, "--torsions", "0,1,2,2;1,2,3,4"], "of four different particles"),
            (["--reference", BEADS, "--relative-to", BEADS], "is no JSON file"),
            (["--reference", BEADS, "--features", BEADS], "takes no features"),
            (["--reference", BEADS, "--samples", 3, "--steps", 1], "expected 2 steps at least"),
            (["--reference", BEADS, "--no-iid", "--time", 3], "diffusion time 3"),
        ],
    )
    def test_a_mistake_gives_a_sentence(self, scaledPath, tmp_path, capsys, monkeypatch, arguments, sentence):
        monkeypatch.chdir(tmp_path)
        status, out, err = self.run(capsys, scaledPath, "--quiet", "--stride", 100, *arguments)
        assert status == 1 and out == ""
        assert sentence in err and len(err.strip().splitlines()) == 1

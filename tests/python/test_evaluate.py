"""The evaluation of models: what it reads, how it measures, what it runs and writes."""

import signal
import threading
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import openmmscore
import pytest
from conftest import document, writeModel
from evaluation_parts import chain, proteinPath
from openmmscore.analysis import jensenShannon2d, pairDistanceDivergence
from openmmscore.evaluation import Protocol, describeSystem, readFrames
from openmmscore.evaluation.consistency import consistency
from openmmscore.evaluation.floors import measure
from openmmscore.evaluation.simulate import simulate

EXAMPLES = Path(__file__).parents[2] / "examples"
MUELLER_BROWN = EXAMPLES / "models" / "mueller_brown.safetensors"
POINTS = EXAMPLES / "data" / "mueller_brown.npy"
BEADS = EXAMPLES / "data" / "alanine_dipeptide_beads.npy"


class TestReference:
    def test_reads_arrays_and_trajectories_alike(self, tmp_path, beads):
        np.save(tmp_path / "frames.npy", (10 * beads).astype(np.float32))
        topology = mdtraj.Topology()
        residue = topology.add_residue("ALA", topology.add_chain())
        for name in ("C", "N", "CA", "C", "N"):
            topology.add_atom(name, mdtraj.element.carbon, residue)
        mdtraj.Trajectory(beads, topology).save(str(tmp_path / "frames.xtc"))
        mdtraj.Trajectory(beads[:1], topology).save(str(tmp_path / "top.pdb"))

        array = readFrames(tmp_path / "frames.npy", unit="angstrom", atoms=[2, 0], stride=3)
        np.testing.assert_allclose(array, beads[::3][:, [2, 0]], atol=1e-6)
        trajectory = readFrames(tmp_path / "frames.xtc", tmp_path / "top.pdb")
        np.testing.assert_allclose(trajectory, beads, atol=6e-4)
        chosen = readFrames(tmp_path / "frames.xtc", tmp_path / "top.pdb", selection="name CA or name N")
        np.testing.assert_array_equal(chosen, trajectory[:, [1, 2, 4]])
        with pytest.raises(ValueError, match="selection 'name OXT' matches none of the 5 atoms of .*top.pdb"):
            readFrames(tmp_path / "frames.xtc", tmp_path / "top.pdb", selection="name OXT")
        with pytest.raises(
            ValueError, match=r"'name name \(' is not in MDTraj's selection language \(at character"
        ):
            readFrames(tmp_path / "frames.xtc", tmp_path / "top.pdb", selection="name name (")

    def test_says_what_is_wrong_with_a_file(self, tmp_path, beads):
        bad = beads.copy()
        bad[7, 2, 1] = np.nan
        np.save(tmp_path / "nan.npy", bad)
        np.save(tmp_path / "flat.npy", np.zeros(7))
        np.save(tmp_path / "integers.npy", np.zeros((9, 5, 3), dtype=int))
        np.save(tmp_path / "empty.npy", np.zeros((0, 5, 3)))
        np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
        whole = (tmp_path / "nan.npy").read_bytes()
        (tmp_path / "cut.npy").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "none.npy").write_bytes(b"")
        (tmp_path / "noise.dcd").write_bytes(bytes(range(256)) * 5)
        (tmp_path / "top.pdb").write_text("nonsense\n")
        for name, sentence in {
            "missing.npy": "there is no file",
            "nan.npy": r"frame 7, atom 2 is not finite \(1 such frames\)",
            "flat.npy": r"expected the shape \[frames,atoms,3\].*got \[7\]",
            "integers.npy": "expected floating-point numbers, got int64",
            "empty.npy": "has no frames",
            "objects.npy": "no array that NumPy can read",
            "cut.npy": "no array that NumPy can read",
            "none.npy": "no array that NumPy can read",
            "noise.dcd": "noise.dcd: this file names no atoms; name a PDB file or the like as the topology",
        }.items():
            with pytest.raises(ValueError, match=sentence):
                readFrames(tmp_path / name)
        with pytest.raises(
            ValueError, match="top.pdb: no topology can be read from this file, expected a PDB"
        ):
            readFrames(tmp_path / "noise.dcd", tmp_path / "top.pdb")

    def test_does_not_take_half_of_a_trajectory_for_the_whole(self, tmp_path, beads):
        topology = mdtraj.Topology()
        residue = topology.add_residue("ALA", topology.add_chain())
        for name in ("C", "N", "CA", "C", "N"):
            topology.add_atom(name, mdtraj.element.carbon, residue)
        trajectory = mdtraj.Trajectory(beads, topology)
        trajectory.save(str(tmp_path / "frames.dcd"))
        trajectory[0].save(str(tmp_path / "top.pdb"))
        damaged = bytearray((tmp_path / "frames.dcd").read_bytes())
        damaged[len(damaged) // 2 : len(damaged) // 2 + 200] = b"\xff" * 200
        (tmp_path / "frames.dcd").write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"frames.dcd: .* it ends after \d+ of \d+ frames, it is damaged"
        ):
            readFrames(tmp_path / "frames.dcd", tmp_path / "top.pdb")
        trajectory.atom_slice([0, 1, 2]).save(str(tmp_path / "three.dcd"))
        with pytest.raises(ValueError, match="three.dcd: .* it has 3 atoms, the topology has 5"):
            readFrames(tmp_path / "three.dcd", tmp_path / "top.pdb")

    @pytest.mark.parametrize(
        "arguments, sentence",
        [
            ({"atoms": [0, 5]}, "has 5 atoms, so there is no atom 5"),
            ({"atoms": [1, 1]}, "was chosen twice: 1, 1"),
            ({"atoms": []}, "no atoms of .* were chosen"),
            ({"unit": "m"}, "the unit must be one of nm, angstrom, got 'm'"),
            ({"stride": 0}, "the stride must be at least 1"),
            ({"selection": "name CA"}, "names no atoms"),
            ({"selection": "name CA", "atoms": [1]}, "either a selection or atoms"),
        ],
    )
    def test_says_what_is_wrong_with_a_choice(self, arguments, sentence):
        with pytest.raises(ValueError, match=sentence):
            readFrames(BEADS, **arguments)


class TestFloors:
    def test_a_perfect_model_lies_on_the_floor(self):
        random = np.random.default_rng(1)
        samples, reference = random.standard_normal((3000, 2)), random.standard_normal((9000, 2))
        found = measure(lambda a, b: jensenShannon2d(a, b, 30), samples, reference)
        assert (found.count, found.extrapolated, found.halfCount) == (3000, False, 3000)
        assert found.value == pytest.approx(found.floor, rel=0.1)
        worse = measure(lambda a, b: jensenShannon2d(a, b, 30), samples + 0.3, reference)
        assert worse.value > 1.2 * worse.floor and worse.floor == pytest.approx(found.floor)

    def test_extrapolates_to_more_samples_than_half_of_the_reference(self):
        # 1/n of many samples in few bins: known in closed form, (bins - 1)/(4 n) for equal counts.
        random = np.random.default_rng(2)
        samples, reference = random.random((20000, 2)), random.random((20000, 2))
        found = measure(lambda a, b: jensenShannon2d(a, b, 20, ((0, 1), (0, 1))), samples, reference)
        assert found.extrapolated and (found.count, found.halfCount) == (20000, 10000)
        assert found.floor == pytest.approx(399 / (4 * 20000), rel=0.2)
        assert found.halfFloor == pytest.approx(399 / (4 * 10000), rel=0.2)
        assert found.value == pytest.approx(found.floor, rel=0.3)

    def test_the_published_floor_of_mueller_brown(self):
        # Published for two sets of 100,000 frames: JS 0.0119(4); here it is estimated from one such set.
        points = readFrames(POINTS)
        kind = describeSystem(openmmscore.Model(MUELLER_BROWN), points)
        assert (kind.name, kind.jsBins) == ("Mueller-Brown", 100)
        found = measure(lambda a, b: jensenShannon2d(b, a, 100), points, points, splits=1)
        assert found.value == 0 and 0.0100 < found.floor < 0.0125

    def test_refuses_too_few(self):
        with pytest.raises(ValueError, match="cannot compare 3 samples with 9 of the reference"):
            measure(jensenShannon2d, np.zeros((3, 2)), np.zeros((9, 2)))


def test_pair_distances_of_equal_and_of_disjoint_chains():
    short, long = chain(50, 6), 5 * chain(50, 6)
    assert pairDistanceDivergence(short, short) == 0
    assert pairDistanceDivergence(short, long) == pytest.approx(np.log(2), rel=1e-6)
    with pytest.raises(ValueError, match="3 particles have no pair 3 apart"):
        pairDistanceDivergence(short[:, :3], short[:, :3])


class TestSystems:
    def test_dipeptides_have_two_torsions(self, scaledPath, beads, folder):
        kind = describeSystem(openmmscore.Model(scaledPath), beads)
        assert (kind.name, kind.protocol) == ("five-bead dipeptide", Protocol(100, 120_000))
        assert kind.bonds == [(0, 1), (1, 2), (2, 3), (2, 4)]
        phi, psi = kind.project(beads).T
        np.testing.assert_allclose(phi, openmmscore.analysis.dihedrals(beads, [(0, 1, 2, 3)])[:, 0])
        # The first of the starts is in the rare basin, and no frame is lost.
        starts = kind.starts(beads)
        assert 0 < kind.project(starts)[0, 0] < 2 and len(starts) == len(beads)
        ten = writeModel(folder / "ten.safetensors", document(count=10, particles=[], bonds=[]))
        kind = describeSystem(openmmscore.Model(ten), np.zeros((9, 10, 3)))
        assert (kind.name, kind.protocol.molecules, kind.protocol.timeStep) == (
            "ten-bead dipeptide",
            10,
            5e-4,
        )

    def test_other_molecules_need_torsions(self, folder):
        path = writeModel(folder / "seven.safetensors", document(count=7, particles=[], bonds=[]))
        model, frames = openmmscore.Model(path), chain(10, 7)
        with pytest.raises(ValueError, match="has 7 particles and is none of the systems"):
            describeSystem(model, frames)
        kind = describeSystem(model, frames, [(0, 1, 2, 3), (3, 4, 5, 6)])
        assert kind.project(frames).shape == (10, 2)
        with pytest.raises(ValueError, match="expected two torsions of four"):
            describeSystem(model, frames, [(0, 1, 2)])

    def test_vectors_take_their_limits_from_the_reference(self, vectorPath):
        kind = describeSystem(openmmscore.Model(vectorPath), np.array([[0.0, 1.0], [2.0, 5.0]]))
        assert kind.pmfLimits == [[0, 2], [1, 5]] and not kind.periodic

    def test_proteins_have_slow_coordinates(self, folder):
        pytest.importorskip("deeptime")
        frames = chain(600, 6)
        kind = describeSystem(openmmscore.Model(proteinPath(folder)), frames, ticaLag=5)
        tics = kind.project(frames)
        assert tics.shape == (600, 2) and kind.pairDistances and len(kind.bonds) == 5
        # Kinetic map: the variance is the squared autocorrelation at the lag, and the first is the slowest.
        correlation = [np.corrcoef(x[:-5], x[5:])[0, 1] for x in tics.T]
        assert correlation[0] > correlation[1] > 0.5
        with pytest.raises(ValueError, match="TICA's lag must lie between 1 and half of 600 frames"):
            describeSystem(openmmscore.Model(proteinPath(folder)), frames, ticaLag=300)

    def test_without_deeptime_there_is_a_sentence(self, folder, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "deeptime.decomposition", None)
        with pytest.raises(ValueError, match=r"TICA needs the package deeptime.*openmmscore\[tica\]"):
            describeSystem(openmmscore.Model(proteinPath(folder)), chain(60, 6))


class TestSimulation:
    def test_a_molecule_moves_alike_however_many_there_are(self, scaledPath, beads):
        model = openmmscore.Model(scaledPath)
        kind = describeSystem(model, beads)
        many, few = (
            simulate(model, kind, Protocol(n, 4, 3), beads, platform="Reference").positions for n in (4, 2)
        )
        assert many.shape == (4, 4, 5, 3) and many.dtype == np.float32
        # Velocities are drawn for all particles in turn, so the first molecules' are the same.
        np.testing.assert_array_equal(many[:, :2], few)

    def test_vectors_start_where_published_ones_do(self):
        model = openmmscore.Model(MUELLER_BROWN)
        kind = describeSystem(model, readFrames(POINTS))
        found = simulate(model, kind, Protocol(2, 3, 1, 1e-7), readFrames(POINTS))
        assert found.samples.shape == (6, 2)
        np.testing.assert_allclose(found.samples, [[-0.55828, 1.44169]] * 6, atol=1e-4)

    def test_who_fails_is_left_out_whole_and_the_others_go_on(self, scaledPath, beads, monkeypatch):
        model = openmmscore.Model(scaledPath)
        kind = describeSystem(model, beads)
        whole = simulate(model, kind, Protocol(3, 5, 2), beads, platform="Reference")
        step, calls = openmmscore.ScoreLangevinIntegrator.step, []

        def failing(integrator, steps):
            calls.append(steps)
            if len(calls) == 3:
                raise openmm.OpenMMException("ScoreForce: the force on particle 7 (molecule 1) is not finite")
            step(integrator, steps)

        monkeypatch.setattr(openmmscore.ScoreLangevinIntegrator, "step", failing)
        found = simulate(model, kind, Protocol(3, 5, 2), beads, platform="Reference")
        assert found.failed == {1: 2} and found.positions.shape == (5, 2, 5, 3)
        np.testing.assert_allclose(found.positions, whole.positions[:, [0, 2]], rtol=1e-6)

    def test_if_all_fail_there_is_a_sentence(self, folder, beads):
        path = writeModel(folder / "stiff.safetensors", document(length_scale=1e-3))
        model = openmmscore.Model(path)
        kind = describeSystem(model, beads)
        with pytest.raises(ValueError, match="all 2 molecules of the simulation .*the first in frame 0"):
            simulate(model, kind, Protocol(2, 60, 50, 1e30), beads)

    def test_other_errors_are_not_taken_for_failed_molecules(self, scorePath, beads):
        model = openmmscore.Model(scorePath)
        with pytest.raises(openmm.OpenMMException, match="no energy|only a score"):
            simulate(model, describeSystem(model, beads), Protocol(2, 2, 2), beads)

    @pytest.mark.parametrize(
        "protocol", [Protocol(0, 5), Protocol(2, 0), Protocol(2, 5, 0), Protocol(2, 5, scheme="verlet")]
    )
    def test_refuses_nonsense(self, scaledPath, beads, protocol):
        model = openmmscore.Model(scaledPath)
        with pytest.raises(ValueError, match="needs at least 1 of|the scheme must be one of legacy, middle"):
            simulate(model, describeSystem(model, beads), protocol, beads)

    def test_ctrl_c_keeps_what_there_is(self, scaledPath, beads, heedingInterrupts):
        model = openmmscore.Model(scaledPath)
        timer = threading.Timer(0.7, signal.raise_signal, (signal.SIGINT,))
        timer.start()
        found = simulate(model, describeSystem(model, beads), Protocol(2, 1_000_000, 5), beads)
        timer.join()
        assert 0 < len(found.positions) < 1_000_000 and found.ended.startswith("interrupted after")


def test_a_consistent_model_has_an_effective_sample_size_of_all(monkeypatch):
    model = openmmscore.Model(MUELLER_BROWN)
    shipped = consistency(model, 100)
    assert 0.5 < shipped["fraction"] < 0.95 and shipped["not_finite"] == 0
    # Of a model whose energy is its own density's, and so up to integration errors.
    density = openmmscore.DiffusionDensity(model)
    monkeypatch.setattr(
        openmmscore.Model, "potentialEnergy", lambda self, x, t, f: 5 - self._kT * density.logDensity(x)
    )
    exact = consistency(model, 100)
    assert exact["fraction"] > 0.999
    assert exact["log_z"] == pytest.approx(-5 / model._kT, abs=0.01)

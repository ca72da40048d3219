"""What is measured for each table: rows of numbers, to be kept as JSON."""

from __future__ import annotations

from functools import partial

import numpy as np
from cases import CASES, Case, chain
from session import Session, collect, say
from spreads import ratio, spread
from worker import Worker, WorkerError

OURS = "measure_openmmscore.py"
INTEGRATORS = ("ScoreLangevinIntegrator", "LangevinMiddleIntegrator")
PYTORCH_MODES = ("TorchForce", "TorchForce, own forces", "PythonForce")


def checkEngine(session: Session) -> None:
    """Insist that the CPU platform has the fast engine, without which nothing here means anything.

    Raises
    ------
    WorkerError
        if it is not five times as fast as the Reference platform
    """
    case = CASES[0]
    worker = session.worker(OURS, 1)
    rates = {}
    for platform in ("CPU", "Reference"):
        key = session.prepareRun(case, 10, 1, INTEGRATORS[1], platform)
        rates[platform] = worker.ask("measure", key=key, seconds=0.1)["stepsPerSecond"]
        worker.ask("release", key=key)
    if rates["CPU"] < 5 * rates["Reference"]:
        raise WorkerError(
            f"the CPU platform takes {rates['CPU']:.0f} steps/s, "
            f"the Reference platform {rates['Reference']:.0f}: "
            "this build has no fast engine; install the current one, or give --any-engine"
        )


def throughput(session: Session) -> list[dict]:
    """Molecule-steps per second of both integrators and of ScoreMD, and the matrix product rate."""
    rows = []
    for case in chosenCases(session):
        operations = operationsOf(session, case)
        for molecules in session.options.molecules:
            for threads in session.options.threads:
                row = throughputRow(session, case, molecules, threads, operations)
                rows.append(row)
                say(f"{case.name}, {molecules} molecules, {threads} threads: {row['rates']}")
    return rows


def throughputRow(
    session: Session, case: Case, molecules: int, threads: int, operations: float | None
) -> dict:
    """Measure one line of the table."""
    options = session.options
    worker = session.worker(OURS, threads)
    probes = {}
    for integrator in INTEGRATORS:
        key = session.prepareRun(case, molecules, threads, integrator)
        probes[integrator] = partial(moleculeSteps, worker, key, molecules, options.seconds)
    if molecules in options.peer_molecules and session.hasScoreMd():
        peer = session.worker("peer_scoremd.py", threads)
        try:
            peer.ask(
                "prepare",
                key="run",
                case=case.asRequest(),
                molecules=molecules,
                secondsPerCall=options.seconds,
            )
            probes["ScoreMD"] = partial(moleculeSteps, peer, "run", molecules, options.seconds)
        except WorkerError as error:
            session.skip(f"ScoreMD, {case.name}, {molecules} molecules: {error}")
    probes["matrixProduct"] = partial(session.matrixProduct, threads, min(options.seconds, 0.15))
    samples = collect(options.rounds, probes)
    for integrator in INTEGRATORS:
        worker.ask("release", key=f"{case.name}/{molecules}/{integrator}/CPU")
    row = {"case": case.name, "molecules": molecules, "threads": threads, "operations": operations}
    row["rates"] = {key: spread(values) for key, values in samples.items()}
    row["ratios"] = {
        key: ratio(samples[key], samples["ScoreMD"]) for key in INTEGRATORS if "ScoreMD" in samples
    }
    if operations:
        row["fraction"] = ratio(
            [operations * rate for rate in samples[INTEGRATORS[0]]], samples["matrixProduct"]
        )
    return row


def pytorch(session: Session) -> list[dict]:
    """Steps per second of one molecule of the first case beside the same network in PyTorch."""
    options, case = session.options, CASES[0]
    if not options.torch_python:
        session.skip("TorchForce and PythonForce, since --torch-python does not name an environment")
        return []
    weights = str(session.model(case).with_suffix(".npz"))
    rows = []
    for threads in options.threads:
        probes, differences = {}, {}
        worker, peer = session.worker(OURS, threads), session.worker("peer_openmmtorch.py", threads)
        for integrator in INTEGRATORS:
            key = session.prepareRun(case, 1, threads, integrator)
            probes[integrator] = partial(moleculeSteps, worker, key, 1, options.seconds)
        exact = worker.ask("energy", key=key)
        for platform in ("Reference", "CPU"):
            for mode in PYTORCH_MODES:
                name = f"{mode}, {platform}"
                try:
                    answer = peer.ask(
                        "prepare",
                        key=name,
                        case=case.asRequest(),
                        weights=weights,
                        mode=mode,
                        platform=platform,
                    )
                except WorkerError as error:
                    session.skip(f"{name}: {error}")
                    continue
                probes[name] = partial(moleculeSteps, peer, name, 1, options.seconds)
                differences[name] = relativeDifference(exact["forces"], answer["forces"])
        samples = collect(options.rounds, probes)
        for name in probes:
            if name in samples:
                rows.append(
                    {
                        "program": name,
                        "threads": threads,
                        "rate": spread(samples[name]),
                        "ratio": ratio(samples[INTEGRATORS[0]], samples[name]),
                        "forceDifference": differences.get(name),
                    }
                )
                say(f"{name}, {threads} threads: {rows[-1]['rate']}")
    return rows


def overhead(session: Session) -> list[dict]:
    """Time per step with one and ten molecules through every layer, one thread; the best of short runs."""
    options = session.options
    worker = session.worker(OURS, 1)
    rows = []
    for case in chosenCases(session):
        for molecules in (1, 10):
            probes = {}
            if session.evaluate(case, molecules, 1, 0.01):
                probes["engine"] = partial(engineTime, session, case, molecules)
            for integrator in (*INTEGRATORS, "Simulation"):
                key = session.prepareRun(case, molecules, 1, integrator)
                probes[integrator] = partial(bestStepTime, worker, key, options.seconds)
            samples = collect(options.rounds, probes)
            row = {"case": case.name, "molecules": molecules, "threads": 1}
            row["microseconds"] = {key: spread(values) for key, values in samples.items()}
            if "engine" in samples:
                row["overEngine"] = {
                    key: spread([a - b for a, b in zip(samples[key], samples["engine"], strict=True)])
                    for key in (*INTEGRATORS, "Simulation")
                }
            rows.append(row)
            say(f"{case.name}, {molecules} molecules: {row['microseconds']}")
    return rows


def memory(session: Session) -> list[dict]:
    """Resident memory per molecule between 100 and 1000 molecules, and its growth over many steps."""
    rows = []
    for case in chosenCases(session):
        values = {}
        for molecules in (100, 1000):
            session.close(OURS)
            key = session.prepareRun(case, molecules, 1, INTEGRATORS[0])
            values[str(molecules)] = session.worker(OURS, 1).ask("advance", key=key, steps=5)
        session.close(OURS)
        worker = session.worker(OURS, 1)
        key = session.prepareRun(case, 10, 1, INTEGRATORS[0])
        first = worker.ask("advance", key=key, steps=100)
        steps = max(100, int(1e4 / case.beads))
        last = worker.ask("advance", key=key, steps=steps)
        rows.append(
            {
                "case": case.name,
                "threads": 1,
                "rssKiB": values,
                "kibPerMolecule": (values["1000"]["rss"] - values["100"]["rss"]) / 900,
                "peakKibPerMolecule": (values["1000"]["peak"] - values["100"]["peak"]) / 900,
                "steps": steps,
                "growthKiB": last["rss"] - first["rss"],
            }
        )
        say(f"{case.name}: {rows[-1]}")
    return rows


def growth(session: Session) -> list[dict]:
    """Molecule-steps per second of ten molecules over the number of beads, H 128, L 3."""
    rows = []
    for threads in session.options.threads:
        worker = session.worker(OURS, threads)
        probes = {}
        for beads in (5, 10, 20, 28, 40, 56, 80):
            key = session.prepareRun(chain(beads), 10, threads, INTEGRATORS[0])
            probes[beads] = partial(moleculeSteps, worker, key, 10, session.options.seconds)
        for beads, values in collect(session.options.rounds, probes).items():
            rows.append({"beads": beads, "molecules": 10, "threads": threads, "rate": spread(values)})
            say(f"{beads} beads, {threads} threads: {rows[-1]['rate']}")
    return rows


def chosenCases(session: Session) -> list[Case]:
    """Return the cases that the options ask for."""
    return [CASES[k] for k in session.options.cases]


def operationsOf(session: Session, case: Case) -> float | None:
    """Return the operations of one molecule's forces as the engine counts them, or None without it."""
    result = session.evaluate(case, 1, 1, 0.01)
    return None if result is None else 1e6 * result["mflop_per_evaluation"]


def moleculeSteps(worker: Worker, key: str, molecules: int, seconds: float) -> float:
    """Return molecule-steps per second."""
    return molecules * worker.ask("measure", key=key, seconds=seconds)["stepsPerSecond"]


def bestStepTime(worker: Worker, key: str, seconds: float) -> float:
    """Return microseconds per step, the best of short runs."""
    return 1e6 / worker.ask("measure", key=key, seconds=seconds)["best"]


def engineTime(session: Session, case: Case, molecules: int) -> float:
    """Return microseconds per evaluation of all molecules, the best of short runs."""
    result = session.evaluate(case, molecules, 1, session.options.seconds)
    if result is None:
        raise WorkerError("BenchEvaluator gave nothing")
    return 1e6 * molecules / result["evaluations_per_s"]


def relativeDifference(expected: list, found: list) -> float:
    """Return the norm of a difference over the norm of what was expected."""
    return float(np.linalg.norm(np.subtract(expected, found)) / np.linalg.norm(expected))

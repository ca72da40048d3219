"""What `import openmmscore` loads, and how long it takes."""

import os
import subprocess
import sys

import openmm
import openmmscore
import openmmscore.diagnostics
import pytest
from openmmscore import _plugins, plugin


def runPython(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importLoadsNeitherLibTorchNorAnalysisPackages():
    out = runPython(
        "import sys, openmmscore\n"
        "maps = open('/proc/self/maps').read()\n"
        "print([n for n in ('libtorch', 'libc10', 'libcuda') if n in maps])\n"
        "heavy = ('torch', 'scipy', 'mdtraj', 'matplotlib', 'tqdm', 'jax', 'openmm.app')\n"
        "print([n for n in heavy if n in sys.modules])\n"
    )
    assert out.split("\n")[:2] == ["[]", "[]"]


def test_importIsQuick():
    # The best of several, since other work on the machine only ever makes it slower.
    code = (
        "import time, openmm, numpy\n"
        "start = time.perf_counter()\n"
        "import openmmscore\n"
        "print(time.perf_counter() - start)\n"
    )
    assert min(float(runPython(code)) for _ in range(5)) < 0.3


def test_ownPlatformLibrariesLoad():
    assert openmmscore.pluginLoadFailures == []


def test_failuresOfOpenMMItselfAreStillReported():
    out = runPython(
        "import openmm\n"
        "before = openmm.Platform.getPluginLoadFailures()\n"
        "import openmmscore\n"
        "print(openmm.Platform.getPluginLoadFailures() == before)\n"
    )
    assert out.strip() == "True"


def test_brokenPlatformLibraryIsReportedAndHarmless(tmp_path, monkeypatch):
    (tmp_path / "libBroken.so").write_bytes(b"no library")
    monkeypatch.setattr(_plugins, "pluginDirectory", lambda: str(tmp_path))
    failures = _plugins.loadPlugins()
    assert len(failures) == 1 and "libBroken.so" in failures[0]


def test_foreignSwigRuntimeIsAnImportError(monkeypatch):
    def refuse(force):
        raise TypeError("in method 'ScoreForce_isinstance', argument 1 of type 'OpenMM::Force const &'")

    monkeypatch.setattr(plugin.ScoreForce, "isinstance", staticmethod(refuse))
    with pytest.raises(ImportError, match=r"SWIG runtime 5.*build openmmscore again"):
        _plugins.checkSwigRuntime()


def test_otherOpenMMSeriesIsAnImportError():
    result = subprocess.run(
        [sys.executable, "-c", "import openmm; openmm.version.short_version = '8.9.0'; import openmmscore"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "was built for OpenMM 8.6, but OpenMM 8.9.0 is installed" in result.stderr


def test_reportNamesVersionsPlatformsAndFailures():
    text = openmmscore.diagnostics.report()
    assert openmmscore.__version__ in text
    assert openmm.version.full_version in text
    assert "Reference, CPU" in text
    assert "SWIG runtime     5" in text
    for failure in openmm.Platform.getPluginLoadFailures():
        assert failure in text


def test_trainProgramIsAFileIfItIsThere():
    program = openmmscore.diagnostics.trainProgram()
    assert program is None or os.access(program, os.X_OK)

"""Weighted samples on disk: a NetCDF classic file (64-bit offsets) to which chunks are appended.

NetCDF keeps one record per sample, and the number of valid records in four bytes of the header. So a chunk is
appended by writing its records past the end and then the new number: whatever interrupts the first step
leaves a file that is valid as it was. xarray, netCDF4, ncdump, MATLAB and others read it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import warnings
from typing import Any

import numpy as np
import openmm

_Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]

_READ_BYTES = 1 << 22
_COUNT_OFFSET = 4  # of the number of records, a big-endian int32
#: name in the file -> name in WeightedSamples, of what is one number per sample
_SCALARS = {
    "log_density": "logDensity",
    "reduced_energy": "reducedEnergy",
    "log_weight": "logWeight",
    "status": "status",
}
_MEANINGS = {
    "positions": "configuration, in nm",
    "log_density": "natural logarithm of the proposal's density, positions in nm",
    "reduced_energy": "potential energy over kT",
    "log_weight": "natural logarithm of the weight, constants included; -inf if the status is not 0",
    "status": "what became of the sample",
}


def _recordType(numParticles: int, positionType: str) -> np.dtype:
    """Return the layout of one sample, big-endian as NetCDF is; every field is a multiple of 4 bytes."""
    code = np.dtype(positionType).newbyteorder(">")
    scalars = [(name, ">i4" if name == "status" else ">f8") for name in _SCALARS]
    return np.dtype([("positions", code, (numParticles, 3)), *scalars])


def _header(record: np.dtype, settings: dict[str, Any], statusNames: list[str]) -> bytes:
    """Return the header of a file without samples."""
    from scipy.io import netcdf_file

    def build(length: int) -> bytes:
        buffer = io.BytesIO()
        file = netcdf_file(buffer, "w", version=2)
        file.createDimension("sample", None)
        file.createDimension("particle", record["positions"].shape[0])
        file.createDimension("spatial", 3)
        file.title = b"weighted samples of OpenMM-Score"
        file.settings = json.dumps(settings, sort_keys=True).encode()
        file.header_length = np.int32(length)
        for name in record.names:
            base, shape = record[name].base, record[name].shape
            axes = ("sample", "particle", "spatial")[: 1 + len(shape)]
            variable = file.createVariable(name, base, axes)
            variable.long_name = _MEANINGS[name].encode()
            variable[0] = np.zeros(shape, base)
        file.variables["positions"].units = b"nm"
        file.variables["status"].flag_values = np.arange(len(statusNames), dtype=">i4")
        file.variables["status"].flag_meanings = " ".join(s.replace(" ", "_") for s in statusNames).encode()
        file.flush()
        return buffer.getvalue()[: -record.itemsize]  # without the sample that gave the variables their size

    header = bytearray(build(len(build(0))))
    header[_COUNT_OFFSET : _COUNT_OFFSET + 4] = bytes(4)
    return bytes(header)


class SampleWriter:
    """Appends samples to a file, new or begun earlier.

    Arguments
    ---------
    path : str
    settings : dict
        everything that the samples follow from; JSON
    statusNames : list of str
        what each status number means
    numParticles : int
    positionType : str
        "float32" or "float64"
    resume : bool
        continue a file that is there; otherwise one that is there is an error

    Raises
    ------
    openmm.OpenMMException
        if the file exists and resume is not given, comes from other settings or is being written by another
        process, and for everything that the operating system refuses
    """

    def __init__(
        self,
        path: str,
        settings: dict[str, Any],
        statusNames: list[str],
        numParticles: int,
        positionType: str,
        resume: bool = False,
    ):
        self.path = path
        self._record = _recordType(numParticles, positionType)
        self.numSamples = 0
        header = _header(self._record, settings, statusNames)
        self._start = len(header)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise openmm.OpenMMException(
                f"WeightedSamples: cannot write {path!r}: {error.strerror}"
            ) from None
        try:
            self._begin(header, settings, resume)
        except BaseException:
            os.close(self._file)
            raise

    def _begin(self, header: bytes, settings: dict[str, Any], resume: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise openmm.OpenMMException(
                f"WeightedSamples: {self.path!r} is being written by another process"
            ) from None
        except OSError:
            pass  # a file system without locks
        size = os.fstat(self._file).st_size
        if size and not resume:
            raise openmm.OpenMMException(
                f"WeightedSamples: {self.path!r} exists; give resume=True to continue it, or another name"
            )
        # A first call that was interrupted within the header leaves less than a header.
        if size < len(header) and os.pread(self._file, size, 0) == header[:size]:
            self._write(header, 0)
            return
        found = readHeader(self.path)
        _checkSettings(self.path, found["settings"], settings)
        if found["record"] != self._record or found["start"] != self._start:
            raise openmm.OpenMMException(
                f"WeightedSamples: {self.path!r} was written with other particles or another precision"
            )
        self.numSamples = found["numSamples"]
        # What an interrupted append left behind.
        os.ftruncate(self._file, self._start + self.numSamples * self._record.itemsize)

    def append(self, chunk: dict[str, np.ndarray]) -> None:
        """Append samples; chunk holds positions and the scalars under WeightedSamples' names."""
        count = len(chunk["positions"])
        records = np.empty(count, self._record)
        records["positions"] = chunk["positions"]
        for name, attribute in _SCALARS.items():
            records[name] = chunk[attribute]
        self._write(records.tobytes(), self._start + self.numSamples * self._record.itemsize)
        total = self.numSamples + count
        self._write(total.to_bytes(4, "big"), _COUNT_OFFSET)
        self.numSamples = total

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written
            # What was written must be there before the number that says so.
            os.fdatasync(self._file)
        except OSError as error:
            if error.errno == errno.EINVAL and not view:
                return  # a file that cannot be synchronised, such as a pipe
            raise openmm.OpenMMException(
                f"WeightedSamples: cannot write {self.path!r}: {error.strerror}; its first {self.numSamples} "
                "samples are kept, resume=True continues after them"
            ) from None

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> SampleWriter:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()


def _checkSettings(path: str, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in wanted:
        if found.get(name) != wanted[name]:
            raise openmm.OpenMMException(
                f"WeightedSamples: {path!r} cannot be continued, it was begun with {name} = "
                f"{found.get(name)!r:.80}, not {wanted[name]!r:.80}"
            )


def readHeader(path: str) -> dict[str, Any]:
    """Return settings, statusNames, numSamples, record (the layout), start (offset of the first sample) and
    the scalars as native arrays.

    Raises
    ------
    openmm.OpenMMException
        if the file is missing, no file of weighted samples, or damaged
    """
    if not os.path.isfile(path):
        raise openmm.OpenMMException(f"WeightedSamples: there is no file {path!r}")
    try:
        with warnings.catch_warnings():
            # After damage was met, SciPy warns of arrays that the exception still refers to.
            warnings.simplefilter("ignore", RuntimeWarning)
            found, shapes = _parseHeader(path)
        _checkLayout(path, found, shapes)
        _readScalars(path, found)
    # SciPy's reader meets damage with whatever its parsing runs into, assertions included.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise openmm.OpenMMException(
            f"WeightedSamples: {path!r} is damaged or no file of weighted samples ({reason:.120})"
        ) from None
    return found


def _parseHeader(path: str) -> tuple[dict[str, Any], _Shapes]:
    """What the header says, and shape and type of each variable."""
    from scipy.io import netcdf_file

    # Mapped, and only the header looked at: pages of a map that are touched count as memory in use.
    with netcdf_file(path, "r", mmap=True, maskandscale=False) as file:
        positions, status = file.variables["positions"], file.variables["status"]
        record = _recordType(positions.shape[1], f"f{positions.itemsize()}")
        found = {
            "record": record,
            "numSamples": int(positions.shape[0]),
            "start": int(file.header_length),
            "settings": json.loads(file.settings),
            "statusNames": [s.replace("_", " ") for s in status.flag_meanings.decode().split()],
        }
        shapes = {n: (file.variables[n].shape, file.variables[n].data.dtype) for n in record.names}
        del positions, status
    return found, shapes


def _checkLayout(path: str, found: dict[str, Any], shapes: _Shapes) -> None:
    record = found["record"]
    for name, (shape, kind) in shapes.items():
        if shape != (found["numSamples"], *record[name].shape) or kind != record[name].base:
            raise ValueError(f"its variable {name} has the type {kind} and the shape {shape}")
    needed = found["start"] + found["numSamples"] * found["record"].itemsize
    size = os.path.getsize(path)
    if not 0 < found["start"] <= size or size < needed:
        raise ValueError(f"it should have {needed} bytes and has {size}")
    if not isinstance(found["settings"], dict):
        raise ValueError("its settings are no object")


def _readScalars(path: str, found: dict[str, Any]) -> None:
    """Add what is one number per sample to what was found."""
    record, total = found["record"], found["numSamples"]
    for name, attribute in _SCALARS.items():
        found[attribute] = np.empty(total, record[name].newbyteorder("="))
    step = max(1, _READ_BYTES // record.itemsize)
    for begin in range(0, total, step):
        offset = found["start"] + begin * record.itemsize
        records = np.fromfile(path, record, min(step, total - begin), offset=offset)
        for name, attribute in _SCALARS.items():
            found[attribute][begin : begin + len(records)] = records[name]
    status = found["status"]
    if total and not (0 <= status.min() and status.max() < len(found["statusNames"])):
        raise ValueError(f"it holds the status {status.max()}, known are {len(found['statusNames'])}")


def mapPositions(path: str, found: dict[str, Any]) -> np.ndarray:
    """Return the positions in a file as a read-only array that is read from disk where it is looked at."""
    if found["numSamples"] == 0:
        return np.empty((0, *found["record"]["positions"].shape), found["record"]["positions"].base)
    records = np.memmap(path, found["record"], "r", found["start"], (found["numSamples"],))
    return records["positions"]

"""Weights of another program on their way in: read from files, then taken one by one, each with its shape."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping

import numpy as np

from .errors import ConversionError


def sha256(path: str) -> str:
    """Return the SHA-256 of a file, or of all files below a directory with their names."""
    total = hashlib.sha256()
    if os.path.isfile(path):
        _addFile(total, path)
    for directory, subdirectories, files in os.walk(path):
        subdirectories.sort()
        for name in sorted(files):
            file = os.path.join(directory, name)
            total.update(os.path.relpath(file, path).encode() + b"\0")
            _addFile(total, file)
    return total.hexdigest()


def _addFile(total, path: str) -> None:
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)


def readSafetensors(path: str, keep: Iterable[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file.

    Parameters
    ----------
    path : str
        the file
    keep : strings
        only tensors whose names begin with one of these

    Returns
    -------
    dict from name to array, and the file's metadata

    Raises
    ------
    ConversionError
        if the file is missing or cannot be read
    """
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise ConversionError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(tuple(keep))]
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, TypeError, ValueError, OSError) as error:
        raise ConversionError(f"{path} cannot be read as a safetensors file: {error}") from None


class Weights:
    """The tensors of one network. Each is taken once; what is left over in the end was not understood."""

    def __init__(self, tensors: Mapping[str, np.ndarray], prefix: str, origin: str):
        self._tensors = {
            name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
        self._prefix = prefix
        self._origin = origin
        if not self._tensors:
            raise ConversionError(f"{origin} has no weights under {prefix!r}")

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    @property
    def names(self) -> list[str]:
        """The names, without prefix, of what has not been taken."""
        return list(self._tensors)

    @property
    def numParameters(self) -> int:
        """How many numbers all of them hold."""
        return sum(tensor.size for tensor in self._tensors.values())

    def fail(self, name: str, what: str):
        """Raise a ConversionError about a tensor."""
        raise ConversionError(f"{self._origin}: tensor {self._prefix + name!r} {what}")

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Return a tensor's shape, which must have so many axes, none of them empty."""
        if name not in self._tensors:
            self.fail(name, "is missing")
        shape = self._tensors[name].shape
        if len(shape) != rank or 0 in shape:
            self.fail(name, f"has shape {list(shape)}, expected {rank} axes that are not empty")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a tensor of this shape as float32 or float64, all finite."""
        if self.shape(name, len(shape)) != shape:
            self.fail(name, f"has shape {list(self._tensors[name].shape)}, expected {list(shape)}")
        tensor = self._tensors.pop(name)
        if tensor.dtype == np.float16:
            tensor = tensor.astype(np.float32)
        if tensor.dtype not in (np.float32, np.float64):
            self.fail(name, f"holds {tensor.dtype}, expected floating-point numbers")
        if not np.isfinite(tensor).all():
            self.fail(name, "has a value that is not finite")
        return tensor

    def finish(self) -> None:
        """Check that nothing is left: a network with more weights is another network."""
        if self._tensors:
            self.fail(
                sorted(self._tensors)[0],
                "belongs to no part of the network, so this is a variant that is not supported",
            )

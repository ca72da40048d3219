"""Model files as Python sees them: a JSON document and named arrays (docs/model-format.md).

Writing goes through the safetensors package. Reading checks the container only; whether document and
tensors make a model is for ``openmmscore.Model`` to say, which every simulation goes through.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Key of the file's metadata under which the document lies.
METADATA_KEY = "openmmscore"
#: The format version that this release writes.
FORMAT_VERSION = 1


class ModelFileError(ValueError):
    """A model file cannot be read or written; the message names file and reason."""


def encode(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> bytes:
    """Put a document and its tensors together into the bytes of a model file.

    Equal arguments give equal bytes.

    Parameters
    ----------
    description : mapping
        the document, without NaN or infinity
    tensors : mapping from name to array
        float32 or float64, finite; kept in their precision

    Raises
    ------
    ModelFileError
        if a tensor has another dtype or a value that is not finite, or the document is no JSON
    """
    from safetensors.numpy import save

    try:
        document = json.dumps(description, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"the description of the model is no JSON document: {error}") from None
    arrays = {}
    for name, tensor in tensors.items():
        if tensor.dtype not in (np.float32, np.float64):
            raise ModelFileError(f"tensor {name!r} is {tensor.dtype}, expected float32 or float64")
        if not np.isfinite(tensor).all():
            raise ModelFileError(f"tensor {name!r} has a value that is not finite")
        # The writer takes an array's memory as it lies, so a transposed view would be saved wrongly.
        arrays[name] = np.ascontiguousarray(tensor)
    return save(arrays, metadata={METADATA_KEY: document})


def writeBytes(path: str | os.PathLike[str], data: bytes, overwrite: bool = False) -> None:
    """Write a file through a temporary one beside it, so that no half file ever bears its name.

    Parameters
    ----------
    path : str or os.PathLike
        where to
    data : bytes
        the whole file
    overwrite : bool
        whether a file that is there may be replaced

    Raises
    ------
    ModelFileError
        if there is a file and overwrite is false, or writing fails; what was there is then untouched
    """
    path = os.path.abspath(os.fspath(path))
    if not overwrite and os.path.lexists(path):
        raise ModelFileError(f"{path} exists already (use --force or overwrite=True to replace it)")
    temporary = f"{path}.{secrets.token_hex(6)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _syncDirectory(os.path.dirname(path))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def write(
    path: str | os.PathLike[str],
    description: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    overwrite: bool = False,
) -> None:
    """Write a model file: encode(), then writeBytes()."""
    writeBytes(path, encode(description, tensors), overwrite)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a model file without asking whether it makes sense.

    Returns
    -------
    dict
        the document
    dict from name to array
        the tensors

    Raises
    ------
    ModelFileError
        if there is no such file, it is no safetensors file, or it holds no document
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.isfile(name):
        raise ModelFileError(f"{name}: there is no such file")
    try:
        with safe_open(name, framework="numpy") as file:
            document = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, TypeError, ValueError, OSError) as error:
        raise ModelFileError(f"{name} is no safetensors file: {error}") from None
    if document is None:
        raise ModelFileError(f"{name} is a safetensors file, but no OpenMM-Score model")
    try:
        description = json.loads(document)
    except (ValueError, RecursionError):
        raise ModelFileError(f"{name}: the description of the model is no JSON document") from None
    if not isinstance(description, dict):
        raise ModelFileError(f"{name}: the description of the model is no JSON object")
    return description, tensors


def summary(path: str | os.PathLike[str]) -> str:
    """Say what is in the file of a model or a proposal, in several lines for people.

    The file is checked as a simulation would check it.

    Raises
    ------
    openmm.OpenMMException
        if the file is missing, damaged, or of a newer format version

    Examples
    --------
    >>> print(openmmscore.modelfile.summary("alanine.safetensors"))
    title               alanine dipeptide ...
    """
    from .model import Model

    # Whatever cannot be read is for the model's own reader to refuse.
    with contextlib.suppress(ModelFileError):
        description, tensors = read(path)
        if description.get("kind") == "proposal":
            return _proposalSummary(path, description, tensors)
    model = Model(path)
    description = model.description
    rows = [
        ("title", description["title"]),
        ("file", f"{os.fspath(path)}, {os.path.getsize(path)} bytes"),
        ("SHA-256", model.sha256),
        ("coordinates", _coordinates(description)),
        ("length scale", f"{description['length_scale']:.10g} nm"),
        ("temperature", f"{description['temperature']:.10g} K"),
        ("schedule", " ".join(f"{key} {value}" for key, value in description["schedule"].items())),
        ("diffusion time", f"{description['default_diffusion_time']:g} as a potential"),
        ("parameters", str(model.numParameters)),
    ]
    rows += [(f"expert {k}", _expert(expert)) for k, expert in enumerate(description["experts"])]
    rows += [("features", _features(description["features"]))] if description["features"] else []
    rows += [("particles", _particles(description["particles"]))]
    rows += [("bonds", str(len(description["bonds"])))] if description["bonds"] else []
    rows += [(f"from {key}", _short(value)) for key, value in description["provenance"].items()]
    return _lines(rows)


def _proposalSummary(
    path: str | os.PathLike[str], description: dict[str, Any], tensors: dict[str, np.ndarray]
) -> str:
    from .sampling import loadProposal

    proposal = loadProposal(path)
    size = (
        f"{proposal.numCoordinates} plain numbers"
        if proposal.frame == "vector"
        else f"{proposal.numParticles} particles, {proposal.frame}"
    )
    rows = [
        ("proposal", proposal.family),
        ("file", f"{os.fspath(path)}, {os.path.getsize(path)} bytes"),
        ("draws", size),
        ("numbers", str(sum(array.size for array in tensors.values()))),
        ("gradient", "yes" if proposal.hasGradient else "no"),
    ]
    if proposal.family == "spline-flow":
        rows += [("layers", _splineLayers(description["settings"]["flow"]["layers"]))]
    rows += [(key, _short(value)) for key, value in description["settings"].items()]
    rows += [(f"from {key}", _short(value)) for key, value in description["provenance"].items()]
    return _lines(rows)


def _splineLayers(layers: list[dict[str, Any]]) -> str:
    """Say of what kinds a flow's layers are, in the order in which kinds first appear."""
    kinds: dict[str, int] = {}
    for layer in layers:
        kind = f"{layer['type']}, {layer['network']} {'x'.join(map(str, layer['hidden']))}".rstrip()
        if layer["network"] == "transformer":
            kind += f", {layer['heads']} heads, feed forward {layer['feed_forward']}"
        kind += f", {layer['activation']}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "none"


def _lines(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{plainText(name, 20):<20}{plainText(value, 400)}" for name, value in rows)


def plainText(text: str, limit: int = 200) -> str:
    """Return text from a stranger as one line of printable characters that is not too long."""
    text = "".join(c if c.isprintable() else " " for c in str(text[: 4 * limit]))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _coordinates(description: dict[str, Any]) -> str:
    if description["space"] == "particles":
        return f"[{description['count']}, 3], those of {description['count']} particles"
    return f"[{description['count']}], a plain vector"


def _expert(expert: dict[str, Any]) -> str:
    kind = f"{expert['architecture']}, {expert['head']}"
    if expert["architecture"] == "mlp":
        sizes = "hidden " + "x".join(map(str, expert["hidden"]))
    else:
        sizes = (
            f"hidden {expert['hidden']}, layers {expert['layers']}, heads {expert['heads']}x"
            f"{expert['head_size']}, layer norm epsilon {expert['layer_norm_epsilon']:g}, "
            f"gelu {expert['gelu']}"
        )
    start, end = expert["interval"]
    return f"t {start:g} to {end:g}: {kind}, {sizes}, time features {expert['time_features']}"


def _features(features: list[dict[str, Any]]) -> str:
    return ", ".join(f"{feature['name']} (below {feature['num_values']})" for feature in features)


def _particles(particles: list[dict[str, Any]]) -> str:
    if not particles:
        return "none named"
    names = " ".join(f"{particle['name']}({particle['mass']:g})" for particle in particles[:64])
    return f"{names}, masses in amu"


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _syncDirectory(path: str) -> None:
    # Without this a power failure can lose the new name, though not the bytes. Not every system can do it.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Training runs of ScoreMD: a directory with Orbax checkpoints and the Hydra configuration of the run.

    run/.hydra/config.yaml                             ranged_models: the networks and their intervals
    run/model/<epoch>/{params,ema_params,opt_state}    trees of arrays, params -> models_k -> ...

Needs the optional packages orbax-checkpoint and jax.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import scoremd, systems
from .assemble import Converted, Facts, Options, assemble
from .errors import ConversionError

_KINDS = {"MLPModelInfo": "mlp", "GraphTransformerModelInfo": "graph_transformer"}
_FIELDS = {
    "mlp": {"hidden_dims": "hidden", "activation": "activation", "potential": "potential"},
    "graph_transformer": {"hidden_nf": "hidden", "n_layers": "layers", "potential": "potential"},
}
# Code defaults of the two classes where they differ from "as the weights have it".
_DEFAULTS = {"mlp": {}, "graph_transformer": {"potential": True}}
_MAX_REFERENCES = 32


def convert(
    path: str | os.PathLike[str],
    options: Options | None = None,
    config: str | os.PathLike[str] | None = None,
    epoch: int | None = None,
) -> Converted:
    """Convert a checkpoint.

    Parameters
    ----------
    path : str or os.PathLike
        the run's directory, its directory `model`, or one of the checkpoints in there
    options : Options, optional
        what it does not say: the length scale, and unless a system is named the temperature
    config : str or os.PathLike, optional
        the run's configuration (default: .hydra/config.yaml in the run's directory)
    epoch : int, optional
        which checkpoint (default: the last)

    Raises
    ------
    ConversionError
        if something is missing, or weights and configuration disagree
    """
    options = options or Options()
    checkpoint = _findCheckpoint(os.path.abspath(os.fspath(path)), epoch)
    configFile = os.fspath(config) if config is not None else _findConfig(checkpoint)
    settings = _readConfig(configFile)
    network = describeNetworks(settings)
    tree = "params" if options.rawWeights else "ema_params"
    tensors = _readTensors(os.path.join(checkpoint, tree))
    prefix = "params/" if any(name.startswith("params/") for name in tensors) else ""
    experts = scoremd.readExperts(network, tensors, prefix, os.path.basename(configFile))
    if experts[0].space == "particles" and options.lengthScale is None and options.normFactor is None:
        raise ConversionError(
            "the checkpoint does not store its length scale, the standard deviation of the centred training "
            "coordinates: give --length-scale (nm) or --norm-factor (1/nm)"
        )
    dataset = settings.get("dataset")
    title = dataset.get("name") if isinstance(dataset, Mapping) else None
    facts = Facts(
        title=f"{title or os.path.basename(os.path.dirname(configFile))} ({scoremd.PROGRAM})",
        program=scoremd.PROGRAM,
        experts=experts,
        schedule=scoremd.SCHEDULE,
        files=[os.path.join(checkpoint, tree), configFile],
        diffusionTime=_evaluationTime(settings),
        system=systems.find(systems.SCOREMD, options.system, experts[0].count),
        remarks={"weights": tree, "epoch": os.path.basename(checkpoint)},
    )
    return assemble(facts, options)


def _findCheckpoint(path: str, epoch: int | None) -> str:
    """Return the directory of one epoch."""
    if any(os.path.isdir(os.path.join(path, tree)) for tree in ("params", "ema_params")):
        return path
    if os.path.isdir(os.path.join(path, "model")):
        path = os.path.join(path, "model")
    epochs = [int(name) for name in os.listdir(path) if re.fullmatch(r"\d{1,12}", name)]
    if not epochs:
        raise ConversionError(f"{path} holds no checkpoint of ScoreMD (model/<epoch>/ema_params)")
    if epoch is not None and epoch not in epochs:
        raise ConversionError(f"{path} has no checkpoint of epoch {epoch}, but of {sorted(epochs)}")
    return os.path.join(path, str(max(epochs) if epoch is None else epoch))


def _findConfig(checkpoint: str) -> str:
    """Return the configuration in one of the directories around a checkpoint."""
    directory = checkpoint
    for _ in range(3):
        path = os.path.join(directory, ".hydra", "config.yaml")
        if os.path.isfile(path):
            return path
        directory = os.path.dirname(directory)
    raise ConversionError(f"{checkpoint} has no .hydra/config.yaml near it, name it with --config")


def _readConfig(path: str) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ConversionError(_missing("pyyaml")) from None
    try:
        with open(path, encoding="utf-8") as file:
            settings = yaml.safe_load(file)
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise ConversionError(f"{path} is no YAML") from None
    if not isinstance(settings, Mapping):
        raise ConversionError(f"{path} is no configuration of ScoreMD")
    return settings


def describeNetworks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mixture that a configuration describes, in the words of the JSON descriptions.

    Parameters
    ----------
    settings : mapping
        the configuration; `${a.b}` in place of a value stands for another one
    """
    ranged = _resolved(settings.get("ranged_models"), settings, _MAX_REFERENCES)
    if not isinstance(ranged, list) or not ranged:
        raise ConversionError("the configuration lists no ranged_models")
    experts = [_network(entry, f"ranged_models[{i}]") for i, entry in enumerate(ranged)]
    # The program sorts by the upper end before it numbers the weights.
    experts.sort(key=lambda expert: expert["interval"][1], reverse=True)
    return {"kind": "mixture", "experts": experts}


def _resolved(value: Any, settings: Mapping[str, Any], depth: int) -> Any:
    """Replace references."""
    if depth == 0:
        raise ConversionError("the configuration is nested too deep, or refers to itself")
    if isinstance(value, str) and (found := re.fullmatch(r"\$\{([\w.]+)\}", value)):
        target: Any = settings
        for key in found[1].split("."):
            if not isinstance(target, Mapping) or key not in target:
                raise ConversionError(f"the configuration refers to {value}, which is missing")
            target = target[key]
        return _resolved(target, settings, depth - 1)
    if isinstance(value, Mapping):
        return {key: _resolved(each, settings, depth - 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, settings, depth - 1) for each in value]
    return value


def _network(entry: Any, where: str) -> dict[str, Any]:
    model = entry.get("model") if isinstance(entry, Mapping) else None
    if not isinstance(model, Mapping):
        raise ConversionError(f"the configuration's {where} has no model")
    target = str(model.get("_target_", "")).rsplit(".", 1)[-1]
    if target not in _KINDS:
        raise ConversionError(
            f"the configuration's {where} is a {target or 'model without _target_'!r:.60}, expected one of "
            f"{', '.join(_KINDS)}"
        )
    kind = _KINDS[target]
    interval = entry.get("range", [1.0, 0.0])
    try:
        interval = sorted(float(t) for t in interval)
    except (TypeError, ValueError):
        raise ConversionError(f"the configuration's {where} has the range {interval!r:.60}") from None
    if len(interval) != 2:
        raise ConversionError(f"the configuration's {where} has a range of {len(interval)} times")
    described = {ours: model[theirs] for theirs, ours in _FIELDS[kind].items() if theirs in model}
    return {
        "kind": kind,
        "interval": interval,
        "rescale_time": entry.get("rescale_time", True),
        **_DEFAULTS[kind],
        **described,
    }


def _evaluationTime(settings: Mapping[str, Any]) -> float | None:
    """Return the configured time of evaluation. Its default 0 is no choice, so it counts as none."""
    evaluation = settings.get("evaluation")
    t = evaluation.get("eval_t") if isinstance(evaluation, Mapping) else None
    try:
        return float(t) or None if t is not None else None
    except (TypeError, ValueError):
        return None


def _readTensors(path: str) -> dict[str, np.ndarray]:
    """Read a tree of arrays; names are joined with /."""
    try:
        import jax
        import orbax.checkpoint as ocp
    except ImportError:
        raise ConversionError(_missing("orbax-checkpoint jax")) from None
    if not os.path.isdir(path):
        raise ConversionError(f"{path}: there is no such directory")
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            saved = checkpointer.metadata(path)
            structure = getattr(saved, "item_metadata", saved)
            structure = getattr(structure, "tree", structure)
            # As NumPy arrays, so that weights saved on a GPU need none here.
            asNumpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), structure)
            tree = checkpointer.restore(path, args=ocp.args.PyTreeRestore(restore_args=asNumpy))
    except Exception as error:  # Orbax and TensorStore document no common base for a damaged checkpoint.
        raise ConversionError(f"{path} cannot be read as an Orbax checkpoint: {error!s:.300}") from error
    return dict(_flattened(tree, ""))


def _flattened(tree: Any, prefix: str):
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _flattened(value, f"{prefix}{key}/")
    else:
        yield prefix[:-1], np.asarray(tree)


def _missing(packages: str) -> str:
    return f"reading a training run of ScoreMD needs more packages: pip install {packages}"

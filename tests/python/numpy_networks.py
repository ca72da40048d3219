"""The networks of a model file in NumPy, float64, as the formulas of docs/model-format.md read: an oracle
that shares nothing with the engines. Slow, and without gradients: energies and score heads only.
"""

import numpy as np


def timeFeatures(kind, t, interval):
    """Return what a network is told about the diffusion time."""
    start, end = interval
    t = min(max(t, start), end)
    if kind == "linear":
        return np.array([t])
    angle = 2 * np.pi * t
    features = [t - (end - start) / 2, np.cos(angle), np.sin(angle), -np.cos(2 * angle)]
    if kind == "fourier-rescaled":
        angle = 2 * np.pi * (t - start) / (end - start)
        features += [np.cos(angle), np.sin(angle), -np.cos(2 * angle)]
    return np.array(features)


class Network:
    """An expert of a model file.

    Arguments:
        description: the document
        tensors: all tensors of the file
        index: which expert
    """

    def __init__(self, description, tensors, index):
        self.model = description
        self.expert = description["experts"][index]
        prefix = f"experts.{index}."
        self.tensors = {
            name[len(prefix) :]: tensor.astype(np.float64)
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    def output(self, z, t, features=None):
        """Return the output for one configuration: [1], [3N] or [d]; a transformer's energies as [N]."""
        times = timeFeatures(self.expert["time_features"], t, self.expert["interval"])
        if self.expert["architecture"] == "mlp":
            return self._mlp(np.concatenate([z, times]))
        return self._graphTransformer(z.reshape(-1, 3), times, features)

    def _dense(self, name, x):
        return x @ self.tensors[name + ".weight"].T + self.tensors.get(name + ".bias", 0)

    def _mlp(self, x):
        last = len(self.expert["hidden"])
        for i in range(last):
            x = self._dense(f"layers.{i}", x)
            x = x / (1 + np.exp(-x))
        return self._dense(f"layers.{last}", x)

    def _graphTransformer(self, z, times, features):
        count = len(z)
        if features is None:
            identity = np.eye(count)
        else:
            tables = [self.tensors[f"feature_embeddings.{j}.weight"] for j in range(features.shape[1])]
            identity = np.concatenate([table[features[:, j]] for j, table in enumerate(tables)], axis=1)
        nodes = self._dense("node_embedding", np.concatenate([identity, np.tile(times, (count, 1))], axis=1))
        # Entry [i, j] belongs to query i and key j.
        edges = self._dense("edge_embedding", z[None, :, :] - z[:, None, :])
        for layer in range(self.expert["layers"]):
            nodes = self._layer(f"layers.{layer}.", nodes, edges)
        if self.expert["head"] == "energy":
            return self._dense("readout", nodes)[:, 0]
        return self._dense("readout", nodes.ravel())

    def _layer(self, name, nodes, edges):
        y = self._norm(name + "attention_norm", nodes)
        attended = self._dense(name + "attention.output", self._attention(name + "attention.", y, edges))
        nodes = self._gate(name + "attention_gate", attended, nodes)
        y = self._dense(name + "feed_forward.expand", self._norm(name + "feed_forward_norm", nodes))
        y = self._dense(name + "feed_forward.contract", gelu(y, self.expert["gelu"]))
        return self._gate(name + "feed_forward_gate", y, nodes)

    def _attention(self, name, y, edges):
        heads, size, count = self.expert["heads"], self.expert["head_size"], len(y)
        query, key, value = (
            self._dense(name + part, y).reshape(count, heads, size) for part in ("query", "key", "value")
        )
        edge = self._dense(name + "edge", edges).reshape(count, count, heads, size)
        logits = np.einsum("ihd,ijhd->hij", query, key[None] + edge) / np.sqrt(size)
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        return np.einsum("hij,ijhd->ihd", weights, value[None] + edge).reshape(count, -1)

    def _norm(self, name, x):
        centred = x - x.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + self.expert["layer_norm_epsilon"])
        return centred / scale * self.tensors[name + ".weight"] + self.tensors[name + ".bias"]

    def _gate(self, name, new, old):
        logit = np.concatenate([new, old, new - old], axis=1) @ self.tensors[name + ".weight"].T
        g = 1 / (1 + np.exp(-logit))
        return g * new + (1 - g) * old


def gelu(x, kind):
    """Return the Gaussian error linear unit, or its approximation by tanh."""
    if kind == "tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    from scipy.special import erf

    return 0.5 * x * (1 + erf(x / np.sqrt(2)))

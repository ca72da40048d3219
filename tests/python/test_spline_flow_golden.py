"""Splines and flows against the numbers of normflows and zuko."""

from pathlib import Path

import numpy as np
import pytest
from openmmscore.sampling import SplineFlowProposal
from safetensors.numpy import load_file
from spline_flows import autoregressive, coupling

DATA = Path(__file__).parents[1] / "data" / "spline"
# What softplus needs to give a slope of one, with a minimum slope of 1e-3.
OFFSET = np.log(np.expm1(1 - 1e-3))


def singleSpline(case, row, kind, bound, knots="softplus"):
    numbers = np.concatenate([case[name][row] for name in ("uw", "uh", "ud")])
    bins = case["uw"].shape[1]
    if knots == "softplus":
        numbers[2 * bins :] -= OFFSET
    flow = {"dimension": 1, "bins": bins, "bound": bound, "knots": knots, "layers": [coupling([0])]}
    tensors = {"layers.0.linear.0.bias": numbers}
    if kind == "circular":
        flow["circular"] = [0]
        tensors["layers.0.shift"] = [np.pi if knots == "soft-clip" else 0.0]
    return SplineFlowProposal(flow, tensors, "vector")


@pytest.mark.parametrize("name, bound", [("linear_K5", 1.5), ("circular_K8", 3.0)])
def test_splinesAreThoseOfNormflows(name, bound):
    case = load_file(DATA / f"rqs_normflows_{name}.safetensors")
    for row, x in enumerate(case["x"]):
        if name.startswith("circular") and abs(x) >= np.pi:
            continue
        proposal = singleSpline(case, row, name.split("_")[0], bound)
        z, logDet = proposal.toBase([[x]])
        assert z[0, 0] == pytest.approx(case["forward.y.f64"][row], abs=1e-12)
        assert logDet[0] == pytest.approx(case["forward.logdet.f64"][row], abs=1e-11)
        y, logDet = proposal.fromBase([[x]])
        assert y[0, 0] == pytest.approx(case["inverse.x_of_input.f64"][row], abs=1e-11)
        assert logDet[0] == pytest.approx(case["inverse.logdet.f64"][row], abs=1e-10)


@pytest.mark.parametrize("name", ["linear", "circular"])
def test_splinesAreThoseOfZuko(name):
    case = load_file(DATA / f"rqs_zuko_{name}_K8.safetensors")
    for row, x in enumerate(case["x"]):
        proposal = singleSpline(case, row, name, 5.0, "soft-clip")
        z, logDet = proposal.toBase([[x]])
        assert z[0, 0] == pytest.approx(case["forward.y.f64"][row], abs=1e-12)
        assert logDet[0] == pytest.approx(case["forward.logdet.f64"][row], abs=1e-11)


def normflowsFlow():
    """The survey's flow: residual masked networks, applied last to first from the data on."""
    case = load_file(DATA / "normflows_nsf.safetensors")
    flow = {"dimension": 5, "bound": 3.0, "base": "trainable", "layers": []}
    tensors = {"base.location": case["base.location"], "base.log_scale": case["base.log_scale"]}
    for index in range(4):
        source = f"layers.{3 - index}"
        order = case[f"{source}.order"].tolist()
        flow["layers"].append(autoregressive(order, network="residual", hidden=[32, 32, 32]))
        for j in range(4):
            for kind in ("weight", "bias"):
                values = case[f"{source}.linear.{j}.{kind}"].astype(float)
                if j == 3:
                    values = values.reshape(5, 23, -1)
                    if kind == "bias":
                        values[:, 16:] -= OFFSET
                    values = values[order].reshape(case[f"{source}.linear.{j}.{kind}"].shape)
                tensors[f"layers.{index}.linear.{j}.{kind}"] = values
    return case, SplineFlowProposal(flow, tensors, "vector")


def zukoFlow(name, dimension, circular):
    """Masked networks with raw angles; outputs as zuko has them, for coordinates in ascending order."""
    case = load_file(DATA / f"{name}.safetensors")
    flow = {"dimension": dimension, "bound": 5.0, "knots": "soft-clip", "layers": []}
    flow["circular"] = list(range(dimension)) if circular else []
    tensors = {}
    for index in range(3):
        order = np.argsort(case[f"layers.{index}.order"]).tolist()
        flow["layers"].append(autoregressive(order, hidden=[32, 32], angle_inputs="raw"))
        if circular:
            tensors[f"layers.{index}.shift"] = np.full(dimension, np.pi)
        for j in range(3):
            for kind in ("weight", "bias"):
                values = case[f"layers.{index}.linear.{j}.{kind}"].astype(float)
                if j == 2:
                    values = values.reshape(dimension, 23, -1)[order].reshape(values.shape)
                tensors[f"layers.{index}.linear.{j}.{kind}"] = values
    return case, SplineFlowProposal(flow, tensors, "vector")


def test_flowIsThatOfNormflows():
    case, proposal = normflowsFlow()
    x = case["x"].astype(float)
    z, logDet = proposal.toBase(x)
    np.testing.assert_allclose(proposal.logDensity(x), case["log_prob.f64"], rtol=0, atol=1e-10)
    # Here the base's own location and scale belong to the map.
    scale = np.exp(case["base.log_scale"].astype(float))
    np.testing.assert_allclose(case["base.location"] + scale * z, case["inverse.z.f64"], rtol=0, atol=1e-10)
    shift = case["base.log_scale"].astype(float).sum()
    np.testing.assert_allclose(logDet + shift, case["inverse.logdet.f64"], rtol=0, atol=1e-10)
    y, logDet = proposal.fromBase((case["z_in"].astype(float) - case["base.location"]) / scale)
    np.testing.assert_allclose(y, case["forward.x.f64"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(logDet - shift, case["forward.logdet.f64"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name, dimension, circular", [("zuko_nsf", 5, False), ("zuko_ncsf", 3, True)])
def test_flowsAreThoseOfZuko(name, dimension, circular):
    case, proposal = zukoFlow(name, dimension, circular)
    x = case["x"].astype(float)
    # Its circular base is a little wider than the circle.
    wider = dimension * np.log1p(1e-5 / np.pi) if circular else 0
    z, logDet = proposal.toBase(x)
    np.testing.assert_allclose(z, case["forward.z.f64"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(logDet, case["forward.logdet.f64"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(proposal.logDensity(x) - wider, case["log_prob.f64"], rtol=0, atol=1e-7)
    y, _ = proposal.fromBase(case["sample.z_in"])
    difference = y - case["sample.x.f64"]
    if circular:
        difference = np.remainder(difference + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0, atol=1e-9)
    np.testing.assert_allclose(proposal.logDensity(y) - wider, case["sample.log_prob.f64"], rtol=0, atol=1e-7)

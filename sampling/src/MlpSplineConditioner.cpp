#include "MlpSplineConditioner.h"

#include <algorithm>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Description = SplineFlowDescription;

const std::vector<double> none;

std::string linearName(std::size_t layer, std::size_t linear) {
    return "layers." + std::to_string(layer) + ".linear." + std::to_string(linear);
}

const std::vector<double>& find(const SplineFlow::Tensors& tensors, const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? none : found->second;
}

/** @return for each output of a matrix the largest degree among inputs with a weight that is not zero */
std::vector<int> spreadDegrees(const std::vector<int>& from, const std::vector<double>& weight,
                               std::size_t out) {
    std::vector<int> to(out, -1);
    for (std::size_t o = 0; o < out; o++)
        for (std::size_t i = 0; i < from.size(); i++)
            if (weight[o * from.size() + i] != 0)
                to[o] = std::max(to[o], from[i]);
    return to;
}

} // namespace

MlpSplineConditioner::MlpSplineConditioner(const Description& description, std::size_t l,
                                           const SplineFlow::Tensors& tensors)
    : SplineConditioner(description, l),
      residual(description.layers[l].network == Description::Network::Residual),
      autoregressive(description.layers[l].type == Description::Layer::Type::Autoregressive) {
    const Description::Layer& layer = description.layers[l];
    // Without inputs the one bias is all there is.
    const std::size_t numHidden = numInputs == 0 ? 0 : layer.hidden.size();
    int width = numInputs;
    for (std::size_t j = 0; j < numHidden; j++) {
        const std::string name = linearName(l, j);
        linears.emplace_back(layer.hidden[j], width, find(tensors, name + ".weight").data(),
                             find(tensors, name + ".bias").data());
        linearsBack.push_back(transposed(layer.hidden[j], width, find(tensors, name + ".weight").data()));
        width = layer.hidden[j];
    }
    const double* weight = find(tensors, linearName(l, numHidden) + ".weight").data();
    const double* bias = find(tensors, linearName(l, numHidden) + ".bias").data();
    outputsBack = transposed(static_cast<int>(numNumbers), width, weight);
    for (int i : layer.transformed) {
        const int count = description.countKnotNumbers(description.getKind(i));
        outputs.emplace_back(count, width, weight, bias);
        if (width > 0)
            weight += static_cast<std::ptrdiff_t>(count) * width;
        bias += count;
    }
    if (autoregressive)
        checkOrder(description, l, tensors);
}

void MlpSplineConditioner::checkOrder(const Description& description, std::size_t l,
                                      const SplineFlow::Tensors& tensors) const {
    const Description::Layer& layer = description.layers[l];
    std::vector<int> position(dimension, -1);
    for (std::size_t p = 0; p < layer.transformed.size(); p++)
        position[static_cast<std::size_t>(layer.transformed[p])] = static_cast<int>(p);
    std::vector<int> degrees;
    for (int coordinate : description.getInputCoordinates(l))
        degrees.push_back(position[static_cast<std::size_t>(coordinate)]);
    std::vector<int> stream;
    for (std::size_t j = 0; j < linears.size(); j++) {
        degrees = spreadDegrees(degrees, find(tensors, linearName(l, j) + ".weight"),
                                static_cast<std::size_t>(layer.hidden[j]));
        // Every second matrix of a residual network adds to what the first gave.
        if (residual && j > 0 && j % 2 == 0)
            for (std::size_t k = 0; k < degrees.size(); k++)
                degrees[k] = std::max(degrees[k], stream[k]);
        if (j % 2 == 0)
            stream = degrees;
    }
    const std::vector<int> coordinates = description.getOutputCoordinates(l);
    const std::string name = linearName(l, linears.size()) + ".weight";
    degrees = spreadDegrees(degrees, find(tensors, name), coordinates.size());
    for (std::size_t o = 0; o < degrees.size(); o++)
        if (degrees[o] >= position[static_cast<std::size_t>(coordinates[o])])
            throw ShapeError("SplineFlow: layer " + std::to_string(l) + ": knots of coordinate " +
                             std::to_string(coordinates[o]) + " depend on coordinate " +
                             std::to_string(layer.transformed[static_cast<std::size_t>(degrees[o])]) +
                             ", which does not come before it in transformed (mask the weights)");
}

void MlpSplineConditioner::reserve(std::size_t rows, Workspace& w) const {
    grow(w.input, rows, numInputs);
    w.values.resize(std::max(w.values.size(), 2 * linears.size()));
    for (std::size_t j = 0; j < linears.size(); j++) {
        grow(before(w, j), rows, linears[j].getNumOutputs());
        grow(after(w, j), rows, linears[j].getNumOutputs());
    }
    for (const PackedLayer& output : outputs)
        grow(w.numbers, rows, output.getNumOutputs());
    w.gradients.resize(std::max<std::size_t>(w.gradients.size(), 3));
}

void MlpSplineConditioner::compute(int rows, const double* v, Workspace& w) const {
    double* input = w.input.data();
    for (int r = 0; r < rows; r++, v += dimension)
        for (const Input& each : inputs)
            input = writeInput(each, v, input);
    const double* x = w.input.data();
    int step = numInputs;
    for (std::size_t j = 0; j < linears.size(); j++) {
        double* sum = before(w, j).data();
        multiplyBlock(rows, x, step, linears[j], sum, linears[j].getNumOutputs());
        step = linears[j].getNumOutputs();
        if (residual && j > 0 && j % 2 == 0)
            for (int i = 0; i < rows * step; i++)
                sum[i] += before(w, j - 2)[static_cast<std::size_t>(i)];
        // Nothing follows the last sum of a residual network but the outputs.
        if (!residual || j + 1 < linears.size())
            applyActivation(rows * step, sum, after(w, j).data());
        x = after(w, j).data();
    }
}

void MlpSplineConditioner::computeNext(int rows, std::size_t p, const double* v, Workspace& w) const {
    // What coordinates behind p still hold meets weights that are zero.
    if (p == 0 || autoregressive)
        compute(rows, v, w);
}

const double* MlpSplineConditioner::computeNumbers(int rows, std::size_t p, Workspace& w,
                                                   std::size_t& step) const {
    const std::size_t last = linears.size() - 1;
    const double* x = linears.empty() ? w.input.data() : (residual ? before(w, last) : after(w, last)).data();
    step = static_cast<std::size_t>(outputs[p].getNumOutputs());
    multiplyBlock(rows, x, linears.empty() ? numInputs : linears.back().getNumOutputs(), outputs[p],
                  w.numbers.data(), static_cast<std::ptrdiff_t>(step));
    return w.numbers.data();
}

} // namespace OpenMMScore

#include "SplineConditioner.h"

#include <algorithm>
#include <cmath>

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

/** @return x -> W^T x for a matrix W [out, in] */
PackedLayer transposed(int out, int in, const double* weight) {
    const auto rows = static_cast<std::size_t>(out), columns = static_cast<std::size_t>(in);
    std::vector<double> turned(rows * columns);
    for (std::size_t o = 0; o < rows; o++)
        for (std::size_t i = 0; i < columns; i++)
            turned[i * rows + o] = weight[o * columns + i];
    return {in, out, turned.data(), std::vector<double>(columns, 0.0).data()};
}

} // namespace

SplineConditioner::SplineConditioner(const Description& description, std::size_t l,
                                     const SplineFlow::Tensors& tensors)
    : dimension(static_cast<std::size_t>(description.dimension)),
      activation(description.layers[l].activation), residual(description.layers[l].residual) {
    const Description::Layer& layer = description.layers[l];
    const std::vector<int> coordinates = description.getInputCoordinates(l);
    numInputs = static_cast<int>(coordinates.size());
    for (std::size_t k = 0; k < coordinates.size(); k++) {
        const int i = coordinates[k];
        const bool angle = !layer.rawAngles && description.getKind(i) == Description::Kind::Circular;
        inputs.push_back({static_cast<std::size_t>(i), angle});
        k += angle;
    }
    // Without inputs the one bias is all there is.
    const std::size_t numHidden = numInputs == 0 ? 0 : layer.hidden.size();
    width = numInputs;
    for (std::size_t j = 0; j < numHidden; j++) {
        const std::string name = linearName(l, j);
        linears.emplace_back(layer.hidden[j], width, find(tensors, name + ".weight").data(),
                             find(tensors, name + ".bias").data());
        linearsBack.push_back(transposed(layer.hidden[j], width, find(tensors, name + ".weight").data()));
        width = layer.hidden[j];
    }
    const double* weight = find(tensors, linearName(l, numHidden) + ".weight").data();
    const double* bias = find(tensors, linearName(l, numHidden) + ".bias").data();
    numNumbers = static_cast<std::size_t>(description.countOutputs(l));
    outputsBack = transposed(static_cast<int>(numNumbers), width, weight);
    for (int i : layer.transformed) {
        const int count = description.countKnotNumbers(description.getKind(i));
        outputs.emplace_back(count, width, weight, bias);
        if (width > 0)
            weight += static_cast<std::ptrdiff_t>(count) * width;
        bias += count;
    }
    if (layer.type == Description::Layer::Type::Autoregressive)
        checkOrder(description, l, tensors);
}

void SplineConditioner::checkOrder(const Description& description, std::size_t l,
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

void SplineConditioner::reserve(std::size_t rows, Workspace& w) const {
    const auto grow = [rows](std::vector<double>& values, int size) {
        values.resize(std::max(values.size(), rows * static_cast<std::size_t>(size)));
    };
    grow(w.input, numInputs);
    for (std::vector<std::vector<double>>* values : {&w.before, &w.after})
        values->resize(std::max(values->size(), linears.size()));
    for (std::size_t j = 0; j < linears.size(); j++) {
        grow(w.before[j], linears[j].getNumOutputs());
        grow(w.after[j], linears[j].getNumOutputs());
    }
    for (const PackedLayer& output : outputs)
        grow(w.numbers, output.getNumOutputs());
}

void SplineConditioner::applyActivation(int rows, int count, const double* x, double* y) const {
    const int size = rows * count;
    if (activation == Description::Activation::ReLU)
        for (int i = 0; i < size; i++)
            y[i] = x[i] > 0 ? x[i] : 0;
    else if (activation == Description::Activation::SiLU)
        for (int i = 0; i < size; i++)
            y[i] = x[i] / (1 + std::exp(-x[i]));
    else
        for (int i = 0; i < size; i++)
            y[i] = std::tanh(x[i]);
}

void SplineConditioner::computeHidden(int rows, const double* v, Workspace& w) const {
    double* input = w.input.data();
    for (int r = 0; r < rows; r++, v += dimension)
        for (const Input& each : inputs) {
            const double value = v[each.coordinate];
            *input++ = each.angle ? std::cos(value) : value;
            if (each.angle)
                *input++ = std::sin(value);
        }
    const double* x = w.input.data();
    int step = numInputs;
    for (std::size_t j = 0; j < linears.size(); j++) {
        double* before = w.before[j].data();
        multiplyBlock(rows, x, step, linears[j], before, linears[j].getNumOutputs());
        step = linears[j].getNumOutputs();
        if (residual && j > 0 && j % 2 == 0)
            for (int i = 0; i < rows * step; i++)
                before[i] += w.before[j - 2][static_cast<std::size_t>(i)];
        // Nothing follows the last sum of a residual network but the outputs.
        if (!residual || j + 1 < linears.size())
            applyActivation(rows, step, before, w.after[j].data());
        x = w.after[j].data();
    }
}

const double* SplineConditioner::computeNumbers(int rows, std::size_t p, Workspace& w,
                                                std::size_t& step) const {
    const double* x =
        linears.empty() ? w.input.data() : (residual ? w.before : w.after)[linears.size() - 1].data();
    step = static_cast<std::size_t>(outputs[p].getNumOutputs());
    multiplyBlock(rows, x, linears.empty() ? numInputs : linears.back().getNumOutputs(), outputs[p],
                  w.numbers.data(), static_cast<std::ptrdiff_t>(step));
    return w.numbers.data();
}

} // namespace OpenMMScore

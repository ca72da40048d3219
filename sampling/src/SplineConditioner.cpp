#include "SplineConditioner.h"

#include <algorithm>
#include <cmath>

#include "MlpSplineConditioner.h"
#include "TransformerSplineConditioner.h"

namespace OpenMMScore {

namespace {

using Activation = SplineFlowDescription::Activation;

double derivative(Activation activation, double x) {
    if (activation == Activation::ReLU)
        return x > 0 ? 1 : 0;
    if (activation == Activation::Tanh) {
        const double y = std::tanh(x);
        return 1 - y * y;
    }
    const double sigmoid = 1 / (1 + std::exp(-x));
    return sigmoid * (1 + x * (1 - sigmoid));
}

} // namespace

std::unique_ptr<const SplineConditioner> SplineConditioner::create(const SplineFlowDescription& description,
                                                                   std::size_t layer,
                                                                   const SplineFlow::Tensors& tensors) {
    if (description.layers[layer].network == SplineFlowDescription::Network::Transformer)
        return std::make_unique<TransformerSplineConditioner>(description, layer, tensors);
    return std::make_unique<MlpSplineConditioner>(description, layer, tensors);
}

SplineConditioner::SplineConditioner(const SplineFlowDescription& description, std::size_t l)
    : dimension(static_cast<std::size_t>(description.dimension)),
      activation(description.layers[l].activation) {
    const std::vector<int> coordinates = description.getInputCoordinates(l);
    numInputs = static_cast<int>(coordinates.size());
    for (std::size_t k = 0; k < coordinates.size(); k++) {
        const int i = coordinates[k];
        const bool angle = !description.layers[l].rawAngles &&
                           description.getKind(i) == SplineFlowDescription::Kind::Circular;
        inputs.push_back({static_cast<std::size_t>(i), angle});
        k += angle;
    }
    numNumbers = static_cast<std::size_t>(description.countOutputs(l));
}

double* SplineConditioner::writeInput(const Input& input, const double* v, double* numbers) {
    const double value = v[input.coordinate];
    *numbers++ = input.angle ? std::cos(value) : value;
    if (input.angle)
        *numbers++ = std::sin(value);
    return numbers;
}

void SplineConditioner::addInputGradient(const Input& input, const double*& numbers, const double*& byNumbers,
                                         double* byV) {
    const int count = input.angle ? 2 : 1;
    byV[input.coordinate] +=
        input.angle ? byNumbers[1] * numbers[0] - byNumbers[0] * numbers[1] : byNumbers[0];
    numbers += count;
    byNumbers += count;
}

void SplineConditioner::applyActivation(int count, const double* x, double* y) const {
    if (activation == Activation::ReLU)
        for (int i = 0; i < count; i++)
            y[i] = x[i] > 0 ? x[i] : 0;
    else if (activation == Activation::SiLU)
        for (int i = 0; i < count; i++)
            y[i] = x[i] / (1 + std::exp(-x[i]));
    else
        for (int i = 0; i < count; i++)
            y[i] = std::tanh(x[i]);
}

void SplineConditioner::multiplyDerivative(int count, const double* x, double* gradient) const {
    for (int i = 0; i < count; i++)
        gradient[i] *= derivative(activation, x[i]);
}

PackedLayer SplineConditioner::transposed(int out, int in, const double* weight) {
    const auto rows = static_cast<std::size_t>(out), columns = static_cast<std::size_t>(in);
    std::vector<double> turned(rows * columns);
    for (std::size_t o = 0; o < rows; o++)
        for (std::size_t i = 0; i < columns; i++)
            turned[i * rows + o] = weight[o * columns + i];
    return {in, out, turned.data(), std::vector<double>(columns, 0.0).data()};
}

void SplineConditioner::grow(std::vector<double>& values, std::size_t rows, int size) {
    values.resize(std::max(values.size(), rows * static_cast<std::size_t>(size)));
}

} // namespace OpenMMScore

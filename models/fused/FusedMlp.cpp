// This file is compiled once for each instruction set; what is outside HWY_ONCE knows only its own.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "FusedMlp.cpp"
#include "InstructionSets.h"
// After the choice of targets.
#include "hwy/foreach_target.h"

#include "FusedMlp.h"
#include "MlpWorkspace.h"
#include "products-inl.h"
#include "rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

/** Energies of the last hidden layer x, shape [m, step]; x comes back as the gradient before its activation.
 */
HWY_NOINLINE void readOutMlp(const FoldedMlp& network, int m, float* x, int step, double* energies) {
    const float* weight = network.readout.get();
    const int width = network.layers.back().matrix.getNumColumns();
    for (int r = 0; r < m; r++, x += step) {
        Vector sum = zero();
        for (int c = 0; c < width; c += lanes) {
            Vector y, slope;
            Swish::apply(load(x + c), y, slope);
            sum = hn::MulAdd(y, load(weight + c), sum);
            store(hn::Mul(slope, load(weight + c)), x + c);
        }
        energies[r] = network.readoutBias + static_cast<double>(sumLanes(sum));
    }
}

void evaluateMlp(const FoldedMlp& network, MlpWorkspace& w, int m, const double* z, double* energies,
                 double* gradients) {
    const int d = network.numInputs, last = static_cast<int>(network.layers.size()) - 1;
    for (int r = 0; r < m; r++)
        for (int c = 0; c < d; c++)
            w.inputs[r * w.step + c] = static_cast<float>(z[r * d + c]);

    // Forward; the last layer of an energy head stays where its slopes belong.
    const float* x = w.inputs;
    for (int l = 0; l <= last; l++) {
        const FoldedMlp::Layer& layer = network.layers[l];
        // Activations take turns in two places: a product must not overwrite what it reads.
        const bool toReadout = l == last && network.hasEnergy;
        float* y = toReadout ? w.slopes[l] : w.values + (l % 2) * w.valuesSize;
        multiply(m, x, w.step, layer.matrix, {layer.bias.get(), 0}, y, w.step);
        if (!toReadout)
            activate<Swish>(m, layer.matrix.getNumColumns(), y, w.slopes[l], w.step);
        x = y;
    }
    if (network.hasEnergy)
        readOutMlp(network, m, w.slopes[last], w.step, energies);
    if (gradients == nullptr)
        return;

    if (network.hasEnergy) {
        const float* dy = w.slopes[last];
        for (int l = last; l > 0; l--) {
            float* dx = w.values + (l % 2) * w.valuesSize;
            multiply(m, dy, w.step, network.layers[l].back, {nullptr, 0}, dx, w.step);
            multiplyBySlopes(m, network.layers[l].back.getNumColumns(), dx, w.slopes[l - 1], w.step);
            dy = dx;
        }
        multiply(m, dy, w.step, network.layers[0].back, {nullptr, 0}, w.inputs, w.step);
    }
    else
        multiply(m, x, w.step, network.scoreReadout, {network.scoreBias.get(), 0}, w.inputs, w.step);
    for (int r = 0; r < m; r++)
        for (int c = 0; c < d; c++)
            gradients[r * d + c] = w.inputs[r * w.step + c];
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>

#include "ExpertTensors.h"
#include "TimeFeatures.h"

namespace OpenMMScore {

HWY_EXPORT(evaluateMlp);

FoldedMlp::FoldedMlp(const ModelDescription& model, int index, double t,
                     const std::vector<std::vector<double>>& values)
    : numInputs(model.getNumCoordinates()), hasEnergy(model.experts[index].head == Head::Energy),
      expert(model.experts[index]) {
    const ExpertTensors tensors(model, index, values);
    const int numHidden = static_cast<int>(expert.mlp.hidden.size());
    for (int l = 0; l < numHidden; l++) {
        const std::string name = "layers." + std::to_string(l);
        Matrix weight = tensors.matrix(name + ".weight");
        std::vector<double> bias = tensors.vector(name + ".bias");
        if (l == 0) {
            firstBias = bias;
            timeWeight = weight.columnRange(numInputs, weight.getNumColumns() - numInputs);
            weight = weight.columnRange(0, numInputs);
        }
        layers.push_back({PackedMatrix(weight.transposed()), AlignedArray(bias), PackedMatrix(weight)});
    }
    const std::string last = "layers." + std::to_string(numHidden);
    if (hasEnergy) {
        readout = AlignedArray(tensors.vector(last + ".weight"));
        readoutBias = tensors.vector(last + ".bias")[0];
    }
    else {
        scoreReadout = PackedMatrix(tensors.matrix(last + ".weight").transposed());
        scoreBias = AlignedArray(tensors.vector(last + ".bias"));
    }
    setTime(t);
}

void FoldedMlp::setTime(double t) {
    std::vector<double> bias = timeWeight * computeTimeFeatures(expert, t);
    for (std::size_t i = 0; i < bias.size(); i++)
        bias[i] += firstBias[i];
    layers[0].bias = AlignedArray(bias);
}

MlpWorkspace::MlpWorkspace(const FoldedMlp& network, int numMolecules) {
    step = padded(network.numInputs);
    for (const FoldedMlp::Layer& layer : network.layers)
        step = std::max(step, layer.matrix.getNumColumns());
    valuesSize = numMolecules * step;
    size = std::size_t(valuesSize) * (3 + network.layers.size());
    memory = AlignedArray(size);
    inputs = memory.get();
    values = inputs + valuesSize;
    for (std::size_t l = 0; l < network.layers.size(); l++)
        slopes.push_back(values + (2 + l) * valuesSize);
}

int FusedMlp::getBlockSize() const {
    return 84;
}

std::unique_ptr<FusedWorkspace> FusedMlp::createWorkspace(int numMolecules) const {
    return std::make_unique<MlpWorkspace>(network, numMolecules);
}

double FusedMlp::getOperationsPerMolecule() const {
    double products = 0;
    double in = network.numInputs;
    for (const FoldedMlp::Layer& layer : network.layers) {
        products += in * layer.back.getNumRows();
        in = layer.back.getNumRows();
    }
    return network.hasEnergy ? 4 * products : 2 * (products + in * network.numInputs);
}

std::size_t FusedMlp::getNumBytes() const {
    std::size_t bytes = 0;
    for (const FoldedMlp::Layer& layer : network.layers)
        bytes += layer.matrix.getNumBytes() + layer.back.getNumBytes();
    return bytes;
}

void FusedMlp::evaluate(FusedWorkspace& workspace, int count, const int*, const double* z, double* energies,
                        double* gradients) const {
    HWY_DYNAMIC_DISPATCH(evaluateMlp)
    (network, static_cast<MlpWorkspace&>(workspace), count, z, energies, gradients);
}

} // namespace OpenMMScore
#endif // HWY_ONCE

#include "FoldedTransformer.h"

#include <algorithm>
#include <cmath>

#include "ExpertTensors.h"
#include "TimeFeatures.h"

namespace OpenMMScore {

namespace {

PackedDense pack(const AffineMap& map) {
    return {PackedMatrix(map.matrix), AlignedArray(map.bias)};
}

/** The gate's three parts folded into two: w . [x, r, x - r] = newWeight . x + oldWeight . r. */
struct GateWeights {
    std::vector<double> newWeight, oldWeight;
    GateWeights(const std::vector<double>& w) {
        const std::size_t width = w.size() / 3;
        for (std::size_t i = 0; i < width; i++) {
            newWeight.push_back(w[i] + w[2 * width + i]);
            oldWeight.push_back(w[width + i] - w[2 * width + i]);
        }
    }
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); i++)
        sum += a[i] * b[i];
    return sum;
}

/** Nodes before the first layer without the share of the time features, shape [n, hidden]. */
Matrix embedNodes(const ModelDescription& model, const Matrix& weight, const ExpertTensors& tensors,
                  const std::vector<int>& features) {
    const std::vector<double>& bias = tensors.vector("node_embedding.bias");
    const int numFeatures = static_cast<int>(model.features.size());
    Matrix nodes(model.count, weight.getNumRows());
    for (int i = 0; i < model.count; i++) {
        std::vector<double> input(numFeatures == 0 ? model.count : 0, 0.0);
        if (numFeatures == 0)
            input[i] = 1;
        for (int f = 0; f < numFeatures; f++) {
            const Matrix table = tensors.matrix("feature_embeddings." + std::to_string(f) + ".weight");
            for (int c = 0; c < table.getNumColumns(); c++)
                input.push_back(table(features[i * numFeatures + f], c));
        }
        input.resize(weight.getNumColumns(), 0.0);
        const std::vector<double> row = weight * input;
        for (int c = 0; c < nodes.getNumColumns(); c++)
            nodes(i, c) = row[c] + bias[c];
    }
    return nodes;
}

/** Rows minus mean over deviation, without scale and shift. */
Matrix normalize(const Matrix& x, double epsilon) {
    Matrix y = x;
    const int width = x.getNumColumns();
    for (int r = 0; r < x.getNumRows(); r++) {
        double mean = 0, variance = 0;
        for (int c = 0; c < width; c++)
            mean += x(r, c) / width;
        for (int c = 0; c < width; c++)
            variance += (x(r, c) - mean) * (x(r, c) - mean) / width;
        for (int c = 0; c < width; c++)
            y(r, c) = (x(r, c) - mean) / std::sqrt(variance + epsilon);
    }
    return y;
}

Matrix apply(const AffineMap& map, const Matrix& x) {
    Matrix y = x * map.matrix;
    for (int r = 0; r < y.getNumRows(); r++)
        for (int c = 0; c < y.getNumColumns(); c++)
            y(r, c) += map.bias[c];
    return y;
}

/** Rows padded to a multiple of rowPadding, rounded. */
AlignedArray padRows(const Matrix& m) {
    const int step = padded(m.getNumColumns());
    AlignedArray result(std::size_t(m.getNumRows()) * step);
    for (int r = 0; r < m.getNumRows(); r++)
        for (int c = 0; c < m.getNumColumns(); c++)
            result.get()[r * step + c] = static_cast<float>(m(r, c));
    return result;
}

std::string layerName(int index) {
    return "layers." + std::to_string(index) + ".";
}

/** @param index  of the expert */
FirstLayer foldFirst(const ModelDescription& model, int index, const std::vector<std::vector<double>>& values,
                     const std::vector<std::vector<int>>& kinds) {
    const ExpertTensors tensors(model, index, values);
    const GraphTransformerDescription& sizes = model.experts[index].graphTransformer;
    FoldedAttention attention(tensors, layerName(0), sizes.heads, sizes.headSize);
    const Matrix weight = tensors.matrix("node_embedding.weight");
    const int numTimes = numTimeFeatures(model.experts[index].timeFeatures);
    std::vector<Matrix> nodes;
    nodes.reserve(kinds.size());
    for (const std::vector<int>& features : kinds)
        nodes.push_back(embedNodes(model, weight, tensors, features));
    return {attention, attention.queryToPosition(), attention.positionToOutput(), std::move(nodes),
            weight.columnRange(weight.getNumColumns() - numTimes, numTimes)};
}

} // namespace

FoldedMolecule FoldedTransformer::foldMolecule(const Matrix& nodes) const {
    const int n = numBeads;
    const FoldedAttention& attention = first.attention;
    const Matrix y = normalize(nodes, layerNormEpsilon);
    const Matrix q = apply(attention.query, y), k = apply(attention.key, y);
    const Matrix v = y * attention.value.matrix; // its bias is in the output's constant
    Matrix logits(n * heads, n);
    AffineMap output{Matrix(n * heads + 3 * heads + 3, nodes.getNumColumns()), attention.getOutputConstant()};
    for (int h = 0; h < heads; h++) {
        const int from = h * headSize;
        const Matrix own = q.columnRange(from, headSize) * k.columnRange(from, headSize).transposed();
        for (int i = 0; i < n; i++) {
            // A constant in j drops out of the softmax; taking off the greatest keeps digits.
            double largest = own(i, 0);
            for (int j = 1; j < n; j++)
                largest = std::max(largest, own(i, j));
            for (int j = 0; j < n; j++)
                logits(i * heads + h, j) = own(i, j) - largest;
        }
        output.matrix.set(h * n, 0,
                          v.columnRange(from, headSize) * attention.outputWeight.rowRange(from, headSize));
    }
    output.matrix.set(n * heads, 0, first.positionToOutput);

    FoldedMolecule molecule;
    molecule.nodes = padRows(nodes);
    molecule.logits = padRows(logits);
    molecule.positionQueries = padRows(q * first.queryToPosition);
    molecule.output = pack(output);
    molecule.outputBack = PackedMatrix(output.matrix.transposed());
    return molecule;
}

FoldedTransformer::FoldedTransformer(const ModelDescription& model, int index, double t,
                                     const std::vector<std::vector<double>>& values,
                                     const std::vector<std::vector<int>>& kinds)
    : hasEnergy(model.experts[index].head == Head::Energy), expert(model.experts[index]),
      first(foldFirst(model, index, values, kinds)) {
    const GraphTransformerDescription& sizes = expert.graphTransformer;
    const ExpertTensors tensors(model, index, values);
    numBeads = model.count;
    hidden = sizes.hidden;
    heads = sizes.heads;
    headSize = sizes.headSize;
    feedForward = sizes.feedForward;
    layerNormEpsilon = sizes.layerNormEpsilon;
    gelu = sizes.gelu;
    // Multiply-adds per bead and head, forward and backward: dense products count twice, attention's thrice.
    const double direct = 8.0 * hidden * headSize + 6.0 * numBeads * headSize;
    const double together = 4.0 * hidden * hidden + 6.0 * numBeads * hidden;
    merged = together < direct;
    width = merged ? hidden : headSize;
    paddedWidth = padded(width);

    for (int l = 0; l < sizes.layers; l++)
        layers.push_back(foldLayer(tensors, l, hasEnergy && l + 1 == sizes.layers));
    if (hasEnergy)
        readout = foldReadout(tensors, layerName(sizes.layers - 1));
    else
        scoreReadout = foldScoreReadout(tensors);
    columnMask = AlignedArray(std::vector<double>(hidden, 1.0));
    setTime(t);
}

void FoldedTransformer::setTime(double t) {
    const std::vector<double> share = first.timeWeight * computeTimeFeatures(expert, t);
    molecules.clear();
    for (Matrix nodes : first.nodes) {
        for (int i = 0; i < numBeads; i++)
            for (int c = 0; c < hidden; c++)
                nodes(i, c) += share[c];
        molecules.push_back(foldMolecule(nodes));
    }
}

/** Nodes stand padded in the workspace, and the padding meets rows of zeros. */
PackedDense FoldedTransformer::foldScoreReadout(const ExpertTensors& tensors) const {
    const Matrix weight = tensors.matrix("readout.weight").transposed();
    const int step = padded(hidden);
    AffineMap map{Matrix(numBeads * step, 3 * numBeads), tensors.vector("readout.bias")};
    for (int i = 0; i < numBeads; i++)
        map.matrix.set(i * step, 0, weight.rowRange(i * hidden, hidden));
    // The analyser does not see that the array's pointer owns it also in what is returned.
    return pack(map); // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
}

FoldedLayer FoldedTransformer::foldLayer(const ExpertTensors& tensors, int index, bool last) const {
    const std::string name = layerName(index);
    FoldedLayer layer;
    if (index > 0) {
        const FoldedAttention attention(tensors, name, heads, headSize);
        const AffineMap project =
            merged ? attention.projectMerged(paddedWidth) : attention.projectDirect(paddedWidth);
        const AffineMap output = attention.output(merged, paddedWidth);
        layer.project = pack(project);
        layer.projectBack = PackedMatrix(project.matrix.transposed());
        layer.output = pack(output);
        layer.outputBack = PackedMatrix(output.matrix.transposed());
    }
    const GateWeights gate(tensors.vector(name + "attention_gate.weight"));
    layer.gateNew = AlignedArray(gate.newWeight);
    layer.gateOld = AlignedArray(gate.oldWeight);
    const AffineMap expand = foldNorm(tensors, name + "feed_forward_norm", name + "feed_forward.expand", 1);
    layer.expand = pack(expand);
    layer.expandBack = PackedMatrix(expand.matrix.transposed());
    if (!last) {
        const Matrix contract = tensors.matrix(name + "feed_forward.contract.weight");
        layer.contract = pack({contract.transposed(), tensors.vector(name + "feed_forward.contract.bias")});
        layer.contractBack = PackedMatrix(contract);
        const GateWeights second(tensors.vector(name + "feed_forward_gate.weight"));
        layer.feedForwardGateNew = AlignedArray(second.newWeight);
        layer.feedForwardGateOld = AlignedArray(second.oldWeight);
    }
    return layer;
}

FoldedReadout FoldedTransformer::foldReadout(const ExpertTensors& tensors, const std::string& name) const {
    const Matrix back = tensors.matrix(name + "feed_forward.contract.weight").transposed();
    const std::vector<double>&bias = tensors.vector(name + "feed_forward.contract.bias"),
          &weight = tensors.vector("readout.weight");
    const GateWeights gate(tensors.vector(name + "feed_forward_gate.weight"));
    FoldedReadout result;
    result.actToEnergy = AlignedArray(back * weight);
    result.actToGate = AlignedArray(back * gate.newWeight);
    result.nodeToEnergy = AlignedArray(weight);
    result.nodeToGate = AlignedArray(gate.oldWeight);
    result.energyStart = static_cast<float>(dot(weight, bias));
    result.gateStart = static_cast<float>(dot(gate.newWeight, bias));
    result.bias = tensors.vector("readout.bias")[0];
    return result;
}

std::size_t FoldedTransformer::getNumBytes() const {
    std::size_t bytes = 0;
    for (const FoldedLayer& layer : layers)
        for (const PackedMatrix* matrix :
             {&layer.project.matrix, &layer.projectBack, &layer.output.matrix, &layer.outputBack,
              &layer.expand.matrix, &layer.expandBack, &layer.contract.matrix, &layer.contractBack})
            bytes += matrix->getNumBytes();
    bytes += scoreReadout.matrix.getNumBytes();
    for (const FoldedMolecule& molecule : molecules)
        bytes += molecule.output.matrix.getNumBytes() + molecule.outputBack.getNumBytes() +
                 sizeof(float) * numBeads * (padded(hidden) + heads * padded(numBeads) + padded(3 * heads));
    return bytes;
}

} // namespace OpenMMScore

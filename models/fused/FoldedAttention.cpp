#include "FoldedAttention.h"

#include <cmath>

#include "ExpertTensors.h"

namespace OpenMMScore {

namespace {

void setBias(AffineMap& map, int first, const std::vector<double>& values) {
    for (std::size_t i = 0; i < values.size(); i++)
        map.bias[first + i] = values[i];
}

} // namespace

AffineMap foldNorm(const ExpertTensors& tensors, const std::string& norm, const std::string& dense,
                   double factor) {
    const Matrix weight = tensors.matrix(dense + ".weight");
    const std::vector<double>&scale = tensors.vector(norm + ".weight"),
          &bias = tensors.vector(dense + ".bias");
    AffineMap map{weight.transposed(), weight * tensors.vector(norm + ".bias")};
    for (int i = 0; i < map.matrix.getNumRows(); i++)
        for (int o = 0; o < map.matrix.getNumColumns(); o++)
            map.matrix(i, o) *= factor * scale[i];
    for (std::size_t o = 0; o < bias.size(); o++)
        map.bias[o] = factor * (map.bias[o] + bias[o]);
    return map;
}

FoldedAttention::FoldedAttention(const ExpertTensors& tensors, const std::string& layer, int heads,
                                 int headSize)
    : heads(heads), headSize(headSize) {
    const std::string attention = layer + "attention.", norm = layer + "attention_norm";
    query = foldNorm(tensors, norm, attention + "query", 1 / std::sqrt(headSize));
    key = foldNorm(tensors, norm, attention + "key", 1);
    value = foldNorm(tensors, norm, attention + "value", 1);
    hidden = query.matrix.getNumRows();

    // A = W_edge W_embedding, c = W_edge b_embedding + b_edge; c and the output's bias are constant.
    const Matrix edge = tensors.matrix(attention + "edge.weight");
    position = edge * tensors.matrix("edge_embedding.weight");
    std::vector<double> c = edge * tensors.vector("edge_embedding.bias");
    const std::vector<double>& edgeBias = tensors.vector(attention + "edge.bias");
    for (std::size_t i = 0; i < c.size(); i++)
        c[i] += edgeBias[i] + value.bias[i];
    const Matrix weight = tensors.matrix(attention + "output.weight");
    outputWeight = weight.transposed();
    outputConstant = weight * c;
    const std::vector<double>& bias = tensors.vector(attention + "output.bias");
    for (std::size_t i = 0; i < bias.size(); i++)
        outputConstant[i] += bias[i];
}

Matrix FoldedAttention::queryToPosition() const {
    Matrix result(heads * headSize, 3 * heads);
    for (int h = 0; h < heads; h++)
        result.set(h * headSize, 3 * h, position.rowRange(h * headSize, headSize));
    return result;
}

Matrix FoldedAttention::positionToOutput() const {
    Matrix result = queryToPosition().transposed() * outputWeight;
    Matrix all(3 * heads + 3, hidden);
    all.set(0, 0, result);
    all.set(3 * heads, 0, position.transposed() * outputWeight, -1);
    return all;
}

AffineMap FoldedAttention::projectDirect(int paddedWidth) const {
    const int block = heads * paddedWidth;
    AffineMap map{Matrix(hidden, 3 * block + 3 * heads), std::vector<double>(3 * block + 3 * heads, 0.0)};
    for (int h = 0; h < heads; h++) {
        const int from = h * headSize, to = h * paddedWidth;
        map.matrix.set(0, to, query.matrix.columnRange(from, headSize));
        map.matrix.set(0, block + to, key.matrix.columnRange(from, headSize));
        map.matrix.set(0, 2 * block + to, value.matrix.columnRange(from, headSize));
        setBias(map, to, {query.bias.begin() + from, query.bias.begin() + from + headSize});
    }
    const Matrix toPosition = queryToPosition();
    map.matrix.set(0, 3 * block, query.matrix * toPosition);
    setBias(map, 3 * block, toPosition.transposed() * query.bias);
    return map;
}

AffineMap FoldedAttention::projectMerged(int paddedWidth) const {
    const int block = heads * paddedWidth;
    AffineMap map{Matrix(hidden, block + 3 * heads), std::vector<double>(block + 3 * heads, 0.0)};
    for (int h = 0; h < heads; h++) {
        const int from = h * headSize;
        const Matrix q = query.matrix.columnRange(from, headSize), k = key.matrix.columnRange(from, headSize);
        map.matrix.set(0, h * paddedWidth, q * k.transposed());
        setBias(map, h * paddedWidth,
                k * std::vector<double>(query.bias.begin() + from, query.bias.begin() + from + headSize));
    }
    const Matrix toPosition = queryToPosition();
    map.matrix.set(0, block, query.matrix * toPosition);
    setBias(map, block, toPosition.transposed() * query.bias);
    return map;
}

AffineMap FoldedAttention::output(bool merged, int paddedWidth) const {
    const int block = heads * paddedWidth;
    AffineMap map{Matrix(block + 3 * heads + 3, hidden), outputConstant};
    for (int h = 0; h < heads; h++) {
        const Matrix own = outputWeight.rowRange(h * headSize, headSize);
        map.matrix.set(h * paddedWidth, 0,
                       merged ? value.matrix.columnRange(h * headSize, headSize) * own : own);
    }
    map.matrix.set(block, 0, positionToOutput());
    return map;
}

} // namespace OpenMMScore

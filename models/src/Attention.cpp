#include "Attention.h"

#include <cmath>

namespace OpenMMScore {

Attention::Attention(int heads, int headSize, int hidden, const std::vector<double>& edge,
                     const std::vector<double>& edgeBias, const std::vector<double>& edgeEmbedding,
                     const std::vector<double>& edgeEmbeddingBias)
    : heads(heads), headSize(headSize), scale(1 / std::sqrt(headSize)), constant(edgeBias) {
    // A = W_edge W_embedding and c = W_edge b_embedding + b_edge.
    const int inner = heads * headSize;
    std::vector<double> matrix(inner * 3, 0.0);
    for (int o = 0; o < inner; o++)
        for (int h = 0; h < hidden; h++) {
            for (int k = 0; k < 3; k++)
                matrix[3 * o + k] += edge[o * hidden + h] * edgeEmbedding[3 * h + k];
            constant[o] += edge[o * hidden + h] * edgeEmbeddingBias[h];
        }
    position = Dense(inner, 3, matrix, {});
}

} // namespace OpenMMScore

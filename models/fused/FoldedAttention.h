#ifndef OPENMMSCORE_FUSED_FOLDEDATTENTION_H_
#define OPENMMSCORE_FUSED_FOLDEDATTENTION_H_

#include <string>
#include <vector>

#include "Matrix.h"

namespace OpenMMScore {

class ExpertTensors;

/** A matrix [in, out] with its bias, before packing. */
struct AffineMap {
    Matrix matrix;
    std::vector<double> bias;
};

/** @return a dense layer that follows a LayerNorm, the norm's scale and shift folded in, times a factor */
AffineMap foldNorm(const ExpertTensors& tensors, const std::string& norm, const std::string& dense,
                   double factor);

/**
 * One layer's attention with everything constant folded, in float64; FoldedTransformer.h has the formulas.
 * The LayerNorm's scale and shift are in the projections, 1/sqrt(headSize) in the queries, biases of keys
 * (constant in j) dropped, biases of values and edges in the output's bias.
 */
class FoldedAttention {
public:
    FoldedAttention(const ExpertTensors& tensors, const std::string& layer, int heads, int headSize);

    /** @return y -> [q, k, v, p], each of the first three [heads, paddedWidth] */
    AffineMap projectDirect(int paddedWidth) const;
    /** @return y -> [q_h^T Wk_h, p] */
    AffineMap projectMerged(int paddedWidth) const;
    /** @return [m, sum_j a_ij z_j, z_i] -> o, m being mixed values (direct) or mixed y (merged) */
    AffineMap output(bool merged, int paddedWidth) const;

    /** What the first layer's constants are computed from, [in, out]: q with its scale, k, v with its bias.
     */
    AffineMap query, key, value;
    /** A, shape [heads headSize, 3], and Wo^T, shape [heads headSize, hidden]. */
    Matrix position, outputWeight;

    /** @return Wo_h A_h for each head and -sum_h Wo_h A_h: the last 3 heads + 3 rows of output() */
    Matrix positionToOutput() const;
    /** @return p = A_h^T q_h for each head, from q, shape [heads headSize] */
    Matrix queryToPosition() const;
    const std::vector<double>& getOutputConstant() const { return outputConstant; }

private:
    int heads, headSize, hidden;
    std::vector<double> outputConstant;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FOLDEDATTENTION_H_

#ifndef OPENMMSCORE_FUSED_MLPDIVERGENCEWORKSPACE_H_
#define OPENMMSCORE_FUSED_MLPDIVERGENCEWORKSPACE_H_

#include "AlignedArray.h"
#include "FusedNetwork.h"
#include "PackedMatrix.h"

namespace OpenMMScore {

struct FoldedMlp;

/**
 * What one thread needs to differentiate a perceptron's score: constants made of its weights, which do not
 * depend on the diffusion time, and what it writes. d is the number of coordinates.
 */
class MlpDivergenceWorkspace : public FusedWorkspace {
public:
    MlpDivergenceWorkspace(const FoldedMlp& network, int numMolecules);
    std::size_t getNumBytes() const override { return sizeof(float) * size; }

    /** Floats from row to row of each array. */
    int step;
    /**
     * Whether only `coupling` is used: a score head with two hidden layers has the divergence
     * slopes_2 . (C slopes_1), where C_ij = W2_ij sum_c Wout_ci W1_jc.
     */
    bool bilinear;
    /** C transposed: [first width, second width]. */
    PackedMatrix coupling;
    /** Derivatives of the first layer by each coordinate, [d, step], and the sums of their squares, [step].
     */
    AlignedArray firstTangents, firstSquares;
    /** Of a score head: the rows of its last matrix, [d, step]. */
    AlignedArray readoutRows;
    /**
     * Values, [molecules, step], and tangents, [molecules d, step], of one layer and of the next, Laplacians
     * alike. The first two also hold coordinates and scores.
     */
    float *values[2], *tangents[2], *laplacians[2];
    /** Of one layer, [molecules, step]. */
    float *slopes, *curvatures;

private:
    std::size_t size;
    AlignedArray memory;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_MLPDIVERGENCEWORKSPACE_H_

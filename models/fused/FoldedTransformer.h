#ifndef OPENMMSCORE_FUSED_FOLDEDTRANSFORMER_H_
#define OPENMMSCORE_FUSED_FOLDEDTRANSFORMER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "AlignedArray.h"
#include "FoldedAttention.h"
#include "PackedMatrix.h"
#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

class ExpertTensors;

/** A packed matrix B and, where wanted, what its products start from. */
struct PackedDense {
    PackedMatrix matrix;
    AlignedArray bias;
};

/**
 * How a layer's attention is computed. With y the normalised nodes (scale and shift of the LayerNorm are
 * folded into what follows), z the positions, and per head h the constant matrix A_h of the edges:
 *
 *     logit_hij = q_hi . (k_hj + A_h z_j) + const_i,     o_i = sum_h Wo_h (sum_j a_hij (v_hj + A_h z_j) - A_h
 * z_i) + const.
 *
 * First: nodes are constants of the molecule, so q_hi . k_hj and Wo_h v_hj are, too:
 *     logit_hij = C_hij + p_hi . z_j,     o_i = sum_hj a_hij V_hj + sum_h (Wo_h A_h) (sum_j a_hij z_j - z_i)
 * + const. Merged: q . k = y_i^T (Wq_h^T Wk_h) y_j and Wo_h v = (Wo_h Wv_h) y_j, so keys and values of every
 * head are y itself: [H, heads H] twice instead of [H, heads headSize] four times. Cheaper while H < 2
 * headSize. Direct: queries, keys and values as they are.
 *
 * In all three p_hi = A_h^T q_hi is a 3-vector that comes out of the same product as the queries.
 */
/** One layer at a fixed diffusion time, the same for all molecules. Matrices are [in, out]. */
struct FoldedLayer {
    /** y -> [queries, p] or [queries, keys, values, p]; unused in the first layer. */
    PackedDense project;
    PackedMatrix projectBack;
    /** [mixed values, mixed positions, z_i] -> o; in the first layer each kind of molecule has its own. */
    PackedDense output;
    PackedMatrix outputBack;
    /** The attention gate: logit = gateNew . o + gateOld . nodes. */
    AlignedArray gateNew, gateOld;
    PackedDense expand;
    PackedMatrix expandBack;
    /** Not in the last layer of an energy head, where two projections of the result suffice (FoldedReadout).
     */
    PackedDense contract;
    PackedMatrix contractBack;
    AlignedArray feedForwardGateNew, feedForwardGateOld;
};

/**
 * The end of the last layer. A node's energy is w.(g u + (1-g) x) + b with g = sigmoid(n.u + o.x), and u = W2
 * act
 * + b2 enters only through w.u and n.u: two dot products with act instead of a matrix product.
 */
struct FoldedReadout {
    /** W2^T w and W2^T n, shape [feedForward] */
    AlignedArray actToEnergy, actToGate;
    /** w and o, shape [hidden] */
    AlignedArray nodeToEnergy, nodeToGate;
    float energyStart = 0, gateStart = 0;
    double bias = 0;
};

/** What is left of the first layer in float64, to fold it at another time. */
struct FirstLayer {
    FoldedAttention attention;
    /** FoldedAttention::queryToPosition() and positionToOutput(). */
    Matrix queryToPosition, positionToOutput;
    /** Embedded nodes of each kind of molecule without, and the matrix of, time features. */
    std::vector<Matrix> nodes;
    Matrix timeWeight;
};

/** What the first layer needs for one kind of molecule: a distinct set of features. */
struct FoldedMolecule {
    /** Nodes before the first layer, [n, padded(hidden)]. */
    AlignedArray nodes;
    /** C_hij as [n, heads, padded(n)] and p_hi as [n, 3 heads + padding]. */
    AlignedArray logits, positionQueries;
    PackedDense output;
    PackedMatrix outputBack;
};

/** A graph transformer at one diffusion time. Folded in float64, kept in float32. */
struct FoldedTransformer {
    int numBeads, hidden, heads, headSize, feedForward;
    double layerNormEpsilon;
    Gelu gelu;
    /** Whether layers after the first have merged heads. */
    bool merged;
    bool hasEnergy;
    /** Width of one head's queries: hidden (merged) or headSize (direct), without and with padding. */
    int width, paddedWidth;
    std::vector<FoldedLayer> layers;
    /** Of an energy head. */
    FoldedReadout readout;
    /** Of a score head: all nodes of a molecule with their padding -> 3N numbers. */
    PackedDense scoreReadout;
    std::vector<FoldedMolecule> molecules;
    /** 1 for each of the `hidden` true columns, then 0. */
    AlignedArray columnMask;

    /**
     * @param tensors  of the expert, in the order of expertTensors()
     * @param kinds    features of each distinct molecule, shape [count, features] each
     */
    FoldedTransformer(const ModelDescription& model, int expert, double t,
                      const std::vector<std::vector<double>>& tensors,
                      const std::vector<std::vector<int>>& kinds);

    /** Fold the first layer at another time. */
    void setTime(double t);
    /** @return how many bytes all matrices take */
    std::size_t getNumBytes() const;

private:
    FoldedMolecule foldMolecule(const Matrix& nodes) const;
    PackedDense foldScoreReadout(const ExpertTensors& tensors) const;
    FoldedLayer foldLayer(const ExpertTensors& tensors, int index, bool last) const;
    FoldedReadout foldReadout(const ExpertTensors& tensors, const std::string& lastLayer) const;

    ExpertDescription expert;
    FirstLayer first;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FOLDEDTRANSFORMER_H_

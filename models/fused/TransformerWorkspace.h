#ifndef OPENMMSCORE_FUSED_TRANSFORMERWORKSPACE_H_
#define OPENMMSCORE_FUSED_TRANSFORMERWORKSPACE_H_

#include <cstddef>
#include <vector>

#include "AlignedArray.h"
#include "FusedNetwork.h"

namespace OpenMMScore {

struct FoldedTransformer;

/** What the way back needs of one gate and the LayerNorm behind it. */
struct GateTape {
    /** New minus old nodes and the normalised result, shape [rows, nodeStep]. */
    float *difference = nullptr, *normalized = nullptr;
    /** The gate, one minus it, and the LayerNorm's 1/deviation, shape [rows]. */
    float *gates = nullptr, *complements = nullptr, *inverses = nullptr;
};

/**
 * Everything that one thread writes while it evaluates a block of molecules: rows are particles, molecule by
 * molecule, `...Step` floats apart.
 */
class TransformerWorkspace : public FusedWorkspace {
public:
    TransformerWorkspace(const FoldedTransformer& network, int numMolecules);
    std::size_t getNumBytes() const override { return sizeof(float) * size; }

    struct LayerTape {
        /** Queries, keys, ... of each particle; not in the first layer. Shape [rows, projectStep] */
        float* project = nullptr;
        /** Attention weights [rows, weightStep]; in the first layer followed by mixed positions and z_i. */
        float* weights = nullptr;
        /** Slopes of the activation, or, in the last layer, gradients before it. Shape [rows, wideStep] */
        float* slopes = nullptr;
        /** The second is not in the last layer of an energy head. */
        GateTape attentionGate, feedForwardGate;
    };
    std::vector<LayerTape> layers;

    int nodeStep, projectStep, weightStep, firstWeightStep, mixedStep, wideStep, paddedBeads;
    /** Coordinates: [rows, 4], [molecules, 3, paddedBeads]; and what they receive, laid out like the latter.
     */
    float *positionRows, *positionColumns, *dPositions;
    /** Nodes, their gradient, the output of a branch or its gradient, the gradient of normalised nodes. */
    float *nodes, *dNodes, *branch, *dNormalized;
    /** Shared by mixed values [rows, mixedStep] and hidden activations [rows, wideStep], and their gradients.
     */
    float* wide;
    /** Gradients of queries, keys and values where heads are not merged. */
    float* dProject;
    /** Energies of particles. */
    float* energies;
    /** For one molecule: [n, heads, paddedBeads], [n, weightStep], [paddedWidth, paddedBeads], [paddedBeads].
     */
    float *pairs, *dLogits, *transposed, *scratch;

private:
    std::size_t layOut(const FoldedTransformer& network, std::size_t numMolecules, float* base);
    std::size_t size;
    AlignedArray memory;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_TRANSFORMERWORKSPACE_H_

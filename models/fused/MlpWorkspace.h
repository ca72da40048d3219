#ifndef OPENMMSCORE_FUSED_MLPWORKSPACE_H_
#define OPENMMSCORE_FUSED_MLPWORKSPACE_H_

#include <vector>

#include "AlignedArray.h"
#include "FusedNetwork.h"

namespace OpenMMScore {

struct FoldedMlp;

/** What one thread writes while a perceptron evaluates a block of molecules. */
class MlpWorkspace : public FusedWorkspace {
public:
    MlpWorkspace(const FoldedMlp& network, int numMolecules);
    std::size_t getNumBytes() const override { return sizeof(float) * size; }

    /** Floats from row to row of each array. */
    int step;
    /** Coordinates and their gradient; activations and their gradient. */
    float *inputs, *values;
    /** Activations take turns in two places, this far apart. */
    int valuesSize;
    /** Slopes of each hidden layer; the last layer's become the gradient before its activation. */
    std::vector<float*> slopes;

private:
    std::size_t size;
    AlignedArray memory;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_MLPWORKSPACE_H_

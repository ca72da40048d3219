#ifndef OPENMMSCORE_FUSED_FUSEDMLP_H_
#define OPENMMSCORE_FUSED_FUSEDMLP_H_

#include <vector>

#include "AlignedArray.h"
#include "FusedNetwork.h"
#include "PackedMatrix.h"
#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/** A perceptron with an energy head at one diffusion time: the time features' share is in the first bias. */
struct FoldedMlp {
    struct Layer {
        /** [in, out], its bias, and [out, in] */
        PackedMatrix matrix;
        AlignedArray bias;
        PackedMatrix back;
    };
    int numInputs;
    /** The hidden layers. */
    std::vector<Layer> layers;
    AlignedArray readout;
    double readoutBias;

    FoldedMlp(const ModelDescription& model, int expert, double t,
              const std::vector<std::vector<double>>& tensors);
};

/** A perceptron in the fused engine; a molecule is a row. */
class FusedMlp : public FusedNetwork {
public:
    /** @param tensors  of the expert, in the order of expertTensors() */
    FusedMlp(const ModelDescription& model, int expert, double t,
             const std::vector<std::vector<double>>& tensors)
        : network(model, expert, t, tensors) {}
    int getBlockSize() const override;
    std::unique_ptr<FusedWorkspace> createWorkspace(int numMolecules) const override;
    double getOperationsPerMolecule() const override;
    std::size_t getNumBytes() const override;
    void evaluate(FusedWorkspace& workspace, int count, const int* kinds, const double* z, double* energies,
                  double* gradients) const override;

private:
    FoldedMlp network;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDMLP_H_

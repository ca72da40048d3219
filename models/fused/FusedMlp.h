#ifndef OPENMMSCORE_FUSED_FUSEDMLP_H_
#define OPENMMSCORE_FUSED_FUSEDMLP_H_

#include <vector>

#include "AlignedArray.h"
#include "FusedNetwork.h"
#include "PackedMatrix.h"
#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/** A perceptron at one diffusion time: the time features' share is in the first bias. */
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
    bool hasEnergy;
    /** The last layer: of an energy head, a row and a number; of a score head, a matrix and its bias. */
    AlignedArray readout;
    double readoutBias = 0;
    PackedMatrix scoreReadout;
    AlignedArray scoreBias;

    FoldedMlp(const ModelDescription& model, int expert, double t,
              const std::vector<std::vector<double>>& tensors);
    void setTime(double t);

private:
    ExpertDescription expert;
    /** The first layer's bias without, and its matrix of, time features. */
    std::vector<double> firstBias;
    Matrix timeWeight;
};

/** A perceptron in the fused engine; a molecule is a row. */
class FusedMlp : public FusedNetwork {
public:
    /** @param tensors  of the expert, in the order of expertTensors() */
    FusedMlp(const ModelDescription& model, int expert, double t,
             const std::vector<std::vector<double>>& tensors)
        : network(model, expert, t, tensors) {}
    bool hasEnergy() const override { return network.hasEnergy; }
    void setTime(double t) override { network.setTime(t); }
    int getBlockSize() const override;
    std::unique_ptr<FusedWorkspace> createWorkspace(int numMolecules) const override;
    double getOperationsPerMolecule() const override;
    std::size_t getNumBytes() const override;
    void evaluate(FusedWorkspace& workspace, int count, const int* kinds, const double* z, double* energies,
                  double* gradients) const override;
    // FusedMlpDivergence.cpp
    int getDivergenceBlockSize() const override;
    std::unique_ptr<FusedWorkspace> createDivergenceWorkspace(int numMolecules) const override;
    void evaluateDivergence(FusedWorkspace& workspace, int count, const double* z, double* gradients,
                            double* divergences) const override;

private:
    FoldedMlp network;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDMLP_H_

#ifndef OPENMMSCORE_FUSED_FUSEDGRAPHTRANSFORMER_H_
#define OPENMMSCORE_FUSED_FUSEDGRAPHTRANSFORMER_H_

#include <vector>

#include "FoldedTransformer.h"
#include "FusedNetwork.h"

namespace OpenMMScore {

/** A graph transformer in the fused engine. */
class FusedGraphTransformer : public FusedNetwork {
public:
    /** The arguments are FoldedTransformer's. */
    FusedGraphTransformer(const ModelDescription& model, int expert, double t,
                          const std::vector<std::vector<double>>& tensors,
                          const std::vector<std::vector<int>>& kinds);
    bool hasEnergy() const override { return network.hasEnergy; }
    void setTime(double t) override { network.setTime(t); }
    int getBlockSize() const override;
    std::unique_ptr<FusedWorkspace> createWorkspace(int numMolecules) const override;
    double getOperationsPerMolecule() const override;
    std::size_t getNumBytes() const override { return network.getNumBytes(); }
    void evaluate(FusedWorkspace& workspace, int count, const int* kinds, const double* z, double* energies,
                  double* gradients) const override;

private:
    FoldedTransformer network;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDGRAPHTRANSFORMER_H_

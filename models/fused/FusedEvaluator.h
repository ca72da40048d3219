#ifndef OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_
#define OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_

#include <memory>
#include <vector>

#include "FusedNetwork.h"
#include "openmmscore/models/FastEvaluator.h"

namespace OpenMMScore {

/** Cuts calls into blocks of nearly equal size and gives each thread its own workspace. */
class FusedEvaluator : public FastEvaluator {
public:
    /**
     * @param kinds   of each molecule
     * @param factor  between the network's output and the reduced energy
     */
    FusedEvaluator(std::unique_ptr<FusedNetwork> network, std::vector<int> kinds, int numCoordinates,
                   double factor, int numThreads);

    int getNumMolecules() const override { return static_cast<int>(kinds.size()); }
    int getNumCoordinates() const override { return numCoordinates; }
    int getBlockSize() const override { return blockSize; }
    bool hasEnergy() const override { return true; }
    void evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                  double* scores) override;
    double getOperationsPerMolecule() const override { return network->getOperationsPerMolecule(); }
    std::size_t getNumWeightBytes() const override { return network->getNumBytes(); }
    std::size_t getNumThreadBytes() const override { return threads[0].workspace->getNumBytes(); }

private:
    struct Thread {
        std::unique_ptr<FusedWorkspace> workspace;
        /** Of one block. */
        std::vector<double> energies;
    };
    std::unique_ptr<FusedNetwork> network;
    std::vector<int> kinds;
    int numCoordinates, blockSize;
    double factor;
    std::vector<Thread> threads;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_

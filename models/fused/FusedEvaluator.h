#ifndef OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_
#define OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_

#include <memory>
#include <span>
#include <vector>

#include "FusedNetwork.h"
#include "openmmscore/models/FastEvaluator.h"

namespace OpenMMScore {

/** Cuts calls into blocks of nearly equal size and gives each thread its own workspaces. */
class FusedEvaluator : public FastEvaluator {
public:
    /** The arguments are createFastEvaluator()'s. */
    FusedEvaluator(const ScoreModel& model, double t, std::span<const int> features, int numMolecules,
                   int numThreads);

    int getNumMolecules() const override { return static_cast<int>(kinds.size()); }
    int getNumCoordinates() const override { return numCoordinates; }
    int getBlockSize() const override { return blockSize; }
    bool hasEnergy() const override { return conservative; }
    void evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                  double* scores) override;
    bool hasDivergence() const override { return divergenceBlockSize > 0; }
    void evaluateDivergence(int thread, int first, int count, const double* coordinates, double* scores,
                            double* divergences) override;
    bool setTime(const ScoreModel& model, double t) override;
    double getOperationsPerMolecule() const override;
    std::size_t getNumWeightBytes() const override;
    std::size_t getNumThreadBytes() const override;

private:
    /** A network that answers at this time; there are two where their intervals meet. */
    struct Active {
        int expert;
        /** Between the network's output and the reduced energy or score, its weight included. */
        double factor;
        std::unique_ptr<FusedNetwork> network;
    };
    struct Thread {
        /** One for each active network. */
        std::vector<std::unique_ptr<FusedWorkspace>> workspaces;
        /** Of one block. */
        std::vector<double> energies, gradients;
        /** The same for divergences, made when they are first asked for. */
        std::vector<std::unique_ptr<FusedWorkspace>> divergenceWorkspaces;
        std::vector<double> divergences;
    };
    void addPositions(int count, const double* coordinates, double* scores) const;
    void evaluateBlock(Thread& own, int first, int count, const double* coordinates, double* energies,
                       double* scores) const;

    std::vector<Active> networks;
    /** Of the coordinates, in the score. */
    double positionFactor = 0;
    std::vector<int> kinds;
    int numCoordinates, blockSize;
    /** 0 if a network cannot give divergences. */
    int divergenceBlockSize;
    bool conservative;
    std::vector<Thread> threads;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDEVALUATOR_H_

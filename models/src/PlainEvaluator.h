#ifndef OPENMMSCORE_MODELS_PLAINEVALUATOR_H_
#define OPENMMSCORE_MODELS_PLAINEVALUATOR_H_

#include <memory>
#include <span>
#include <vector>

#include "openmmscore/models/Evaluator.h"
#include "openmmscore/models/Network.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/** The Evaluator of the plain float64 engine: molecule by molecule, nothing clever. */
class PlainEvaluator : public Evaluator {
public:
    PlainEvaluator(const ScoreModel& model, double t, std::span<const int> features, int numMolecules,
                   int numThreads);

    int getNumMolecules() const override { return static_cast<int>(kinds.size()); }
    int getNumCoordinates() const override { return numCoordinates; }
    int getBlockSize() const override { return 1; }
    bool hasEnergy() const override { return conservative; }
    void evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                  double* scores) override;
    bool hasDivergence() const override { return differentiable; }
    void evaluateDivergence(int thread, int first, int count, const double* coordinates, double* scores,
                            double* divergences) override;
    /**
     * Make ready for another time, with what a thread works in left as it is. No other thread may be
     * evaluating meanwhile.
     */
    void setTime(const ScoreModel& model, double t);

private:
    struct ActiveExpert {
        Head head;
        /** Expert weight times outputSign, divided by sigma(t) if the file says so. */
        double factor;
        /** One for each kind of molecule: molecules with equal features share it. */
        std::vector<std::unique_ptr<FixedTimeNetwork>> networks;
    };
    void evaluateMolecule(int kind, const double* z, double* energy, double* score, double* workspace) const;

    /** 3N or d, and 3N-3 or d. */
    int numCoordinates, dimensions;
    /** Of the coordinates, in the score. */
    double positionFactor = 0;
    bool conservative = true, differentiable = true;
    /** Features of each kind of molecule, and which kind each is. */
    std::vector<std::vector<int>> distinct;
    std::vector<int> kinds;
    std::vector<ActiveExpert> experts;
    /** What networks need to work in, and the same for divergences. */
    std::size_t workspaceSize = 0, divergenceWorkspaceSize = 0;
    /** One for each thread: a network's output, then its gradient, then what it works in. */
    std::vector<std::vector<double>> workspaces;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_PLAINEVALUATOR_H_

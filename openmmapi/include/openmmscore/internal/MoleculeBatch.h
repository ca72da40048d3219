#ifndef OPENMMSCORE_INTERNAL_MOLECULEBATCH_H_
#define OPENMMSCORE_INTERNAL_MOLECULEBATCH_H_

#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include <openmm/System.h>
#include <openmm/Vec3.h>

#include "openmmscore/OpenMMScoreExport.h"
#include "openmmscore/internal/MoleculeLinks.h"
#include "openmmscore/models/Evaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

class ScoreForce;

/**
 * The molecules of a ScoreForce on their way from OpenMM's positions to the network and back: made whole,
 * centred, divided by the length scale; energies multiplied by kT, scores by s kT/L. All in double; this is
 * the one place where units change.
 *
 * Work is cut into blocks of whole molecules, which any threads may do in any order:
 *
 *     batch.begin();
 *     for (int block = 0; block < batch.getNumBlocks(); block++)      // or several threads
 *         batch.evaluateBlock(thread, block, request);
 *     double energy = batch.finish(request);
 *
 * A molecule's forces depend on its own positions alone, bit for bit, and energies are added up in the
 * order of molecules. Nothing is allocated after the first step.
 */
class OPENMMSCORE_EXPORT MoleculeBatch {
public:
    enum class Engine {
        /** float64 loops: the definition */
        Plain,
        /** the fastest that this processor and this model allow */
        Fast
    };
    /** What one evaluation reads and writes. */
    struct Request {
        /** nm, of all particles of the System */
        const std::vector<OpenMM::Vec3>& positions;
        /** shape [3]: the box vectors */
        const OpenMM::Vec3* box;
        /** the factor s on forces; energies are returned without it */
        double scale;
        /** kJ/mol/nm, of all particles of the System: added to; null if not wanted */
        std::vector<OpenMM::Vec3>* forces;
        bool includeEnergy;
    };

    /**
     * @param system      tells whether positions may be wrapped: if any of its Forces is periodic
     * @param force       with at least one molecule; not kept
     * @param numThreads  how many threads may evaluate at once
     * @throws OpenMMException  if the model does not accept the diffusion time or the features
     */
    MoleculeBatch(const OpenMM::System& system, const ScoreForce& force, Engine engine, int numThreads);
    ~MoleculeBatch();
    /**
     * Take over the diffusion time and the features of a Force with the same molecules.
     *
     * @throws OpenMMException  if the model does not accept them; everything then stays as it was
     */
    void updateParameters(const ScoreForce& force);
    int getNumMolecules() const { return numMolecules; }
    int getNumBlocks() const { return (numMolecules + blockSize - 1) / blockSize; }
    /** Forget what went wrong in an earlier evaluation. */
    void begin();
    /**
     * Evaluate one block and add its forces. What goes wrong is kept for finish().
     *
     * @param thread  0 <= thread < numThreads; no two calls at once with the same
     */
    void evaluateBlock(int thread, int block, const Request& request) noexcept;
    /**
     * Call once, after all blocks are done.
     *
     * @return kT times the sum of reduced energies in kJ/mol, without the scale; 0 if not asked for
     * @throws OpenMMException  if a position or a result was not finite, naming the first such molecule and
     *                          its particle; what the Context then holds as forces means nothing
     */
    double finish(const Request& request) const;
    /** @return one molecule's share of what finish() returned */
    double getEnergy(int molecule) const { return kT * energies[molecule]; }

private:
    std::unique_ptr<Evaluator> createEvaluator(const ScoreForce& force) const;
    /** Write the network's coordinates of one molecule. @return whether all are finite */
    bool gather(int molecule, const Request& request, double* z) const;
    void makeWhole(const int* particles, const Request& request, double* x) const;
    void centre(double* x) const;
    /** @return whether energy and scores of one molecule are finite, as far as asked for */
    bool isFinite(int molecule, const Request& request) const;
    void addForces(int molecule, const Request& request);
    void recordFailure(int molecule, std::exception_ptr exception);
    [[noreturn]] void explainFailure(const Request& request) const;

    const Engine engine;
    const int numThreads;
    /** The plain engine's evaluators refer to it, and the Force may be gone before the Context. */
    const std::shared_ptr<const ScoreModel> model;
    int numMolecules, numParticles, numCoordinates, blockSize;
    double kT, lengthScale;
    /** Whether only differences of positions matter; and whether positions may be wrapped. */
    bool translational, periodic;
    std::vector<MoleculeLink> links;
    /** Shape [molecules, particles]. */
    std::vector<int> particles;
    std::unique_ptr<Evaluator> evaluator;
    /** Shape [molecules, numCoordinates], the network's units. */
    std::vector<double> coordinates, scores;
    std::vector<double> energies;
    /** The first molecule that failed, numMolecules if none did; changed under the mutex. */
    std::atomic<int> failedMolecule;
    std::exception_ptr failure;
    std::mutex failureMutex;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_MOLECULEBATCH_H_

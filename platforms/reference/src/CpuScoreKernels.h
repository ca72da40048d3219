#ifndef OPENMMSCORE_CPUSCOREKERNELS_H_
#define OPENMMSCORE_CPUSCOREKERNELS_H_

#include <atomic>

#include <openmm/internal/ThreadPool.h>

#include "ReferenceScoreKernels.h"

namespace OpenMMScore {

/**
 * The fast engine on the CPU platform's own threads. Which thread takes which block is left to chance;
 * the results do not depend on it, nor on the number of threads.
 */
class CpuCalcScoreForceKernel : public ReferenceCalcScoreForceKernel {
public:
    /** @param threads  the pool of the Context's platform, which outlives the kernel */
    CpuCalcScoreForceKernel(const std::string& name, const OpenMM::Platform& platform,
                            OpenMM::ThreadPool& threads);
    void initialize(const OpenMM::System& system, const ScoreForce& force) override;

protected:
    void evaluateBlocks(const MoleculeBatch::Request& request) override;

private:
    OpenMM::ThreadPool& threads;
    std::atomic<int> nextBlock;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_CPUSCOREKERNELS_H_

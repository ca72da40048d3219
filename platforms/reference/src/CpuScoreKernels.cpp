#include "CpuScoreKernels.h"

using OpenMM::ThreadPool;

namespace OpenMMScore {

CpuCalcScoreForceKernel::CpuCalcScoreForceKernel(const std::string& name, const OpenMM::Platform& platform,
                                                 ThreadPool& threads)
    : ReferenceCalcScoreForceKernel(name, platform), threads(threads), nextBlock(0) {}

void CpuCalcScoreForceKernel::initialize(const OpenMM::System& system, const ScoreForce& force) {
    ReferenceCalcScoreForceKernel::initialize(system, force, MoleculeBatch::Engine::Fast,
                                              threads.getNumThreads());
}

void CpuCalcScoreForceKernel::evaluateBlocks(const MoleculeBatch::Request& request) {
    // Waking the pool for a single block would only cost time.
    if (getBatch().getNumBlocks() == 1 || threads.getNumThreads() == 1) {
        ReferenceCalcScoreForceKernel::evaluateBlocks(request);
        return;
    }
    nextBlock = 0;
    threads.execute([this, &request](ThreadPool&, int thread) {
        const int numBlocks = getBatch().getNumBlocks();
        for (int block = nextBlock++; block < numBlocks; block = nextBlock++)
            getBatch().evaluateBlock(thread, block, request);
    });
    threads.waitForThreads();
}

} // namespace OpenMMScore

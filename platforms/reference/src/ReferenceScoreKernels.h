#ifndef OPENMMSCORE_REFERENCESCOREKERNELS_H_
#define OPENMMSCORE_REFERENCESCOREKERNELS_H_

#include <memory>
#include <string>

#include "openmmscore/internal/CalcScoreForceKernel.h"
#include "openmmscore/internal/MoleculeBatch.h"

namespace OpenMMScore {

/**
 * The plain float64 engine, molecule after molecule: the contract for the other platforms.
 */
class ReferenceCalcScoreForceKernel : public CalcScoreForceKernel {
public:
    using CalcScoreForceKernel::CalcScoreForceKernel;
    void initialize(const OpenMM::System& system, const ScoreForce& force) override;
    double execute(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy) override;
    double getMoleculeEnergy(int molecule) const override;
    void copyParametersToContext(OpenMM::ContextImpl& context, const ScoreForce& force) override;

protected:
    void initialize(const OpenMM::System& system, const ScoreForce& force, MoleculeBatch::Engine engine,
                    int numThreads);
    virtual void evaluateBlocks(const MoleculeBatch::Request& request);
    MoleculeBatch& getBatch() { return *batch; }

private:
    std::unique_ptr<MoleculeBatch> batch;
    std::string scaleParameter;
    bool scaleDerivative = false;
    double lastScale = 1;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_REFERENCESCOREKERNELS_H_

#ifndef OPENMMSCORE_REFERENCESCORELANGEVINKERNEL_H_
#define OPENMMSCORE_REFERENCESCORELANGEVINKERNEL_H_

#include <openmm/Vec3.h>
#include <openmm/reference/ReferencePlatform.h>

#include "openmmscore/internal/ScoreLangevinKernels.h"
#include "openmmscore/models/LangevinNoise.h"

namespace OpenMMScore {

/** Langevin steps in double precision on the host: for the Reference and the CPU platform. */
class ReferenceIntegrateScoreLangevinStepKernel : public IntegrateScoreLangevinStepKernel {
public:
    ReferenceIntegrateScoreLangevinStepKernel(const std::string& name, const OpenMM::Platform& platform,
                                              OpenMM::ReferencePlatform::PlatformData& data)
        : IntegrateScoreLangevinStepKernel(name, platform), data(data) {}

    void initialize(const OpenMM::System& system, const ScoreLangevinIntegrator& integrator,
                    const std::vector<ScoreForceImpl*>& forces, bool onlyForces) override;
    bool canExecuteLoop() const override { return onlyForces; }
    void execute(OpenMM::ContextImpl& context, const ScoreLangevinIntegrator& integrator) override;
    void executeLoop(OpenMM::ContextImpl& context, const ScoreLangevinIntegrator& integrator,
                     int steps) override;
    double computeKineticEnergy(OpenMM::ContextImpl& context) override;
    void invalidate() override { forcesAreValid = false; }
    const std::vector<std::int64_t>& getAccepted() const override { return accepted; }
    std::int64_t getTried() const override { return tried; }
    void createCheckpoint(std::ostream& stream) const override;
    void loadCheckpoint(std::istream& stream) override;

private:
    /** Forces, and if wanted the energy of each molecule, without the Context's help. */
    void computeForces(OpenMM::ContextImpl& context, bool includeEnergy);
    /** v <- a v + sqrt(kT (1-a^2)/m) xi, and before it v <- v + forceFactor F/m. */
    void thermalize(const ScoreLangevinIntegrator& integrator, double a, double forceFactor,
                    LangevinNoise::Purpose purpose);
    void stepMetropolized(OpenMM::ContextImpl& context, const ScoreLangevinIntegrator& integrator);
    void acceptOrReject();
    double computeMoleculeKineticEnergy(int molecule) const;
    void finishStep(double stepSize);

    OpenMM::ReferencePlatform::PlatformData& data;
    bool onlyForces = false, forcesAreValid = false, contextWasAsked = false;
    int moleculeOffset = 0;
    std::uint64_t seed = 0;
    LangevinNoise noise;
    MoleculeTable table;
    std::vector<ScoreForceImpl*> forces;
    std::vector<double> masses, thermalEnergies;
    /** Of the last accepted state, and of the one that is being tried. */
    std::vector<OpenMM::Vec3> startVelocities, oldPositions, oldVelocities, oldForces;
    std::vector<double> energies, oldEnergies, oldKinetic;
    std::vector<std::int64_t> accepted;
    std::int64_t tried = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_REFERENCESCORELANGEVINKERNEL_H_

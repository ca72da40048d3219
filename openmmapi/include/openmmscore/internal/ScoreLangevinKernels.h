#ifndef OPENMMSCORE_INTERNAL_SCORELANGEVINKERNELS_H_
#define OPENMMSCORE_INTERNAL_SCORELANGEVINKERNELS_H_

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <openmm/KernelImpl.h>
#include <openmm/System.h>
#include <openmm/internal/ContextImpl.h>

#include "openmmscore/OpenMMScoreExport.h"

namespace OpenMMScore {

class ScoreForceImpl;
class ScoreLangevinIntegrator;

/** Which molecule a particle belongs to for ScoreLangevinIntegrator, and its place there. */
struct OPENMMSCORE_EXPORT MoleculeTable {
    struct Place {
        int molecule, index;
    };
    /** Shape [particles of the System]. */
    std::vector<Place> places;
    /** The particles of each molecule, in the order of Place::index. */
    std::vector<std::vector<int>> molecules;

    /**
     * One for each force, and there for each of its molecules: which molecule of this table it lies in, or -1
     * if its particles are spread over several.
     */
    std::vector<std::vector<int>> forceMolecules;

    static MoleculeTable create(const OpenMM::System& system, const std::vector<ScoreForceImpl*>& forces);
};

/** What ScoreLangevinIntegrator asks of a platform. */
class OPENMMSCORE_EXPORT IntegrateScoreLangevinStepKernel : public OpenMM::KernelImpl {
public:
    static std::string Name() { return "IntegrateScoreLangevinStep"; }
    IntegrateScoreLangevinStepKernel(const std::string& name, const OpenMM::Platform& platform)
        : KernelImpl(name, platform) {}

    /**
     * @param forces       the ScoreForces of the Context that take part in the integration
     * @param onlyForces   whether they are all that acts on the System, so that executeLoop() may be used
     */
    virtual void initialize(const OpenMM::System& system, const ScoreLangevinIntegrator& integrator,
                            const std::vector<ScoreForceImpl*>& forces, bool onlyForces) = 0;
    /** @return whether executeLoop() gives what the ordinary path would give */
    virtual bool canExecuteLoop() const = 0;
    /** Take one step with the forces that the Context has just computed. */
    virtual void execute(OpenMM::ContextImpl& context, const ScoreLangevinIntegrator& integrator) = 0;
    /** Take many steps, computing the forces without the Context's help. */
    virtual void executeLoop(OpenMM::ContextImpl& context, const ScoreLangevinIntegrator& integrator,
                             int steps) = 0;
    virtual double computeKineticEnergy(OpenMM::ContextImpl& context) = 0;
    /** Forget forces and energies kept from the last step: positions or parameters have changed. */
    virtual void invalidate() = 0;
    /** Steps accepted by each molecule, and steps tried; see ScoreLangevinIntegrator. */
    virtual const std::vector<std::int64_t>& getAccepted() const = 0;
    virtual std::int64_t getTried() const = 0;
    /** Write and read the seed in use and the numbers of steps accepted and tried. */
    virtual void createCheckpoint(std::ostream& stream) const = 0;
    virtual void loadCheckpoint(std::istream& stream) = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_SCORELANGEVINKERNELS_H_

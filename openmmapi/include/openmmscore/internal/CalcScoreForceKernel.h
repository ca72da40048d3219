#ifndef OPENMMSCORE_INTERNAL_CALCSCOREFORCEKERNEL_H_
#define OPENMMSCORE_INTERNAL_CALCSCOREFORCEKERNEL_H_

#include <string>

#include <openmm/KernelImpl.h>
#include <openmm/Platform.h>
#include <openmm/System.h>
#include <openmm/internal/ContextImpl.h>

#include "openmmscore/OpenMMScoreExport.h"

namespace OpenMMScore {

class ScoreForce;

/**
 * What a platform computes for a ScoreForce. ScoreForceImpl has checked the Force against the System, and
 * asks for an energy only where the model has one.
 */
class OPENMMSCORE_EXPORT CalcScoreForceKernel : public OpenMM::KernelImpl {
public:
    static std::string Name() { return "CalcOpenMMScoreForce"; }
    CalcScoreForceKernel(const std::string& name, const OpenMM::Platform& platform)
        : KernelImpl(name, platform) {}
    /** Prepare for the molecules, the diffusion time and the parameter of the Force; it is not kept. */
    virtual void initialize(const OpenMM::System& system, const ScoreForce& force) = 0;
    /**
     * Add the forces to those of the Context, and dU/ds to its derivatives if the Force asks for it.
     * Called twice with the same positions it does the same twice.
     *
     * @param includeForces  if false, the forces in the Context stay as they are
     * @param includeEnergy  if false, the return value means nothing
     * @return the energy of all molecules in kJ/mol, added up in their order
     * @throws OpenMMException  if a position or a result is not finite, naming molecule and particle
     */
    virtual double execute(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy) = 0;
    /** @return one molecule's share, in kJ/mol, of the energy that execute() returned last */
    virtual double getMoleculeEnergy(int molecule) const = 0;
    /**
     * Take over features and diffusion time; the molecules are those of initialize().
     *
     * @throws OpenMMException  if the model does not accept them; the kernel then keeps what it had
     */
    virtual void copyParametersToContext(OpenMM::ContextImpl& context, const ScoreForce& force) = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_CALCSCOREFORCEKERNEL_H_

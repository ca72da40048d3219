#ifndef OPENMMSCORE_INTERNAL_SCOREFORCEIMPL_H_
#define OPENMMSCORE_INTERNAL_SCOREFORCEIMPL_H_

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <openmm/Kernel.h>
#include <openmm/internal/ForceImpl.h>

#include "openmmscore/ScoreForce.h"

namespace OpenMMScore {

/**
 * A ScoreForce in one Context: checks it against the System, and passes on to the platform's kernel.
 */
class OPENMMSCORE_EXPORT ScoreForceImpl : public OpenMM::ForceImpl {
public:
    explicit ScoreForceImpl(const ScoreForce& owner);
    void initialize(OpenMM::ContextImpl& context) override;
    const ScoreForce& getOwner() const override { return owner; }
    using ForceImpl::updateContextState;
    void updateContextState(OpenMM::ContextImpl&, bool&) override {}
    double calcForcesAndEnergy(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy,
                               int groups) override;
    std::map<std::string, double> getDefaultParameters() override;
    std::vector<std::string> getKernelNames() override;
    /** @return the links of each molecule's moleculeLinks(), so that OpenMM keeps it in one piece */
    std::vector<std::pair<int, int>> getBondedParticles() const override { return bonds; }
    /**
     * Compute without asking for force groups, and without the Context's own preparations: for an integrator
     * that has cleared the forces itself. Arguments and result are those of calcForcesAndEnergy().
     */
    double computeDirectly(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy);
    int getNumMolecules() const;
    /** @return System indices of one molecule's particles, in the model's order */
    std::span<const int> getMoleculeParticles(int molecule) const;
    /** @return the energy of one molecule in kJ/mol at the last computation that included energy */
    double getMoleculeEnergy(int molecule) const;
    /** @return the implementations of all ScoreForces of a Context, in the order of the System's forces */
    static std::vector<ScoreForceImpl*> findAll(OpenMM::ContextImpl& context);
    /** What ScoreForce::updateParametersInContext() promises. */
    void updateParametersInContext(OpenMM::ContextImpl& context);

private:
    void checkParticles(const OpenMM::System& system) const;
    /** @return whether the model has an energy at the owner's t; throws if that is needed and not so */
    bool checkConservative() const;

    const ScoreForce& owner;
    OpenMM::Kernel kernel;
    std::string scaleParameter;
    bool hasEnergy = true;
    /** Shape [molecules, particles], as they were at initialize(). */
    std::vector<int> particles;
    std::vector<std::pair<int, int>> bonds;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_SCOREFORCEIMPL_H_

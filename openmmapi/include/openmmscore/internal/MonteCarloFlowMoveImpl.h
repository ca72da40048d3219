#ifndef OPENMMSCORE_INTERNAL_MONTECARLOFLOWMOVEIMPL_H_
#define OPENMMSCORE_INTERNAL_MONTECARLOFLOWMOVEIMPL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <openmm/Vec3.h>
#include <openmm/internal/ForceImpl.h>

#include "openmmscore/MonteCarloFlowMove.h"
#include "openmmscore/models/LangevinNoise.h"

namespace OpenMMScore {

class ProposalStream;

/**
 * A MonteCarloFlowMove in one Context. It reads and writes the Context's state only, so that it is the same
 * on all platforms.
 */
class OPENMMSCORE_EXPORT MonteCarloFlowMoveImpl : public OpenMM::ForceImpl {
public:
    explicit MonteCarloFlowMoveImpl(const MonteCarloFlowMove& owner);
    ~MonteCarloFlowMoveImpl() override;
    void initialize(OpenMM::ContextImpl& context) override;
    const MonteCarloFlowMove& getOwner() const override { return owner; }
    using ForceImpl::updateContextState;
    void updateContextState(OpenMM::ContextImpl& context, bool& forcesInvalid) override;
    double calcForcesAndEnergy(OpenMM::ContextImpl&, bool, bool, int) override { return 0.0; }
    std::map<std::string, double> getDefaultParameters() override;
    std::vector<std::string> getKernelNames() override { return {}; }
    /** @return links of a molecule's first particle to its others, so that OpenMM wraps it in one piece */
    std::vector<std::pair<int, int>> getBondedParticles() const override;

    int getNumMolecules() const { return static_cast<int>(molecules.size()); }
    /** @param molecule  -1 for all together */
    MonteCarloFlowMove::Statistics getStatistics(int molecule) const;
    const std::string& getLastInvalidReason() const { return lastInvalidReason; }
    void resetStatistics();

    /**
     * The acceptance rule.
     *
     * @param deltaEnergy     (U(x') - U(x))/kT
     * @param logOldDensity   log q(x)
     * @param logNewDensity   log q(x')
     * @return log of the acceptance probability, at most 0; NaN if that is not defined
     */
    static double computeLogAcceptance(double deltaEnergy, double logOldDensity, double logNewDensity);

private:
    struct Molecule {
        std::vector<int> particles;
        std::vector<double> masses;
        double totalMass = 0;
        std::int64_t attempted = 0, accepted = 0, invalid = 0;
        double acceptanceSum = 0;
    };
    /** The Context's state while moves are tried, as of the last accepted one. */
    struct Round {
        OpenMM::ContextImpl& context;
        /** How many rounds fit into the steps made so far: the number of this one. */
        std::int64_t number;
        double kT;
        int groups;
        double energy = 0;
        /** By how much velocities lag behind positions, ps. */
        double velocityLag = 0;
        std::vector<OpenMM::Vec3> positions = {}, velocities = {};
        bool anyAccepted = false;
        /** Whether the Context's positions are others than these. */
        bool contextDiffers = false;
    };

    void checkParticles(const OpenMM::System& system) const;
    bool isDue(OpenMM::ContextImpl& context) const;
    /** Notice if the step count was set back, and have the random numbers of the present epoch at hand. */
    void enterEpoch(OpenMM::ContextImpl& context);
    void begin(Round& round) const;
    void finish(Round& round) const;
    void tryMove(Round& round, int molecule);
    /** @return the positions of all particles with the drawn ones in their places */
    std::vector<OpenMM::Vec3> putDrawn(const Round& round, const Molecule& molecule,
                                       std::span<const double> drawn) const;
    /** @return log q of the molecule where it is */
    double computeOldLogDensity(const Round& round, const Molecule& molecule) const;
    /** @return U in kJ/mol, NaN with a reason if it cannot be computed */
    double computeEnergy(Round& round, const std::vector<OpenMM::Vec3>& positions, std::string& reason) const;
    void drawVelocities(Round& round, int molecule) const;
    void reject(Molecule& molecule, const std::string& reason);

    const MonteCarloFlowMove& owner;
    const std::shared_ptr<const Proposal> proposal;
    const int frequency;
    const bool centred;
    /** Whether velocities are drawn relative to the molecule's centre. */
    bool keepMomentum;
    std::vector<Molecule> molecules;
    std::unique_ptr<ProposalStream> stream;
    LangevinNoise noise;
    /** Of the random numbers: the seed, this Force's index in the System, and the epoch of the streams. */
    int seed, place = 0;
    double epoch = -1;
    /** The step count at which this Force last tried moves. */
    std::int64_t lastStep = -1;
    std::string lastInvalidReason;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_INTERNAL_MONTECARLOFLOWMOVEIMPL_H_

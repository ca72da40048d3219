#ifndef OPENMMSCORE_MONTECARLOFLOWMOVE_H_
#define OPENMMSCORE_MONTECARLOFLOWMOVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <openmm/Context.h>
#include <openmm/Force.h>

#include "openmmscore/OpenMMScoreExport.h"
#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * Monte Carlo moves that replace whole molecules by independent draws from a Proposal, while a simulation
 * runs. It exerts no force; it acts between time steps, as OpenMM's barostats do.
 *
 * Every getFrequency() steps each molecule of this Force in turn, in the order of addMolecule(), is offered a
 * new configuration x' drawn from the proposal's density q, all other particles staying where they are. With
 * U the energy of the whole System (the force groups that the integrator uses) and kT at the temperature of
 * the Context's parameter Temperature(), it is accepted with probability
 *
 *     min(1, exp(-(U(x') - U(x))/kT) q(x)/q(x'))
 *
 * (Hastings, Biometrika 1970, doi:10.1093/biomet/57.1.97). This leaves exp(-U/kT) unchanged exactly, however
 * poor the proposal is; a poor one is merely accepted seldom. q(x) is computed afresh every time. What cannot
 * be proposed (q(x) = 0) is never left by such a move, and a proposed configuration whose energy or density
 * is not a finite number is rejected and counted.
 *
 * Frames of the proposal:
 *
 *     Absolute  x' is what was drawn, in the coordinates of the System as they stand
 *     Centred   the mass-weighted centre R of the molecule stays; shape and orientation are as drawn. Taking
 *               (R, x - centroid) as coordinates instead of (centroid, x - centroid) shifts the centre by an
 *               amount that depends on the shape only, so volume is the same and q needs no further factor
 *
 * An accepted molecule gets new velocities from the Maxwell-Boltzmann distribution at the same temperature;
 * after a rejection everything is as before. In the frame Centred, or if the System has a CMMotionRemover,
 * its total momentum stays and only velocities relative to its centre are drawn. For integrators whose
 * velocities belong to a time half a step before that of the positions (VerletIntegrator,
 * LangevinMiddleIntegrator), these are taken as velocities at the time of the positions, and the others are
 * carried over from the old forces to the new ones.
 *
 * Moves are tried before those steps that make the Context's step count a multiple of the frequency, once in
 * each, even if a CustomIntegrator asks several times. Random numbers are a function of (seed, place of this
 * Force in the System, step count, molecule). So a run that is continued from a checkpoint, or from a State
 * with parameters, makes the moves that it would have made. If the step count is set back otherwise, new
 * random numbers are used: the parameters LastStep() and Epoch() tell. (A CustomIntegrator on the Reference
 * and CPU platforms undoes changes of parameters; do not set back the step count there.)
 *
 * The moved particles must have mass, be no virtual sites and have no constraints; virtual sites that depend
 * on them follow. Positions are taken as OpenMM keeps them, never wrapped: in a periodic System a molecule
 * must be whole at the start, and then stays so. RPMDIntegrator is refused.
 *
 *     auto* move = new MonteCarloFlowMove("flow.safetensors", 300.0, 500);
 *     move->addMolecule({0, 1, 2, 3, 4});
 *     system.addForce(move);
 */
class OPENMMSCORE_EXPORT MonteCarloFlowMove : public OpenMM::Force {
public:
    /** What became of the moves in one Context since it was created, reinitialized or resetStatistics(). */
    struct Statistics {
        std::int64_t attempted = 0;
        std::int64_t accepted = 0;
        /** Of the rejected: those with an energy or density that is not a finite number. */
        std::int64_t invalid = 0;
        /** The mean of the acceptance probability; less noisy than accepted/attempted. 0 if none attempted.
         */
        double expectedAcceptance = 0;
    };

    /**
     * @param proposalFile  path of a proposal's file, read and checked here
     * @param temperature   K, the default of the parameter Temperature()
     * @param frequency     moves are tried every so many steps; 0 switches them off
     * @throws OpenMMException  if the file is missing or damaged, the temperature not positive, or the
     *                          frequency negative
     */
    MonteCarloFlowMove(const std::string& proposalFile, double temperature, int frequency = 100);
    /** The same for a proposal in memory, which may be shared. XML will hold what its encode() returns. */
    MonteCarloFlowMove(std::shared_ptr<const Proposal> proposal, double temperature, int frequency = 100);
    /**
     * Create one from the bytes of a proposal's file. XML will hold them.
     *
     * @param origin  what to call it in messages
     * @param path    where it lies as a file, if it does: XML can then refer to that
     * @return a new object, the caller's
     */
    static MonteCarloFlowMove* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin,
                                         double temperature, int frequency = 100,
                                         const std::string& path = "");

    /** @return "MonteCarloFlowMoveTemperature": the Context parameter that holds the temperature in K */
    static const std::string& Temperature();
    /**
     * @return "MonteCarloFlowMoveLastStep": the Context parameter that holds the step count at which moves
     *         were last tried by any Force of this kind, -1 before. Only they change it
     */
    static const std::string& LastStep();
    /** @return "MonteCarloFlowMoveEpoch": how often the step count was found to have been set back */
    static const std::string& Epoch();

    /** @return the proposal; it lives as long as any MonteCarloFlowMove or Context that uses it */
    const Proposal& getProposal() const { return *proposal; }
    /** @return the proposal, to be shared */
    std::shared_ptr<const Proposal> getSharedProposal() const { return proposal; }
    /** @return the absolute path of the proposal's file; empty for one that came from memory */
    const std::string& getProposalFile() const { return proposalFile; }
    /** @return the bytes of the proposal's file: as they were read, or what encode() makes */
    std::vector<std::uint8_t> getProposalBytes() const;
    /** @return the SHA-256 of getProposalBytes(): 64 lower-case hexadecimal digits */
    std::string getProposalHash() const;
    /** @return whether XML holds the bytes of the proposal's file (default: false for a file, else true) */
    bool getProposalEmbedded() const { return proposalEmbedded; }
    /**
     * Choose what XML holds: the bytes of the proposal's file, or its path and SHA-256. In either case the
     * hash is checked on reading.
     *
     * @throws OpenMMException  if embed is false for a proposal that came from memory
     */
    void setProposalEmbedded(bool embed);

    /** @return how many particles a molecule has */
    int getNumProposalParticles() const { return proposal->getNumParticles(); }
    /** @return how many molecules there are */
    int getNumMolecules() const { return static_cast<int>(molecules.size()); }
    /**
     * Add a molecule: one more set of particles that are moved together. Molecules share the proposal, and
     * each is decided upon by itself, given where the ones before it are by then.
     *
     * @param particles  shape [getNumProposalParticles()]: System index of each of the proposal's particles,
     *                   no repeats, in no other molecule of this Force. Checked against the System when a
     *                   Context is created
     * @return the index of the molecule
     * @throws OpenMMException  if the length is wrong, or an index negative or repeated
     */
    int addMolecule(const std::vector<int>& particles);
    /** @throws OpenMMException  if there is no such molecule */
    const std::vector<int>& getMoleculeParticles(int index) const;
    /** Replace a molecule, for Contexts created from now on; arguments and errors are addMolecule()'s. */
    void setMoleculeParticles(int index, const std::vector<int>& particles);

    /** @return K: the value of Temperature() in a new Context */
    double getDefaultTemperature() const { return defaultTemperature; }
    /**
     * Set the value of Temperature() in a new Context; in an existing one it changes by
     * Context::setParameter(). All Forces of this kind in a System must have the same.
     *
     * @throws OpenMMException  if it is not positive and finite
     */
    void setDefaultTemperature(double temperature);
    /** @return every how many steps moves are tried; 0: never */
    int getFrequency() const { return frequency; }
    /**
     * Set the frequency, for Contexts created from now on.
     *
     * @throws OpenMMException  if it is negative
     */
    void setFrequency(int frequency);
    /** @return the seed; 0 (the default): each Context chooses one */
    int getRandomNumberSeed() const { return randomNumberSeed; }
    /**
     * Set the seed, for Contexts created from now on. A checkpoint of one Context that is loaded into another
     * continues with the same moves only if they have the same seed, and it is not 0.
     */
    void setRandomNumberSeed(int seed) { randomNumberSeed = seed; }

    /**
     * @param molecule  index, or -1 for all together
     * @throws OpenMMException  if there is no such molecule, or this Force is not in the Context's System
     */
    Statistics getStatistics(OpenMM::Context& context, int molecule = -1) const;
    std::int64_t getNumAttempted(OpenMM::Context& context, int molecule = -1) const;
    std::int64_t getNumAccepted(OpenMM::Context& context, int molecule = -1) const;
    std::int64_t getNumInvalid(OpenMM::Context& context, int molecule = -1) const;
    double getExpectedAcceptance(OpenMM::Context& context, int molecule = -1) const;
    /** @return why a move was last found invalid, in words; empty if none was */
    std::string getLastInvalidReason(OpenMM::Context& context) const;
    /** Begin to count anew. */
    void resetStatistics(OpenMM::Context& context);

    /** @return false: there is no energy, and positions are not wrapped */
    bool usesPeriodicBoundaryConditions() const override { return false; }

protected:
    OpenMM::ForceImpl* createImpl() const override;

private:
    MonteCarloFlowMove(std::shared_ptr<const std::vector<std::uint8_t>> bytes, const std::string& origin,
                       const std::string& path, double temperature, int frequency);
    std::vector<int> checkedMolecule(int index, const std::vector<int>& particles) const;

    std::shared_ptr<const Proposal> proposal;
    /** Null if only encode() knows them. */
    std::shared_ptr<const std::vector<std::uint8_t>> proposalBytes;
    std::string proposalFile;
    bool proposalEmbedded = true;
    std::vector<std::vector<int>> molecules;
    double defaultTemperature = 0;
    int frequency = 0;
    int randomNumberSeed = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MONTECARLOFLOWMOVE_H_

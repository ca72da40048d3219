#ifndef OPENMMSCORE_SCORELANGEVININTEGRATOR_H_
#define OPENMMSCORE_SCORELANGEVININTEGRATOR_H_

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <openmm/Integrator.h>
#include <openmm/Kernel.h>

#include "openmmscore/OpenMMScoreExport.h"

namespace OpenMMScore {

class ScoreForceImpl;

/**
 * Langevin dynamics of many molecules, each of which moves as if it were alone.
 *
 * Random numbers are a function of (seed, molecule, step, particle), so the path of a molecule does not
 * depend on how many others run beside it, on threads, or on where a run was interrupted and continued from a
 * checkpoint: bit for bit on one platform. Molecules are those of the System's ScoreForces, counted through
 * in the order of the forces; a particle in none of them counts as a molecule of its own.
 *
 * With a = exp(-friction dt), F the force at x, m the mass and xi standard normal numbers, a step is
 *
 * - LFMiddle: v += dt F/m;  x += dt/2 v;  v = a v + sqrt(kT (1-a^2)/m) xi;  x += dt/2 v
 *   (Zhang et al., J. Phys. Chem. A 2019, doi:10.1021/acs.jpca.9b02771; OpenMM's LangevinMiddleIntegrator);
 * - Legacy: v = a v + (1-a)/friction F/m + sqrt(kT (1-a^2)/m) xi;  x += dt v
 *   (OpenMM's LangevinIntegrator up to version 8.1, used for published runs of such models);
 * - Metropolized: half of the friction and noise, a velocity Verlet step that each molecule accepts with
 *   probability min(1, exp(-(change of its energy)/kT)) or else takes back and reverses its velocity, then
 * the other half. Each molecule then samples exp(-U/kT) exactly, whatever the step size (Lelievre, Rousset
 * and Stoltz, Free Energy Computations, 2010, section 2.2.3). Every force of the System must be a ScoreForce.
 *
 * When nothing but ScoreForces acts on the System, step(n) takes its n steps without the per-step overhead of
 * a Context; in all other Systems it takes the ordinary path. Results are equal.
 *
 * Constraints and barostats are refused. Particles of mass zero do not move.
 *
 *     ScoreLangevinIntegrator integrator(300.0, 1.0, 0.002);
 *     integrator.setRandomNumberSeed(1);
 */
class OPENMMSCORE_EXPORT ScoreLangevinIntegrator : public OpenMM::Integrator {
public:
    enum Scheme { LFMiddle = 0, Legacy = 1, Metropolized = 2 };

    /**
     * @param temperature    K
     * @param frictionCoeff  1/ps
     * @param stepSize       ps
     * @throws OpenMMException  if one of them is negative or not finite
     */
    ScoreLangevinIntegrator(double temperature, double frictionCoeff, double stepSize);
    ~ScoreLangevinIntegrator() override;

    /** @return the temperature of the heat bath in K */
    double getTemperature() const { return temperature; }
    /**
     * Set the temperature of the heat bath.
     *
     * @param temp  K
     * @throws OpenMMException  if it is negative or not finite, or if this integrator has a Context and a
     * model there was trained at another temperature (see setAllowTemperatureMismatch())
     */
    void setTemperature(double temp);
    /** @return the friction coefficient in 1/ps */
    double getFriction() const { return friction; }
    /**
     * @param coeff  1/ps
     * @throws OpenMMException  if it is negative or not finite
     */
    void setFriction(double coeff);
    /** @return the scheme (default: LFMiddle) */
    Scheme getScheme() const { return scheme; }
    /**
     * Set the scheme. It takes effect when a Context is created or reinitialized.
     *
     * @throws OpenMMException  if it is none of the three
     */
    void setScheme(Scheme scheme);
    /** @return the seed as it was set; 0 means that each Context chooses one */
    int getRandomNumberSeed() const { return randomNumberSeed; }
    /**
     * Set the seed of the random numbers. It takes effect when a Context is created or reinitialized.
     *
     * @param seed  0: each Context chooses one, which its checkpoints keep
     */
    void setRandomNumberSeed(int seed) { randomNumberSeed = seed; }
    /** @return the number that the random numbers of the first molecule are drawn for (default: 0) */
    int getMoleculeOffset() const { return moleculeOffset; }
    /**
     * Set the number that the random numbers of the first molecule are drawn for, so that runs which share
     * out molecules among several processes draw what one run of all of them would have drawn.
     *
     * @throws OpenMMException  if it is negative
     */
    void setMoleculeOffset(int offset);
    /** @return the temperature of each molecule's heat bath in K; empty: getTemperature() for all */
    const std::vector<double>& getMoleculeTemperatures() const { return moleculeTemperatures; }
    /**
     * Give each molecule a heat bath of its own. Takes effect when a Context is created or reinitialized.
     *
     * @param temperatures  shape [molecules], K; empty: getTemperature() for all
     * @throws OpenMMException  if one is negative or not finite. A wrong number of them is found when a
     * Context is created
     */
    void setMoleculeTemperatures(const std::vector<double>& temperatures);
    /** @return whether a temperature other than that of a model's training data is allowed (default: no) */
    bool getAllowTemperatureMismatch() const { return allowTemperatureMismatch; }
    /**
     * Allow temperatures other than that of a model's training data. The model's energy is a free energy
     * at that temperature, and simulating it at another one is not what the real molecule would do there.
     */
    void setAllowTemperatureMismatch(bool allow) { allowTemperatureMismatch = allow; }

    /**
     * @return the fraction of Metropolized steps accepted since the Context was created, over all molecules;
     *         1 for the other schemes
     */
    double getAcceptanceRate() const;
    /** @return the same for each molecule, shape [molecules]; empty before a Context is created */
    std::vector<double> getMoleculeAcceptanceRates() const;

    /**
     * Advance the simulation.
     *
     * @param steps  how many steps
     * @throws OpenMMException  if no Context was created, or if an energy, force or position is not finite;
     * the Context then holds the last good step, in front of the one that failed
     */
    void step(int steps) override;

protected:
    void initialize(OpenMM::ContextImpl& context) override;
    void cleanup() override;
    std::vector<std::string> getKernelNames() override;
    double computeKineticEnergy() override;
    bool kineticEnergyRequiresForce() const override { return false; }
    /** Velocities of the leapfrog schemes belong to half a step before the positions' time. */
    double getVelocityTimeOffset() const override {
        return scheme == Metropolized ? 0.0 : 0.5 * getStepSize();
    }
    void stateChanged(OpenMM::State::DataType changed) override;
    void createCheckpoint(std::ostream& stream) const override;
    void loadCheckpoint(std::istream& stream) override;
    void serializeParameters(OpenMM::SerializationNode& node) const override;
    void deserializeParameters(const OpenMM::SerializationNode& node) override;

private:
    double temperature = 0, friction = 0;
    Scheme scheme = LFMiddle;
    int randomNumberSeed = 0, moleculeOffset = 0;
    bool allowTemperatureMismatch = false;
    std::vector<double> moleculeTemperatures;
    OpenMM::Kernel kernel;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SCORELANGEVININTEGRATOR_H_

#ifndef OPENMMSCORE_SCOREFORCE_H_
#define OPENMMSCORE_SCOREFORCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <openmm/Context.h>
#include <openmm/Force.h>

#include "openmmscore/OpenMMScoreExport.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/**
 * A Force whose potential is read off a trained energy-based diffusion model.
 *
 * The model gives a dimensionless energy e(z, t) such that data, noised up to diffusion time t, are
 * distributed as exp(-e(z, t)). At small t the noise is negligible and, up to a constant,
 *
 *     U(x) = s kT e(x/L, t),      F(x) = -dU/dx = s (kT/L) score(x/L, t),
 *
 * with T the temperature of the training data (K) and L the model's length scale (nm), both from the
 * model file, k the gas constant (8.31446261815324e-3 kJ/mol/K) and s a global parameter of the Context,
 * normally 1. The network sees x/L itself, not multiplied by the schedule's mean coefficient m(t).
 * Source: Arts et al., J. Chem. Theory Comput. 2023, doi:10.1021/acs.jctc.3c00702, in the form of the
 * released code; docs/physics.md.
 *
 * The Force acts on any number of molecules, each a set of particles that the model describes. They share
 * the model, are evaluated together and do not interact through it: a hundred replicas are a hundred
 * molecules of one System.
 *
 * Periodic Systems: the model knows no box. Each molecule is made whole before the model sees it, by the
 * minimum image along its bonds (without bonds: from each particle to the next), so it may cross the
 * boundary, and positions that were wrapped particle by particle are understood. Bonds must be shorter than
 * half the box. Inside a CustomCVForce this works only if another Force there is periodic. A model of
 * a plain vector sees the coordinates as they are.
 *
 * This object only describes the interaction. A Context copies it when created; later changes reach
 * that Context through updateParametersInContext() or not at all.
 *
 *     ScoreForce* force = new ScoreForce("alanine.safetensors");
 *     force->addMolecule({0, 1, 2, 3, 4});
 *     system.addForce(force);
 */
class OPENMMSCORE_EXPORT ScoreForce : public OpenMM::Force {
public:
    /**
     * Create a ScoreForce without molecules.
     *
     * @param modelFile  path of a model file (docs/model-format.md), read and checked here
     * @throws OpenMMException  if the file is missing, damaged, or of a newer format version
     */
    explicit ScoreForce(const std::string& modelFile);
    /**
     * Create a ScoreForce for a model that is already loaded and may be shared with other objects.
     *
     * @param modelFile  path of the file that it came from; if empty, XML will hold the model's bytes
     */
    explicit ScoreForce(std::shared_ptr<const ScoreModel> model, const std::string& modelFile = "");
    /**
     * Create a ScoreForce from a model file that is in memory. XML will hold its bytes.
     *
     * @param bytes   the whole file
     * @param origin  what to call it in messages
     * @return a new object, the caller's
     * @throws OpenMMException  if the bytes are no valid model file
     */
    static ScoreForce* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin);

    /** @return the absolute path of the model file; empty for a model that came from memory */
    const std::string& getModelFile() const { return modelFile; }
    /** @return the SHA-256 of the model file as it was read: 64 lower-case hexadecimal digits */
    const std::string& getModelHash() const { return modelHash; }
    /** @return the model; it lives as long as any ScoreForce or Context that uses it */
    const ScoreModel& getModel() const { return *model; }
    /** @return the model, to be shared */
    std::shared_ptr<const ScoreModel> getSharedModel() const { return model; }
    /** @return the temperature of the training data in K */
    double getTemperature() const;
    /** @return nm for one unit of the network's coordinates */
    double getLengthScale() const;
    /**
     * @return how many particles a molecule has: N, or for a model of a plain vector of d numbers
     *         ceil(d/3); such a model acts on the first d coordinates x0, y0, z0, x1, ...
     */
    int getNumModelParticles() const;
    /** @return how many integers the network must be told about each particle; 0 for most models */
    int getNumFeatures() const;

    /** @return how many molecules there are */
    int getNumMolecules() const { return static_cast<int>(molecules.size()); }
    /**
     * Add a molecule: one more set of particles that the model acts on.
     *
     * @param particles  shape [getNumModelParticles()]: System index of each model particle, in the
     *                   model's order, no repeats, in no other molecule of this Force. Checked against
     *                   the System when a Context is created
     * @param features   shape [getNumModelParticles(), getNumFeatures()], row-major: what a transferable
     *                   network is told about each particle; empty for other models
     * @return the index of the molecule
     * @throws OpenMMException  if a length is wrong, an index negative or repeated, or a feature out of range
     */
    int addMolecule(const std::vector<int>& particles, const std::vector<int>& features = {});
    /**
     * @param index           of the molecule
     * @param[out] particles  shape [getNumModelParticles()]
     * @param[out] features   shape [getNumModelParticles(), getNumFeatures()]
     * @throws OpenMMException  if there is no such molecule
     */
    void getMoleculeParameters(int index, std::vector<int>& particles, std::vector<int>& features) const;
    /**
     * Replace a molecule; arguments and errors are those of addMolecule(). A Context takes new features
     * through updateParametersInContext(), but never new particles.
     */
    void setMoleculeParameters(int index, const std::vector<int>& particles,
                               const std::vector<int>& features = {});

    /** @return the diffusion time at which the model is evaluated (default: the model file's) */
    double getDiffusionTime() const { return diffusionTime; }
    /**
     * Set the diffusion time t at which the model is evaluated.
     *
     * @param t  dimensionless, within the interval that the model covers; one of its levels for a
     *           discrete schedule
     * @throws OpenMMException  if it is neither
     */
    void setDiffusionTime(double t);

    /** @return "ScoreForceScale", the name of the scale parameter unless setScaleParameter() is called */
    static const std::string& Scale();
    /** @return the name of the global parameter s that multiplies energy and forces */
    const std::string& getScaleParameter() const { return scaleParameter; }
    /**
     * Set the name of the global parameter s. Forces with equal names share the parameter, and must then
     * have the same default.
     *
     * @throws OpenMMException  if the name is empty
     */
    void setScaleParameter(const std::string& name);
    /** @return the value of s in a new Context (default: 1) */
    double getDefaultScale() const { return defaultScale; }
    /**
     * Set the value of s in a new Context. In an existing one it changes by Context::setParameter().
     *
     * @throws OpenMMException  if it is not finite
     */
    void setDefaultScale(double scale);
    /**
     * Ask for dU/ds, reported by State::getEnergyParameterDerivatives().
     *
     * @param name  getScaleParameter()
     * @throws OpenMMException  if it is another name
     */
    void addEnergyParameterDerivative(const std::string& name);
    /** @return how many derivatives were asked for: 0 or 1 */
    int getNumEnergyParameterDerivatives() const { return scaleDerivative ? 1 : 0; }
    /** @throws OpenMMException  if there is no such derivative */
    const std::string& getEnergyParameterDerivativeName(int index) const;

    /** @return whether forces that are no gradient of an energy are accepted (default: false) */
    bool getNonConservative() const { return nonConservative; }
    /**
     * Accept a network that gives a score but no energy. Its forces are no gradient, so energies drift and
     * what a thermostat samples is not the model's density. Without this, creating a Context with
     * such a network (or with a diffusion time that a score head answers) is an error.
     *
     * With it, forces work, while asking for the energy (State, minimizer, Monte Carlo) throws an
     * OpenMMException. Networks with an energy are not affected.
     */
    void setNonConservative(bool accept) { nonConservative = accept; }
    /** @return whether XML holds the bytes of the model file (default: false) */
    bool getModelEmbedded() const { return modelEmbedded; }
    /**
     * Choose what XML holds: the bytes of the model file, or its path and SHA-256. In either case the
     * hash is checked on reading.
     *
     * @throws OpenMMException  if embed is false for a model that came from memory
     */
    void setModelEmbedded(bool embed);

    /**
     * Copy the features of all molecules, the diffusion time and the acceptance of non-conservative
     * forces to a Context. Everything else stays as it was when that Context was created.
     *
     * @throws OpenMMException  if the number of molecules or their particles have changed, or the model
     *                          has no energy at the new diffusion time and that is not accepted; the
     *                          Context then keeps what it had
     */
    void updateParametersInContext(OpenMM::Context& context);
    /**
     * Compute the energy of each molecule at the present positions of a Context.
     *
     * @return shape [getNumMolecules()], kJ/mol, the scale parameter included
     * @throws OpenMMException  if the model has no energy, or a position or result is not finite
     */
    std::vector<double> getMoleculeEnergies(OpenMM::Context& context) const;
    /** @return false: molecules are made whole, and the model knows no box */
    bool usesPeriodicBoundaryConditions() const override { return false; }

protected:
    OpenMM::ForceImpl* createImpl() const override;

private:
    struct Molecule {
        std::vector<int> particles;
        std::vector<int> features;
    };
    void initializeFromModel();
    Molecule checkedMolecule(int index, const std::vector<int>& particles,
                             const std::vector<int>& features) const;

    std::shared_ptr<const ScoreModel> model;
    std::string modelFile;
    std::string modelHash;
    std::vector<Molecule> molecules;
    double diffusionTime = 0.0;
    std::string scaleParameter;
    double defaultScale = 1.0;
    bool scaleDerivative = false;
    bool nonConservative = false;
    bool modelEmbedded = false;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SCOREFORCE_H_

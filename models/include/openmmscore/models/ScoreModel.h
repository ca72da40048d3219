#ifndef OPENMMSCORE_MODELS_SCOREMODEL_H_
#define OPENMMSCORE_MODELS_SCOREMODEL_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "openmmscore/models/Evaluator.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

class Network;

/**
 * A trained energy-diffusion model: for noised data z_t, e(z, t) with p_t(z) ~ exp(-e(z, t)), and the score
 * -grad e(z, t). Immutable once loaded, so one object serves any number of threads and Contexts.
 *
 *     auto model = ScoreModel::load("alanine.safetensors");
 *     auto evaluator = model->createEvaluator(1e-5, {}, 100, 2);        // t, features, molecules, threads
 *     evaluator->evaluate(0, 0, 100, z.data(), energies.data(), scores.data());
 *
 * Coordinates here are the network's own: z = x / lengthScale, dimensionless. Energies are reduced: U = kT e.
 * A mixture of experts is hard in t: the expert whose closed interval holds t answers; where two intervals
 * meet, both count one half.
 */
class ScoreModel {
public:
    /** @throws ModelFileError  if the file is missing, damaged, of a newer version or at odds with itself */
    static std::shared_ptr<const ScoreModel> load(const std::string& path);
    /** The same for a file in memory. */
    static std::shared_ptr<const ScoreModel> fromBytes(std::vector<std::uint8_t> bytes,
                                                       const std::string& origin);
    ~ScoreModel();

    const ModelDescription& getDescription() const { return description; }
    const ModelFile& getFile() const { return file; }
    const NoiseSchedule& getSchedule() const { return *schedule; }
    /** @return whether every expert that answers at this t has an energy, so that the score is a gradient */
    bool hasEnergy(double t) const;
    /** @return the weight of each expert at this t; t is clamped to the model's interval. They add up to 1.
     */
    std::vector<double> expertWeights(double t) const;
    /**
     * @return the factor between an expert's output and the reduced energy or score: its sign, over sigma(t)
     *         where the file says so. Between the levels of a discrete schedule sigma is interpolated
     * @throws ShapeError  if that is infinite
     */
    double outputFactor(int expert, double t) const;
    /** @return the factor of z that the score has besides: -1/sigma(t)^2 where outputs are clean data, else 0
     */
    double positionFactor(int expert, double t) const;
    /**
     * @param features  shape [numMolecules, count, features]; empty for a model without features
     * @throws ShapeError  if there are too few or too many, or one is out of its range
     */
    void checkFeatures(std::span<const int> features, int numMolecules) const;
    /** @return tensors of one expert, in the order of expertTensors(), for engines that fold them */
    const std::vector<std::vector<double>>& getExpertTensors(int expert) const;
    /** @return the plain network of one expert */
    const Network& getNetwork(int expert) const { return *networks[expert]; }

    /**
     * Prepare the evaluation of a fixed set of molecules at a fixed diffusion time with the plain engine
     * (float64, the definition of what every other engine computes).
     *
     * @param t             diffusion time; times outside the model's interval count as its nearest end
     * @param features      shape [numMolecules, count, features]; empty for a model without features
     * @param numMolecules  how many molecules there are
     * @param numThreads    how many threads may evaluate at once, each with its own index
     * @throws ShapeError  if features do not fit, or a scaling by 1/sigma(t) is infinite
     */
    std::unique_ptr<Evaluator> createEvaluator(double t, std::span<const int> features, int numMolecules,
                                               int numThreads = 1) const;
    /**
     * Evaluate a batch once, where each sample may have its own time and features. For repeated
     * evaluation at one time createEvaluator() is cheaper.
     *
     * @param z         shape [batch, getNumCoordinates()]
     * @param t         shape [1] or [batch]
     * @param features  shape [batch, count, features]; empty for a model without features
     * @param energies  shape [batch]: reduced energies e; or null
     * @param scores    shape [batch, getNumCoordinates()]: -grad e, or the score head's answer; or null
     * @throws ShapeError  if a shape does not fit, or energies are asked for where there are none
     */
    void evaluate(int batch, std::span<const double> z, std::span<const double> t,
                  std::span<const int> features, double* energies, double* scores) const;

private:
    explicit ScoreModel(ModelFile file);
    double clampTime(double t) const;

    ModelFile file;
    ModelDescription description;
    std::unique_ptr<NoiseSchedule> schedule;
    std::vector<std::vector<std::vector<double>>> tensors;
    std::vector<std::unique_ptr<Network>> networks;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_SCOREMODEL_H_

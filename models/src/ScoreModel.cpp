#include "openmmscore/models/ScoreModel.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "PlainEvaluator.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/Network.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

std::shared_ptr<const ScoreModel> ScoreModel::load(const std::string& path) {
    return std::shared_ptr<const ScoreModel>(new ScoreModel(ModelFile::read(path)));
}

std::shared_ptr<const ScoreModel> ScoreModel::fromBytes(std::vector<std::uint8_t> bytes,
                                                        const std::string& origin) {
    return std::shared_ptr<const ScoreModel>(new ScoreModel(ModelFile::fromBytes(std::move(bytes), origin)));
}

ScoreModel::ScoreModel(ModelFile modelFile)
    : file(std::move(modelFile)),
      description(ModelDescription::fromJson(file.getDocument(), file.getOrigin())) {
    checkTensors(description, file);
    schedule = description.schedule.create();
    for (int k = 0; k < static_cast<int>(description.experts.size()); k++) {
        std::vector<std::vector<double>> own;
        for (const TensorShape& tensor : expertTensors(description, k))
            own.push_back(file.readTensor(tensor.name, tensor.shape));
        tensors.push_back(std::move(own));
        networks.push_back(Network::create(description, k, tensors.back()));
    }
}

ScoreModel::~ScoreModel() = default;

const std::vector<std::vector<double>>& ScoreModel::getExpertTensors(int expert) const {
    return tensors[expert];
}

double ScoreModel::clampTime(double t) const {
    if (std::isnan(t))
        throw ShapeError(file.getOrigin() + ": the diffusion time is not a number");
    return std::clamp(t, description.getLowerTime(), description.getUpperTime());
}

std::vector<double> ScoreModel::expertWeights(double t) const {
    t = clampTime(t);
    std::vector<double> weights;
    for (const ExpertDescription& expert : description.experts)
        weights.push_back(t >= expert.lowerTime && t <= expert.upperTime ? 1.0 : 0.0);
    double sum = 0;
    for (double w : weights)
        sum += w;
    for (double& w : weights)
        w /= sum;
    return weights;
}

bool ScoreModel::hasEnergy(double t) const {
    const std::vector<double> weights = expertWeights(t);
    for (std::size_t k = 0; k < weights.size(); k++)
        if (weights[k] > 0 && description.experts[k].head != Head::Energy)
            return false;
    return true;
}

double ScoreModel::outputFactor(int expert, double t) const {
    const ExpertDescription& e = description.experts[expert];
    if (e.scaling == Scaling::None)
        return e.outputSign;
    double sigma = schedule->noiseLevel(clampTime(t));
    if (!(sigma > 0))
        throw ShapeError(file.getOrigin() + ": experts[" + std::to_string(expert) +
                         "] is scaled by 1/sigma(t), which is infinite at diffusion time " +
                         std::to_string(t));
    if (e.scaling == Scaling::InverseSigma)
        return e.outputSign / sigma;
    return e.outputSign * std::exp(-0.5 * schedule->logDecay(clampTime(t))) / (sigma * sigma);
}

double ScoreModel::positionFactor(int expert, double t) const {
    if (description.experts[expert].scaling != Scaling::CleanData)
        return 0;
    return 1 / std::expm1(-schedule->logDecay(clampTime(t)));
}

void ScoreModel::checkFeatures(std::span<const int> features, int numMolecules) const {
    const std::size_t numKinds = description.features.size();
    const std::size_t expected = static_cast<std::size_t>(numMolecules) * description.count * numKinds;
    if (features.size() != expected)
        throw ShapeError(file.getOrigin() + ": the model takes " + std::to_string(numKinds) +
                         " features for each of " + std::to_string(description.count) + " particles, i.e. " +
                         std::to_string(expected) + " integers for " + std::to_string(numMolecules) +
                         " molecules, but " + std::to_string(features.size()) + " were given");
    for (std::size_t i = 0; i < features.size(); i++) {
        const FeatureDescription& feature = description.features[i % numKinds];
        if (features[i] >= 0 && features[i] < feature.numValues)
            continue;
        std::size_t particle = i / numKinds;
        throw ShapeError(file.getOrigin() + ": feature \"" + feature.name + "\" of particle " +
                         std::to_string(particle % description.count) + " of molecule " +
                         std::to_string(particle / description.count) + " is " + std::to_string(features[i]) +
                         ", outside 0 ... " + std::to_string(feature.numValues - 1));
    }
}

std::unique_ptr<Evaluator> ScoreModel::createEvaluator(double t, std::span<const int> features,
                                                       int numMolecules, int numThreads) const {
    checkFeatures(features, numMolecules);
    return std::make_unique<PlainEvaluator>(*this, t, features, numMolecules, numThreads);
}

void ScoreModel::evaluate(int batch, std::span<const double> z, std::span<const double> t,
                          std::span<const int> features, double* energies, double* scores) const {
    const int width = description.getNumCoordinates();
    if (z.size() != static_cast<std::size_t>(batch) * width)
        throw ShapeError(file.getOrigin() + ": a batch of " + std::to_string(batch) + " needs " +
                         std::to_string(width) + " coordinates each, but " + std::to_string(z.size()) +
                         " were given in all");
    if (t.size() != 1 && t.size() != static_cast<std::size_t>(batch))
        throw ShapeError(file.getOrigin() + ": there are " + std::to_string(t.size()) +
                         " diffusion times for a batch of " + std::to_string(batch) +
                         "; give one for all or one each");
    checkFeatures(features, batch);

    // Samples at the same time share one evaluator.
    std::map<double, std::vector<int>> samplesAt;
    for (int b = 0; b < batch; b++)
        samplesAt[t[t.size() == 1 ? 0 : b]].push_back(b);
    const std::size_t perMolecule = batch == 0 ? 0 : features.size() / batch;
    for (const auto& [time, samples] : samplesAt) {
        if (energies != nullptr && !hasEnergy(time))
            throw ShapeError(file.getOrigin() + ": the model has no energy at diffusion time " +
                             std::to_string(time) + ", only a score");
        std::vector<int> own;
        for (int b : samples)
            own.insert(own.end(), features.begin() + b * perMolecule,
                       features.begin() + (b + 1) * perMolecule);
        PlainEvaluator evaluator(*this, time, own, static_cast<int>(samples.size()), 1);
        for (std::size_t i = 0; i < samples.size(); i++) {
            int b = samples[i];
            evaluator.evaluate(0, static_cast<int>(i), 1, &z[static_cast<std::size_t>(b) * width],
                               energies == nullptr ? nullptr : energies + b,
                               scores == nullptr ? nullptr : scores + static_cast<std::size_t>(b) * width);
        }
    }
}

} // namespace OpenMMScore

#include "FusedEvaluator.h"

#include <algorithm>
#include <map>

#include "FusedGraphTransformer.h"
#include "FusedMlp.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** Which of the distinct sets of features each molecule has: those with the same share what is folded. */
struct Kinds {
    std::vector<std::vector<int>> distinct;
    std::vector<int> ofMolecule;

    Kinds(std::span<const int> features, int numMolecules) {
        const std::size_t perMolecule = numMolecules == 0 ? 0 : features.size() / numMolecules;
        std::map<std::vector<int>, int> known;
        for (int m = 0; m < numMolecules; m++) {
            const auto own = features.subspan(m * perMolecule, perMolecule);
            auto [entry, added] =
                known.try_emplace({own.begin(), own.end()}, static_cast<int>(distinct.size()));
            if (added)
                distinct.push_back(entry->first);
            ofMolecule.push_back(entry->second);
        }
    }
};

std::unique_ptr<FusedNetwork> createNetwork(const ScoreModel& model, int expert, double t,
                                            const std::vector<std::vector<int>>& kinds) {
    const ModelDescription& description = model.getDescription();
    const auto& tensors = model.getExpertTensors(expert);
    if (description.experts[expert].architecture == ExpertDescription::Architecture::Mlp)
        return std::make_unique<FusedMlp>(description, expert, t, tensors);
    return std::make_unique<FusedGraphTransformer>(description, expert, t, tensors, kinds);
}

} // namespace

FusedEvaluator::FusedEvaluator(const ScoreModel& model, double t, std::span<const int> features,
                               int numMolecules, int numThreads)
    : numCoordinates(model.getDescription().getNumCoordinates()), conservative(model.hasEnergy(t)) {
    model.checkFeatures(features, numMolecules);
    Kinds found(features, numMolecules);
    kinds = std::move(found.ofMolecule);
    const std::vector<double> weights = model.expertWeights(t);
    blockSize = std::max(1, numMolecules);
    for (int k = 0; k < static_cast<int>(weights.size()); k++) {
        if (weights[k] == 0)
            continue;
        networks.push_back(
            {k, weights[k] * model.outputFactor(k, t), createNetwork(model, k, t, found.distinct)});
        blockSize = std::min(blockSize, networks.back().network->getBlockSize());
        positionFactor += weights[k] * model.positionFactor(k, t);
    }
    divergenceBlockSize = blockSize;
    for (const Active& active : networks)
        divergenceBlockSize = std::min(divergenceBlockSize, active.network->getDivergenceBlockSize());
    for (int i = 0; i < std::max(1, numThreads); i++) {
        Thread thread;
        thread.energies.resize(blockSize);
        thread.gradients.resize(networks.size() > 1 ? std::size_t(blockSize) * numCoordinates : 0);
        for (const Active& active : networks)
            thread.workspaces.push_back(active.network->createWorkspace(blockSize));
        threads.push_back(std::move(thread));
    }
}

void FusedEvaluator::evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                              double* scores) {
    if (energies != nullptr && !conservative)
        throw ShapeError("the model has no energy at this diffusion time, only a score");
    for (int blocks = (count + blockSize - 1) / blockSize; blocks > 0; blocks--) {
        const int size = (count + blocks - 1) / blocks;
        evaluateBlock(threads[thread], first, size, coordinates, energies, scores);
        first += size;
        count -= size;
        coordinates += size * numCoordinates;
        if (energies != nullptr)
            energies += size;
        if (scores != nullptr)
            scores += size * numCoordinates;
    }
}

void FusedEvaluator::evaluateBlock(Thread& own, int first, int count, const double* coordinates,
                                   double* energies, double* scores) const {
    for (std::size_t k = 0; k < networks.size(); k++) {
        const Active& active = networks[k];
        // The first network writes where the results belong, a second one's are added to them.
        double* gradients = scores == nullptr || k == 0 ? scores : own.gradients.data();
        active.network->evaluate(*own.workspaces[k], count, &kinds[first], coordinates, own.energies.data(),
                                 gradients);
        if (energies != nullptr)
            for (int m = 0; m < count; m++)
                energies[m] = (k == 0 ? 0.0 : energies[m]) + active.factor * own.energies[m];
        const double factor = active.network->hasEnergy() ? -active.factor : active.factor;
        if (scores != nullptr)
            for (int i = 0; i < count * numCoordinates; i++)
                scores[i] = k == 0 ? factor * gradients[i] : scores[i] + factor * gradients[i];
    }
    if (scores != nullptr)
        addPositions(count, coordinates, scores);
}

void FusedEvaluator::addPositions(int count, const double* coordinates, double* scores) const {
    for (int i = 0; i < count * numCoordinates && positionFactor != 0; i++)
        scores[i] += positionFactor * coordinates[i];
}

void FusedEvaluator::evaluateDivergence(int thread, int first, int count, const double* coordinates,
                                        double* scores, double* divergences) {
    if (!hasDivergence())
        return Evaluator::evaluateDivergence(thread, first, count, coordinates, scores, divergences);
    Thread& own = threads[thread];
    if (own.divergenceWorkspaces.empty()) {
        for (const Active& active : networks)
            own.divergenceWorkspaces.push_back(
                active.network->createDivergenceWorkspace(divergenceBlockSize));
        own.divergences.resize(divergenceBlockSize);
    }
    for (int begin = 0; begin < count; begin += divergenceBlockSize) {
        const int size = std::min(divergenceBlockSize, count - begin);
        double *blockScores = scores + begin * numCoordinates, *blockDivergences = divergences + begin;
        for (std::size_t k = 0; k < networks.size(); k++) {
            const FusedNetwork& network = *networks[k].network;
            double* gradients = k == 0 ? blockScores : own.gradients.data();
            network.evaluateDivergence(*own.divergenceWorkspaces[k], size,
                                       coordinates + begin * numCoordinates, gradients,
                                       own.divergences.data());
            const double factor = network.hasEnergy() ? -networks[k].factor : networks[k].factor;
            for (int i = 0; i < size * numCoordinates; i++)
                blockScores[i] = factor * gradients[i] + (k == 0 ? 0.0 : blockScores[i]);
            for (int m = 0; m < size; m++)
                blockDivergences[m] = factor * own.divergences[m] + (k == 0 ? 0.0 : blockDivergences[m]);
        }
        addPositions(size, coordinates + begin * numCoordinates, blockScores);
        for (int m = 0; m < size; m++)
            blockDivergences[m] += positionFactor * numCoordinates;
    }
}

bool FusedEvaluator::setTime(const ScoreModel& model, double t) {
    const std::vector<double> weights = model.expertWeights(t);
    if (weights.size() - std::count(weights.begin(), weights.end(), 0.0) != networks.size())
        return false;
    for (const Active& active : networks)
        if (weights[active.expert] == 0)
            return false;
    std::vector<double> factors;
    for (const Active& active : networks)
        factors.push_back(weights[active.expert] * model.outputFactor(active.expert, t));
    positionFactor = 0;
    for (std::size_t k = 0; k < networks.size(); k++) {
        positionFactor += weights[networks[k].expert] * model.positionFactor(networks[k].expert, t);
        networks[k].factor = factors[k];
        networks[k].network->setTime(t);
    }
    return true;
}

double FusedEvaluator::getOperationsPerMolecule() const {
    double sum = 0;
    for (const Active& active : networks)
        sum += active.network->getOperationsPerMolecule();
    return sum;
}

std::size_t FusedEvaluator::getNumWeightBytes() const {
    std::size_t sum = 0;
    for (const Active& active : networks)
        sum += active.network->getNumBytes();
    return sum;
}

std::size_t FusedEvaluator::getNumThreadBytes() const {
    std::size_t sum = 0;
    for (const auto& workspace : threads[0].workspaces)
        sum += workspace->getNumBytes();
    return sum;
}

std::unique_ptr<FastEvaluator> createFastEvaluator(const ScoreModel& model, double t,
                                                   std::span<const int> features, int numMolecules,
                                                   int numThreads) {
    return std::make_unique<FusedEvaluator>(model, t, features, numMolecules, numThreads);
}

} // namespace OpenMMScore

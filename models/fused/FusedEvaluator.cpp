#include "FusedEvaluator.h"

#include <algorithm>
#include <map>
#include <span>

#include "FusedGraphTransformer.h"
#include "FusedMlp.h"

namespace OpenMMScore {

FusedEvaluator::FusedEvaluator(std::unique_ptr<FusedNetwork> ownNetwork, std::vector<int> ownKinds,
                               int numCoordinates, double factor, int numThreads)
    : network(std::move(ownNetwork)), kinds(std::move(ownKinds)), numCoordinates(numCoordinates),
      factor(factor) {
    blockSize = std::clamp(getNumMolecules(), 1, network->getBlockSize());
    for (int i = 0; i < std::max(1, numThreads); i++)
        threads.push_back({network->createWorkspace(blockSize), std::vector<double>(blockSize)});
}

void FusedEvaluator::evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                              double* scores) {
    Thread& own = threads[thread];
    for (int blocks = (count + blockSize - 1) / blockSize; blocks > 0; blocks--) {
        const int size = (count + blocks - 1) / blocks;
        network->evaluate(*own.workspace, size, &kinds[first], coordinates, own.energies.data(), scores);
        if (energies != nullptr)
            for (int m = 0; m < size; m++)
                *energies++ = factor * own.energies[m];
        if (scores != nullptr)
            for (int i = 0; i < size * numCoordinates; i++, scores++)
                *scores *= -factor;
        first += size;
        count -= size;
        coordinates += size * numCoordinates;
    }
}

namespace {

/** @return the expert that answers alone at t and has an energy, or -1 */
int soleExpert(const ScoreModel& model, double t) {
    const std::vector<double> weights = model.expertWeights(t);
    const auto found = std::find(weights.begin(), weights.end(), 1.0);
    return found != weights.end() && model.hasEnergy(t) ? static_cast<int>(found - weights.begin()) : -1;
}

} // namespace

std::unique_ptr<Evaluator> createFastEvaluator(const ScoreModel& model, double t,
                                               std::span<const int> features, int numMolecules,
                                               int numThreads) {
    const int expert = soleExpert(model, t);
    if (expert < 0)
        return model.createEvaluator(t, features, numMolecules, numThreads);
    const ModelDescription& description = model.getDescription();
    model.checkFeatures(features, numMolecules);
    // Molecules with the same features share what is folded for the first layer.
    const std::size_t perMolecule = numMolecules == 0 ? 0 : features.size() / numMolecules;
    std::map<std::vector<int>, int> known;
    std::vector<std::vector<int>> distinct;
    std::vector<int> kinds;
    for (int m = 0; m < numMolecules; m++) {
        const auto own = features.subspan(m * perMolecule, perMolecule);
        auto [entry, added] = known.try_emplace({own.begin(), own.end()}, static_cast<int>(distinct.size()));
        if (added)
            distinct.push_back(entry->first);
        kinds.push_back(entry->second);
    }

    const auto& tensors = model.getExpertTensors(expert);
    std::unique_ptr<FusedNetwork> network;
    if (description.experts[expert].architecture == ExpertDescription::Architecture::Mlp)
        network = std::make_unique<FusedMlp>(description, expert, t, tensors);
    else
        network = std::make_unique<FusedGraphTransformer>(description, expert, t, tensors, distinct);
    return std::make_unique<FusedEvaluator>(std::move(network), std::move(kinds),
                                            description.getNumCoordinates(), model.outputFactor(expert, t),
                                            numThreads);
}

} // namespace OpenMMScore

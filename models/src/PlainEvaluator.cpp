#include "PlainEvaluator.h"

#include <algorithm>
#include <map>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

PlainEvaluator::PlainEvaluator(const ScoreModel& model, double t, std::span<const int> features,
                               int numMolecules, int numThreads)
    : numCoordinates(model.getDescription().getNumCoordinates()), dimensions(numCoordinates),
      kinds(numMolecules, 0), workspaces(numThreads) {
    if (model.getDescription().space == ModelDescription::Space::Particles)
        dimensions -= 3;
    // Molecules with the same features share one folded network.
    const std::size_t perMolecule = numMolecules == 0 ? 0 : features.size() / numMolecules;
    std::map<std::vector<int>, int> known;
    for (int m = 0; m < numMolecules; m++) {
        auto own = features.subspan(m * perMolecule, perMolecule);
        auto [entry, added] = known.try_emplace({own.begin(), own.end()}, static_cast<int>(distinct.size()));
        if (added)
            distinct.push_back(entry->first);
        kinds[m] = entry->second;
    }
    setTime(model, t);
}

void PlainEvaluator::setTime(const ScoreModel& model, double t) {
    experts.clear();
    positionFactor = 0;
    conservative = model.hasEnergy(t);
    differentiable = true;
    const std::vector<double> weights = model.expertWeights(t);
    for (std::size_t k = 0; k < weights.size(); k++) {
        if (weights[k] == 0)
            continue;
        ActiveExpert expert;
        expert.head = model.getDescription().experts[k].head;
        expert.factor = weights[k] * model.outputFactor(static_cast<int>(k), t);
        for (const std::vector<int>& own : distinct) {
            expert.networks.push_back(model.getNetwork(static_cast<int>(k)).atTime(t, own));
            const FixedTimeNetwork& network = *expert.networks.back();
            const std::size_t forDivergence = network.getDivergenceWorkspaceSize();
            differentiable = differentiable && forDivergence > 0;
            workspaceSize = std::max(workspaceSize, network.getWorkspaceSize());
            divergenceWorkspaceSize = std::max(divergenceWorkspaceSize, forDivergence);
        }
        experts.push_back(std::move(expert));
        positionFactor += weights[k] * model.positionFactor(static_cast<int>(k), t);
    }
    for (std::vector<double>& workspace : workspaces)
        if (workspace.size() < 2 * numCoordinates + workspaceSize)
            workspace.resize(2 * numCoordinates + workspaceSize);
}

void PlainEvaluator::evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                              double* scores) {
    if (energies != nullptr && !conservative)
        throw ShapeError("the model has no energy at this diffusion time, only a score");
    for (int m = 0; m < count; m++)
        evaluateMolecule(
            kinds[first + m], coordinates + m * numCoordinates, energies == nullptr ? nullptr : energies + m,
            scores == nullptr ? nullptr : scores + m * numCoordinates, workspaces[thread].data());
}

void PlainEvaluator::evaluateMolecule(int kind, const double* z, double* energy, double* score,
                                      double* workspace) const {
    double *output = workspace, *gradient = output + numCoordinates, *rest = gradient + numCoordinates;
    if (energy != nullptr)
        *energy = 0;
    if (score != nullptr)
        std::fill_n(score, numCoordinates, 0.0);
    for (const ActiveExpert& expert : experts) {
        expert.networks[kind]->evaluate(z, output, score == nullptr ? nullptr : gradient, rest);
        if (expert.head == Head::Energy && energy != nullptr)
            *energy += expert.factor * output[0];
        if (score == nullptr)
            continue;
        for (int i = 0; i < numCoordinates; i++)
            score[i] += expert.factor * (expert.head == Head::Energy ? -gradient[i] : output[i]);
    }
    for (int i = 0; i < numCoordinates && score != nullptr; i++)
        score[i] += positionFactor * z[i];
}

void PlainEvaluator::evaluateDivergence(int thread, int first, int count, const double* coordinates,
                                        double* scores, double* divergences) {
    if (!differentiable)
        return Evaluator::evaluateDivergence(thread, first, count, coordinates, scores, divergences);
    // Divergences of graph transformers need many times as much as their scores, and few ask for them.
    if (workspaces[thread].size() < 2 * numCoordinates + divergenceWorkspaceSize)
        workspaces[thread].resize(2 * numCoordinates + divergenceWorkspaceSize);
    double *output = workspaces[thread].data(), *gradient = output + numCoordinates;
    double* rest = gradient + numCoordinates;
    for (int i = 0; i < count * numCoordinates; i++)
        scores[i] = positionFactor * coordinates[i];
    std::fill_n(divergences, count, positionFactor * dimensions);
    for (int m = 0; m < count; m++, coordinates += numCoordinates, scores += numCoordinates)
        for (const ActiveExpert& expert : experts) {
            double divergence;
            expert.networks[kinds[first + m]]->evaluateDivergence(coordinates, output, gradient, &divergence,
                                                                  rest);
            const bool energy = expert.head == Head::Energy;
            const double factor = energy ? -expert.factor : expert.factor;
            for (int i = 0; i < numCoordinates; i++)
                scores[i] += factor * (energy ? gradient : output)[i];
            divergences[m] += factor * divergence;
        }
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_TESTS_FUSEDMODELS_H_
#define OPENMMSCORE_TESTS_FUSEDMODELS_H_

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "InstructionSets.h"
// After the choice of targets.
#include <hwy/highway.h>

#include "../TestModels.h"
#include "openmmscore/models/FastEvaluator.h"

namespace OpenMMScore::testing {

/** Calls f(name) with dispatch restricted to each instruction set that this processor has, one by one. */
template <class Function>
void forEachInstructionSet(Function f) {
    const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
    for (int64_t target : targets) {
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        f(std::string(hwy::TargetName(target)));
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

/** Smooth coordinates without symmetry; molecules differ. */
inline std::vector<double> waves(int molecules, int coordinates) {
    std::vector<double> z(static_cast<std::size_t>(molecules) * coordinates);
    for (std::size_t k = 0; k < z.size(); k++)
        z[k] = std::sin(1.3 * static_cast<double>(k)) + 0.4 * std::cos(2.1 * static_cast<double>(k));
    return z;
}

struct Results {
    std::vector<double> energies, scores;
};

inline Results evaluateAll(Evaluator& evaluator, const std::vector<double>& z) {
    const int count = evaluator.getNumMolecules();
    Results results{std::vector<double>(count), std::vector<double>(z.size())};
    evaluator.evaluate(0, 0, count, z.data(), evaluator.hasEnergy() ? results.energies.data() : nullptr,
                       results.scores.data());
    return results;
}

inline double largest(const std::vector<double>& values) {
    double result = 0;
    for (double x : values)
        result = std::max(result, std::abs(x));
    return result;
}

/** Sizes of one transformer under test. */
struct TransformerCase {
    int beads, hidden, layers, batch, heads = 8, headSize = 64, feedForward = 0;
    Gelu gelu = Gelu::Tanh;
    Head head = Head::Energy;
};

inline ExpertDescription expertOf(const TransformerCase& c) {
    ExpertDescription expert = transformerExpert(c.hidden, c.layers, 0, 1, c.head);
    GraphTransformerDescription& sizes = expert.graphTransformer;
    sizes.heads = c.heads;
    sizes.headSize = c.headSize;
    sizes.gelu = c.gelu;
    if (c.feedForward > 0)
        sizes.feedForward = c.feedForward;
    return expert;
}

inline std::shared_ptr<const ScoreModel> modelOf(const TransformerCase& c) {
    return makeModel(describe(ModelDescription::Space::Particles, c.beads, {expertOf(c)}));
}

/**
 * How far float32 may be from float64, relative to the scale of the result: the longest chain of dependent
 * roundings has about n = layers (4 hidden + 2 heads headSize + 2 feedForward + beads) links, independent
 * errors grow with sqrt(n), and LayerNorm, softmax and gates may magnify them by a factor for which 8 is
 * generous (it is below 2 in all cases here).
 */
inline double relativeTolerance(const TransformerCase& c) {
    const GraphTransformerDescription sizes = expertOf(c).graphTransformer;
    const double n =
        c.layers * (4.0 * c.hidden + 2.0 * c.heads * c.headSize + 2.0 * sizes.feedForward + c.beads);
    return 8 * std::sqrt(n) * std::ldexp(1.0, -24);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_FUSEDMODELS_H_

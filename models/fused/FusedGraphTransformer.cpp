// This file is compiled once for each instruction set; what is outside HWY_ONCE knows only its own.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "FusedGraphTransformer.cpp"
#include "InstructionSets.h"
// After the choice of targets.
#include "hwy/foreach_target.h"

#include "FusedGraphTransformer.h"
#include "transformer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

void evaluateTransformer(const FoldedTransformer& network, TransformerWorkspace& workspace, int count,
                         const int* kinds, const double* z, double* energies, double* gradients) {
    TransformerPass pass(network, workspace, count, kinds);
    pass.setPositions(z);
    pass.forward();
    if (network.hasEnergy)
        pass.readEnergies(energies);
    if (gradients == nullptr)
        return;
    if (network.hasEnergy)
        pass.backward(gradients);
    else
        pass.readScores(gradients);
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace OpenMMScore {

HWY_EXPORT(evaluateTransformer);

FusedGraphTransformer::FusedGraphTransformer(const ModelDescription& model, int expert, double t,
                                             const std::vector<std::vector<double>>& tensors,
                                             const std::vector<std::vector<int>>& kinds)
    : network(model, expert, t, tensors, kinds) {}

int FusedGraphTransformer::getBlockSize() const {
    // About 56 rows: four full tiles of AVX-512 to each pass over the weights. Speed is flat within 3 % from
    // 42 to 140 rows on a machine with 2 MiB of second-level cache, and a smaller block suits smaller caches.
    return std::max(1, 56 / network.numBeads);
}

std::unique_ptr<FusedWorkspace> FusedGraphTransformer::createWorkspace(int numMolecules) const {
    return std::make_unique<TransformerWorkspace>(network, numMolecules);
}

double FusedGraphTransformer::getOperationsPerMolecule() const {
    const double n = network.numBeads, hidden = network.hidden, heads = network.heads;
    const double layers = static_cast<double>(network.layers.size());
    const double block = heads * network.width;
    const double project = hidden * ((network.merged ? 1 : 3) * block + 3 * heads);
    const double output = hidden * (block + 3 * heads + 3);
    // Per particle; backward, dense products count once more, products of pairs twice more.
    const double first = 2 * hidden * (n * heads + 3 * heads + 3) + 3 * (6 * n * heads);
    const double later = 2 * (project + output) + 3 * (2 * n * heads * (network.width + 3));
    const double feedForward = 2 * hidden * network.feedForward * (2 * layers - 1);
    if (!network.hasEnergy) {
        const double pairs = 2 * n * heads * (network.width + 3);
        return 2 * n *
               (hidden * (n * heads + 3 * heads + 3) + 6 * n * heads +
                (layers - 1) * (project + output + pairs) + 2 * hidden * network.feedForward * layers +
                3 * n * hidden);
    }
    return 2 * n * (first + (layers - 1) * later + feedForward);
}

void FusedGraphTransformer::evaluate(FusedWorkspace& workspace, int count, const int* kinds, const double* z,
                                     double* energies, double* gradients) const {
    HWY_DYNAMIC_DISPATCH(evaluateTransformer)
    (network, static_cast<TransformerWorkspace&>(workspace), count, kinds, z, energies, gradients);
}

} // namespace OpenMMScore
#endif // HWY_ONCE

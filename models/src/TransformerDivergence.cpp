// The part of FixedTimeTransformer that differentiates.

#include "Lanes.h"
#include "TransformerTemplates.h"

namespace OpenMMScore {

namespace {

/** run(), compiled for the vector units at hand. */
OPENMMSCORE_LANE_CLONES __attribute__((flatten)) void runWithTangents(const FixedTimeTransformer& transformer,
                                                                      const Dual* z, Dual* output,
                                                                      Dual* gradient, Dual* workspace) {
    transformer.run(z, output, gradient, workspace);
}

} // namespace

// Workspaces are made of doubles, and a Dual is 17 of them.
static_assert(sizeof(Dual) == sizeof(double) * (Dual::lanes + 1) && alignof(Dual) == alignof(double));

/** What goes into and comes out of run() with derivatives. */
struct FixedTimeTransformer::Duals {
    Dual *z, *output, *gradient, *workspace;

    Duals(double* memory, int width)
        : z(reinterpret_cast<Dual*>(memory)), output(z + width), gradient(output + width),
          workspace(gradient + width) {}
};

std::size_t FixedTimeTransformer::getDivergenceWorkspaceSize() const {
    Scratch<Dual> scratch{};
    return (Dual::lanes + 1) * (layOut<Dual>(nullptr, nullptr, scratch) + std::size_t(9) * n);
}

void FixedTimeTransformer::evaluateDivergence(const double* z, double* output, double* gradient,
                                              double* divergence, double* workspace) const {
    const Duals duals(workspace, 3 * n);
    const bool energy = network.expert.head == Head::Energy;
    const Dual* result = energy ? duals.gradient : duals.output;
    const int numDirections = 3 * (n - 1);
    *divergence = 0;
    for (int begin = 0; begin == 0 || begin < numDirections; begin += Dual::lanes) {
        const int count = std::min(Dual::lanes, numDirections - begin);
        std::copy_n(z, 3 * n, duals.z);
        for (int l = 0; l < count; l++)
            duals.z[begin + l].tangents[l] = 1;
        runWithTangents(*this, duals.z, duals.output, duals.gradient, duals.workspace);
        // A row of derivatives has the sum zero over particles, so the last particle's own is minus the rest.
        for (int l = 0; l < count; l++)
            *divergence +=
                result[begin + l].tangents[l] - result[numDirections + (begin + l) % 3].tangents[l];
    }
    std::transform(duals.output, duals.output + getNumOutputs(), output,
                   [](const Dual& x) { return x.value; });
    for (int i = 0; energy && i < 3 * n; i++)
        gradient[i] = duals.gradient[i].value;
}

void FixedTimeTransformer::multiplyJacobian(const double* z, const double* direction, double* product,
                                            double* workspace) const {
    const Duals duals(workspace, 3 * n);
    std::copy_n(z, 3 * n, duals.z);
    for (int i = 0; i < 3 * n; i++)
        duals.z[i].tangents[0] = direction[i];
    runWithTangents(*this, duals.z, duals.output, duals.gradient, duals.workspace);
    const Dual* result = network.expert.head == Head::Energy ? duals.gradient : duals.output;
    for (int i = 0; i < 3 * n; i++)
        product[i] = result[i].tangents[0];
}

} // namespace OpenMMScore

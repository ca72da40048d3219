// The part of ContinuousFlowProposal that differentiates densities.

#include <algorithm>

#include "FlowIntegrator.h"
#include "InternalGradient.h"

namespace OpenMMScore {

namespace {

/**
 * A sample u together with s = grad log p_t(u), the gradient of the density at its time, which obeys
 *
 *     ds/dt = -(dv/du)^T s - grad div v
 *
 * along the trajectory of u (the gradient of the equation of continuity for log p). Arrays hold u, then s.
 */
class ScoreField : public VelocityField {
public:
    explicit ScoreField(const VelocityField& velocity) : velocity(velocity) {}

    int getDimension() const override { return 2 * velocity.getDimension(); }
    std::size_t getWorkspaceSize() const override { return velocity.getWorkspaceSize(); }
    void evaluate(const bool*, const double* t, const double* state, double* rate, double* divergence,
                  double* workspace) const override {
        const std::size_t half = std::size_t(velocity.getDimension()) * lanes;
        velocity.differentiate(t, state, state + half, rate, divergence, rate + half, workspace);
        for (std::size_t i = half; i < 2 * half; i++)
            rate[i] = -rate[i];
    }
    void multiplyJacobian(const bool*, const double*, const double*, const double*, double* product,
                          double*) const override {
        // Its own divergence is not asked for.
        std::fill_n(product, std::size_t(getDimension()) * lanes, 0.0);
    }

private:
    const VelocityField& velocity;
};

} // namespace

bool ContinuousFlowProposal::hasGradient() const {
    return parameters.trace.method == FlowTrace::Method::Exact && velocity->isTwiceDifferentiable();
}

void ContinuousFlowProposal::logDensityGradient(std::int64_t count, const double* positions,
                                                double* gradient) const {
    if (!hasGradient()) {
        Proposal::logDensityGradient(count, positions, gradient);
        return;
    }
    const int d = getBaseDimension(), width = coordinates.getNumCoordinates();
    std::vector<double> z(count * d), state(2 * z.size()), unused(count), y(d);
    toBase(count, positions, z.data(), unused.data());
    for (std::int64_t i = 0; i < count; i++)
        for (int j = 0; j < d; j++) {
            state[(2 * i) * d + j] = z[i * d + j];
            // Of the base's density, normal or uniform.
            state[(2 * i + 1) * d + j] = isCircular[j] ? 0 : -z[i * d + j];
        }
    FlowIntegrator(ScoreField(*velocity), parameters.solver, 0)
        .integrate(count, 0, 1, state.data(), unused.data());
    for (std::int64_t i = 0; i < count; i++) {
        double* byY = &state[(2 * i + 1) * d];
        for (int j = 0; j < d; j++)
            byY[j] /= parameters.tensors[1][j];
        if (!parameters.coordinates) {
            coordinates.toPositions(byY, gradient + i * width);
            continue;
        }
        parameters.coordinates->toFlow(positions + i * width, y.data());
        toPositionGradient(*parameters.coordinates, positions + i * width, y.data(), byY,
                           gradient + i * width);
    }
}

} // namespace OpenMMScore

#include "openmmscore/training/FokkerPlanckLoss.h"

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/zeros.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

using TimeDerivative = FokkerPlanckOptions::TimeDerivative;

/**
 * Where the network is evaluated: blocks of 2 batch rows, p (for v_1, then v_2) and q, then, with a stencil,
 * p at its later and at its earlier time.
 */
struct FokkerPlanckLoss::Points {
    at::Tensor positions, times, features;
    /** Shape [2 batch] each, float64: what the energies of p now, later and earlier have to do with d/dt. */
    at::Tensor now, later, earlier;

    bool hasStencil() const { return now.defined(); }
};

/** What the residuals are made of, float64. */
struct FokkerPlanckLoss::Residuals {
    /** shape [2, batch] */
    at::Tensor values;
    /** shape [2 batch, coordinates] each: derivatives of the residuals by s(p) and s(q) */
    at::Tensor byScoreAtP, byScoreAtQ;
};

namespace {

at::Tensor perSample(const at::Tensor& times, const std::function<double(double)>& f) {
    at::Tensor values = at::empty_like(times);
    for (std::int64_t i = 0; i < times.size(0); i++)
        values.data_ptr<double>()[i] = f(times.data_ptr<double>()[i]);
    return values;
}

/** The offsets of the two points beside t, a < b or, near an end, both on one side. */
struct Offsets {
    double a, b;
};

Offsets stencil(const FokkerPlanckOptions& options, const ExpertDescription& expert, double t) {
    const double back = options.backwardStep, ahead = options.forwardStep;
    if (options.timeDerivative == TimeDerivative::ClampedStencil)
        return {-back, ahead};
    if (t - back < expert.lowerTime)
        return {ahead, 2.0 * ahead};
    if (t + ahead > expert.upperTime)
        return {-2.0 * back, -back};
    return {-back, ahead};
}

} // namespace

FokkerPlanckLoss::FokkerPlanckLoss(const VariancePreserving& noiseSchedule,
                                   const DenoisingScoreMatchingLoss& scoreMatching,
                                   const FokkerPlanckOptions& choices, bool ofParticles)
    : schedule(noiseSchedule), matching(scoreMatching), options(choices), particles(ofParticles) {}

int FokkerPlanckLoss::getNumPoints() const {
    // p and q for two perturbations, and with a stencil p at two other times.
    return options.timeDerivative == TimeDerivative::Exact ? 4 : 8;
}

FokkerPlanckLoss::Points FokkerPlanckLoss::points(const TorchNetwork& network,
                                                  const NoisedBatch& batch) const {
    if (!batch.perturbations.defined())
        throw ShapeError("FokkerPlanckLoss: the batch has no perturbations");
    const at::Tensor z = matching.noised(batch), v = options.perturbation * batch.perturbations;
    const at::Tensor p = at::cat({z + v[0], z + v[1]}), q = at::cat({z - v[0], z - v[1]});
    const at::Tensor t = at::cat({batch.times, batch.times});
    const bool exact = options.timeDerivative == TimeDerivative::Exact;
    Points result;
    if (batch.features.defined())
        result.features = batch.features.repeat({getNumPoints(), 1, 1});
    if (exact) {
        result.positions = at::cat({p, q});
        result.times = at::cat({t, t});
        return result;
    }
    const ExpertDescription& expert = network.getExpert();
    const auto offsets = [&](double time) { return stencil(options, expert, time); };
    result.later = perSample(t, [&](double time) {
        const auto [a, b] = offsets(time);
        return -a / (b * (b - a));
    });
    result.earlier = perSample(t, [&](double time) {
        const auto [a, b] = offsets(time);
        return -b / (a * (a - b));
    });
    result.now = -(result.later + result.earlier);
    result.positions = at::cat({p, q, p, p});
    result.times = at::cat({t, t, perSample(t, [&](double time) { return time + offsets(time).b; }),
                            perSample(t, [&](double time) { return time + offsets(time).a; })});
    return result;
}

FokkerPlanckLoss::Residuals FokkerPlanckLoss::residuals(const Points& where, const NoisedBatch& batch,
                                                        const RecordedScore& recorded) const {
    const std::int64_t count = 2 * batch.size(), coordinates = batch.clean.size(1);
    const auto block = [&](const at::Tensor& x, std::int64_t k) {
        return x.narrow(0, k * count, count).to(at::kCPU, at::kDouble);
    };
    const at::Tensor score = recorded.getScore();
    const at::Tensor p = block(where.positions, 0), sp = block(score, 0), sq = block(score, 1);
    const at::Tensor probe = (batch.perturbations / (2.0 * options.perturbation))
                                 .to(at::kCPU, at::kDouble)
                                 .view({count, coordinates});
    const at::Tensor half =
        perSample(where.times.narrow(0, 0, count), [&](double t) { return 0.5 * schedule.beta(t); });
    const double dimensions = options.oneDimensionalDivergence ? 1.0
                              : particles                      ? double(coordinates - 3)
                                                               : double(coordinates);
    const at::Tensor size = at::abs(sp) + 1e-7;
    at::Tensor energyRate;
    if (where.hasStencil()) {
        const at::Tensor energy = recorded.getEnergy();
        energyRate =
            where.now * block(energy, 0) + where.later * block(energy, 2) + where.earlier * block(energy, 3);
    }
    else
        energyRate = block(recorded.getEnergyRate(), 0);
    const at::Tensor spatial = (probe * (sp - sq) + size * size + p * sp).sum(1) + dimensions;
    const at::Tensor factor = half.unsqueeze(1);
    return {(half * spatial + energyRate).view({2, batch.size()}),
            factor * (probe + 2.0 * size * at::sign(sp) + p), -factor * probe};
}

at::Tensor FokkerPlanckLoss::weights(const NoisedBatch& batch, double scale) const {
    const double coordinates = double(batch.clean.size(1));
    const double factor = options.weight * scale / (coordinates * coordinates);
    return perSample(batch.times, [&](double t) { return factor * matching.timeWeight(t); });
}

double FokkerPlanckLoss::loss(const NoisedBatch& batch, const Residuals& found, double scale) const {
    return (weights(batch, scale) * found.values[0] * found.values[1]).sum().item<double>();
}

Cotangents FokkerPlanckLoss::cotangents(const Points& where, const NoisedBatch& batch, const Residuals& found,
                                        double scale) const {
    const at::Tensor w = weights(batch, scale);
    // The derivative of R_1 R_2 by one is the other.
    const at::Tensor c = at::cat({w * found.values[1], w * found.values[0]});
    const at::Tensor column = c.unsqueeze(1), nothing = at::zeros_like(c);
    at::Tensor score = at::cat({column * found.byScoreAtP, column * found.byScoreAtQ});
    const auto finish = [&](const at::Tensor& x) { return x.to(where.positions.options()); };
    if (!where.hasStencil())
        return {finish(score), {}, finish(at::cat({c, nothing}))};
    score = at::cat({score, at::zeros_like(score)});
    return {finish(score), finish(at::cat({c * where.now, nothing, c * where.later, c * where.earlier})), {}};
}

namespace {

Record recordFor(const FokkerPlanckOptions& options) {
    return options.timeDerivative == TimeDerivative::Exact ? Record::EnergyRate : Record::Energy;
}

} // namespace

at::Tensor FokkerPlanckLoss::residuals(const TorchNetwork& network, const NoisedBatch& batch) const {
    const Points where = points(network, batch);
    return residuals(where, batch,
                     *network.recordScore(where.positions, where.times, recordFor(options), where.features))
        .values;
}

double FokkerPlanckLoss::value(const TorchNetwork& network, const NoisedBatch& batch, double scale) const {
    const Points where = points(network, batch);
    const auto recorded =
        network.recordScore(where.positions, where.times, recordFor(options), where.features);
    return loss(batch, residuals(where, batch, *recorded), scale);
}

double FokkerPlanckLoss::addGradient(const TorchNetwork& network, const NoisedBatch& batch, double scale,
                                     at::Tensor& gradient) const {
    const Points where = points(network, batch);
    const auto recorded =
        network.recordScore(where.positions, where.times, recordFor(options), where.features);
    const Residuals found = residuals(where, batch, *recorded);
    recorded->addGradient(cotangents(where, batch, found, scale), gradient);
    return loss(batch, found, scale);
}

} // namespace OpenMMScore

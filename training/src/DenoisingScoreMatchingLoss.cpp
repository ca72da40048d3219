#include "openmmscore/training/DenoisingScoreMatchingLoss.h"

#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sign.h>

namespace OpenMMScore {

namespace {

/** @return shape [batch, 1]: f at each time, in the dtype and on the device of like */
template <class F>
at::Tensor column(const at::Tensor& times, const at::Tensor& like, F f) {
    at::Tensor values = at::empty({times.size(0), 1}, at::kDouble);
    const double* t = times.data_ptr<double>();
    for (std::int64_t i = 0; i < times.size(0); i++)
        values.data_ptr<double>()[i] = f(t[i]);
    return values.to(like.options());
}

} // namespace

DenoisingScoreMatchingLoss::DenoisingScoreMatchingLoss(const NoiseSchedule& noiseSchedule, double t0,
                                                       double t1, double mid, double absoluteOffset,
                                                       bool ofCleanData)
    : schedule(noiseSchedule), lower(t0), upper(t1), midpoint(mid), offset(absoluteOffset),
      cleanData(ofCleanData) {}

double DenoisingScoreMatchingLoss::timeWeight(double t) const {
    return (upper - lower) / (2.0 * (t <= midpoint ? midpoint - lower : upper - midpoint));
}

at::Tensor DenoisingScoreMatchingLoss::noised(const NoisedBatch& batch) const {
    const at::Tensor m =
        column(batch.times, batch.clean, [&](double t) { return schedule.meanCoefficient(t); });
    const at::Tensor sigma = column(batch.times, batch.clean, [&](double t) { return schedule.sigma(t); });
    return m * batch.clean + sigma * batch.noise;
}

DenoisingScoreMatchingLoss::Residual
DenoisingScoreMatchingLoss::residual(const at::Tensor& score, const NoisedBatch& batch, double scale) const {
    const at::Tensor sigma = column(batch.times, score, [&](double t) { return schedule.sigma(t); });
    const at::Tensor weight = column(batch.times, score, [&](double t) {
        const double ratio = cleanData ? schedule.sigma(t) / schedule.meanCoefficient(t) : 1.0;
        return timeWeight(t) * ratio * ratio;
    });
    const at::Tensor difference = batch.noise + sigma * score;
    const at::Tensor size = at::abs(difference) + offset;
    const double factor = scale / double(score.size(1));
    const double loss = (weight * size * size).sum(at::kDouble).item<double>() * factor;
    return {loss, (2.0 * factor) * weight * sigma * size * at::sign(difference)};
}

double DenoisingScoreMatchingLoss::value(const TorchNetwork& network, const NoisedBatch& batch,
                                         double scale) const {
    return residual(
               network.recordScore(noised(batch), batch.times, Record::Score, batch.features)->getScore(),
               batch, scale)
        .loss;
}

double DenoisingScoreMatchingLoss::addGradient(const TorchNetwork& network, const NoisedBatch& batch,
                                               double scale, at::Tensor& gradient) const {
    const auto recorded = network.recordScore(noised(batch), batch.times, Record::Score, batch.features);
    const Residual result = residual(recorded->getScore(), batch, scale);
    recorded->addGradient({result.cotangent, {}, {}}, gradient);
    return result.loss;
}

} // namespace OpenMMScore

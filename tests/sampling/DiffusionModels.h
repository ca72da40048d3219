#ifndef OPENMMSCORE_TESTS_DIFFUSIONMODELS_H_
#define OPENMMSCORE_TESTS_DIFFUSIONMODELS_H_

#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "TestModels.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore::testing {

/**
 * A model of vectors whose energy is sum_c k_c z_c^2/2 on each side of `boundary`, with a rate k of each
 * coordinate for large times and another for small ones: a pair of swishes gives
 * a z tanh(a z/2) = (a z)^2/2 (1 - (a z)^2/12 + ...), with a = sharpness.
 *
 * Its scores are no diffusion's unless k = 1, but its probability flow is linear: z_c grows by
 * exp((1 - k_c) L/2) over a stretch L.
 */
inline std::shared_ptr<const ScoreModel>
quadraticModel(const std::vector<double>& largeTimes, const std::vector<double>& smallTimes, double boundary,
               double lengthScale = 1, double sharpness = 1e-4, ScheduleDescription schedule = {}) {
    const int d = static_cast<int>(largeTimes.size());
    ModelDescription description =
        describe(ModelDescription::Space::Vector, d,
                 {mlpExpert({2 * d}, boundary, 1), mlpExpert({2 * d}, 0, boundary)});
    description.lengthScale = lengthScale;
    description.schedule = schedule;
    std::vector<NamedTensor> tensors = fillWeights(description, 0.0);
    for (std::size_t expert = 0; expert < 2; expert++) {
        NamedTensor &first = tensors[4 * expert], &last = tensors[4 * expert + 2];
        for (std::size_t i : {1, 3})
            tensors[4 * expert + i].values.assign(tensors[4 * expert + i].values.size(), 0.0);
        const auto inputs = static_cast<std::size_t>(first.shape[1]);
        for (std::size_t unit = 0; unit < 2 * largeTimes.size(); unit++) {
            first.values[unit * inputs + unit / 2] = unit % 2 == 0 ? sharpness : -sharpness;
            last.values[unit] = (expert == 0 ? largeTimes : smallTimes)[unit / 2] / (sharpness * sharpness);
        }
    }
    return makeModel(description, tensors);
}

/** @return the standard deviation to which quadraticModel()'s flow brings standard normal numbers */
inline double quadraticDeviation(const NoiseSchedule& schedule, double large, double small, double boundary,
                                 double end = 0) {
    const double top = schedule.logDecay(1), middle = schedule.logDecay(boundary);
    return std::exp(0.5 * ((1 - large) * (top - middle) + (1 - small) * (middle - schedule.logDecay(end))));
}

/**
 * Perceptrons with random weights beside a pair of units a coordinate that together give about z^2/2, so that
 * what they generate is anything but normal and stays near the origin. A score head has that pair's slope.
 */
inline std::shared_ptr<const ScoreModel> randomModel(int d, Head head = Head::Energy,
                                                     ScheduleDescription schedule = {}) {
    ModelDescription description =
        describe(ModelDescription::Space::Vector, d,
                 {mlpExpert({2 * d + 9}, 0.4, 1, head), mlpExpert({2 * d + 8}, 0, 0.4, head)});
    description.schedule = schedule;
    std::vector<NamedTensor> tensors = fillWeights(description);
    for (std::size_t k = 0; k < tensors.size(); k += 4) {
        NamedTensor &first = tensors[k], &last = tensors[k + 2];
        const auto inputs = static_cast<std::size_t>(first.shape[1]);
        const auto units = static_cast<std::size_t>(last.shape[1]);
        for (std::size_t unit = 0; unit < 2 * static_cast<std::size_t>(d); unit++) {
            const double sign = unit % 2 == 0 ? 1 : -1;
            for (std::size_t c = 0; c < inputs; c++)
                first.values[unit * inputs + c] = c == unit / 2 ? 0.2 * sign : 0.0;
            // swish(x) - swish(-x) = x.
            for (std::size_t out = 0; out < static_cast<std::size_t>(last.shape[0]); out++)
                last.values[out * units + unit] =
                    head == Head::Energy ? 25.0 : (out == unit / 2 ? -5.0 * sign : 0.0);
        }
    }
    return makeModel(description, tensors);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_DIFFUSIONMODELS_H_

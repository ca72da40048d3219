#include "FrameOrder.h"

#include <cmath>
#include <numeric>
#include <string>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Stream = CounterRandom::Stream;

std::vector<std::int64_t> permutation(std::int64_t count, CounterRandom random) {
    std::vector<std::int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = count - 1; i > 0; i--)
        std::swap(order[i], order[random.below(i + 1)]);
    return order;
}

/** Take the last of each molecule's frames for validation. @return the number of the others */
std::int64_t divideAtTheEnds(const std::vector<std::int64_t>& molecules, double fraction,
                             std::vector<std::int64_t>& frames) {
    const auto all = static_cast<std::int64_t>(molecules.size());
    std::vector<std::int64_t> validation;
    for (std::int64_t begin = 0, end = 0; begin < all; begin = end) {
        while (end < all && molecules[end] == molecules[begin])
            end++;
        const std::int64_t cut = end - std::llround(fraction * double(end - begin));
        for (std::int64_t i = begin; i < end; i++)
            (i < cut ? frames : validation).push_back(i);
    }
    const auto numTraining = static_cast<std::int64_t>(frames.size());
    frames.insert(frames.end(), validation.begin(), validation.end());
    return numTraining;
}

} // namespace

FrameOrder::FrameOrder(const TrainingFrames& source, const DataConfig& data, std::uint64_t runSeed)
    : seed(runSeed) {
    const std::int64_t all = source.values.size(0);
    if (data.validationSplit == DataConfig::Split::Last)
        numTraining = divideAtTheEnds(source.molecules, data.validationFraction, frames);
    else {
        frames = permutation(all, CounterRandom(seed, Stream::Split, 0));
        numTraining = all - std::llround(data.validationFraction * double(all));
    }
    if (source.weights.empty())
        return;
    for (std::int64_t frame : frames)
        weights.push_back(source.weights[frame]);
    const auto check = [&](std::int64_t first, std::int64_t count, const std::string& purpose) {
        if (count > 0 && !(effectiveFrames(weights.data() + first, count) > 0.0))
            throw Error("all frames for " + purpose + " have the weight zero");
    };
    check(0, numTraining, "training");
    check(numTraining, getNumValidation(), "validation");
}

double FrameOrder::getEffectiveTraining() const {
    return weights.empty() ? double(numTraining) : effectiveFrames(weights.data(), numTraining);
}

void FrameOrder::shuffle(std::uint64_t epoch) const {
    if (epoch == orderEpoch)
        return;
    CounterRandom random(seed, Stream::Shuffle, epoch);
    if (weights.empty())
        order = permutation(numTraining, random);
    else {
        const std::vector<std::int64_t> drawn =
            resampleSystematic(weights.data(), numTraining, numTraining, random.uniform());
        order.clear();
        for (std::int64_t position : permutation(numTraining, random))
            order.push_back(drawn[position]);
    }
    orderEpoch = epoch;
}

std::vector<std::int64_t> FrameOrder::draw(std::uint64_t epoch, std::int64_t first,
                                           std::int64_t count) const {
    shuffle(epoch);
    return {order.begin() + first, order.begin() + first + count};
}

std::vector<std::int64_t> FrameOrder::drawValidation(std::int64_t count) const {
    const std::int64_t begin = getNumValidation() > 0 ? numTraining : 0;
    const std::int64_t available = getNumValidation() > 0 ? getNumValidation() : numTraining;
    std::vector<std::int64_t> places;
    if (weights.empty())
        for (std::int64_t i = 0; i < count; i++)
            places.push_back(i % available);
    else
        places = resampleSystematic(weights.data() + begin, available, count, 0.5);
    for (std::int64_t& place : places)
        place += begin;
    return places;
}

} // namespace OpenMMScore

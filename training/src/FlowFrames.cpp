#include "FlowFrames.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Stream = CounterRandom::Stream;
using Coordinates = ProposalConfig::Coordinates;
constexpr double twoPi = 2.0 * std::numbers::pi;

double wrap(double angle) {
    return angle - twoPi * std::floor((angle + std::numbers::pi) / twoPi);
}

/** @return where on a circle a cut meets the least weight: the middle of the longest of the emptiest gaps */
double emptiestPlace(const std::vector<double>& angles, const std::vector<double>& weights) {
    constexpr int bins = 120, half = 3;
    std::array<double, bins> histogram{}, smooth{};
    for (std::size_t i = 0; i < angles.size(); i++) {
        const int bin = static_cast<int>((wrap(angles[i]) + std::numbers::pi) / twoPi * bins);
        histogram[std::clamp(bin, 0, bins - 1)] += weights.empty() ? 1.0 : weights[i];
    }
    for (int b = 0; b < bins; b++)
        for (int k = -half; k <= half; k++)
            smooth[b] += histogram[(b + k + bins) % bins];
    // Bins as empty as the emptiest, but for a few stray frames.
    const double limit = *std::min_element(smooth.begin(), smooth.end()) +
                         1e-4 * std::accumulate(histogram.begin(), histogram.end(), 0.0);
    int longest = 0, middle = 0, run = 0;
    for (int b = 0; b < 2 * bins; b++) {
        run = smooth[b % bins] <= limit ? std::min(run + 1, bins) : 0;
        if (run > longest) {
            longest = run;
            middle = b - run / 2;
        }
    }
    return wrap((middle % bins + 0.5) * twoPi / bins - std::numbers::pi);
}

FlowCoordinates fitInternal(const TrainingFrames& source, const TrainingConfig& config, int count) {
    std::vector<std::array<int, 2>> bonds;
    for (const auto& [a, b] : config.model.bonds)
        bonds.push_back({a, b});
    if (bonds.empty())
        throw Error(config.data.molecules[0].file +
                    ": internal coordinates need the molecule's bonds (see bonds, or use openmmscore train, "
                    "which takes them from the topology)");
    std::vector<double> masses;
    for (const ParticleDescription& particle : config.model.particles)
        masses.push_back(particle.mass);
    return FlowCoordinates::fit(makeZMatrix(count, bonds, masses), source.values.size(0),
                                source.values.data_ptr<double>());
}

/** @return a tensor that shares the memory */
at::Tensor indexOf(const std::vector<std::int64_t>& places) {
    return at::from_blob(const_cast<std::int64_t*>(places.data()), {static_cast<std::int64_t>(places.size())},
                         at::kLong);
}

} // namespace

FlowFrames::~FlowFrames() = default;

FlowFrames::FlowFrames(const TrainingConfig& config, const at::TensorOptions& tensorOptions)
    : options(tensorOptions.device(at::kCPU)), seed(config.seed), batchSize(config.stages.at(0).batchSize),
      noise(config.stages[0].noise) {
    const TrainingFrames source = TrainingFrames::read(config.data, config.model.temperature);
    const std::string& path = config.data.molecules[0].file;
    order = std::make_unique<FrameOrder>(source, config.data, seed);
    account = {source.fileName,           source.sha256,       order->getNumTraining(),
               order->getNumValidation(), order->isWeighted(), order->getEffectiveTraining()};
    if (order->getNumTraining() < batchSize)
        throw Error(
            path + ": " + std::to_string(order->getNumTraining()) + " of " +
            std::to_string(source.values.size(0)) +
            " frames are for training, fewer than training.batch_size = " + std::to_string(batchSize));
    const at::Tensor y = convert(source, config);
    isCircular.assign(dimension, false);
    for (int c : circular)
        isCircular[c] = true;
    findScales(y);
    findBoxes(y, config.proposal, path);
    if (rotations || config.proposal.hasParticleNetwork())
        shareScales(config.proposal.hasParticleNetwork());
    checkScales(path);
    keep(y);
    if (!cycles.empty())
        keepPositions(source);
}

/** @return shape [frames, coordinates], float64, in the order of the files */
at::Tensor FlowFrames::convert(const TrainingFrames& source, const TrainingConfig& config) {
    const ProposalConfig& proposal = config.proposal;
    const std::string& path = config.data.molecules[0].file;
    const bool vector = proposal.coordinates == Coordinates::Vector;
    const auto width = static_cast<int>(source.values.size(1));
    if (vector == source.particles)
        throw Error(path + (vector ? ": an array of positions, [frames, particles, 3], needs "
                                     "coordinates.kind = \"cartesian\" or \"internal\""
                                   : ": coordinates of positions need an array [frames, particles, 3]; plain "
                                     "vectors need coordinates.kind = \"vector\""));
    count = vector ? width : width / 3;
    if (vector) {
        dimension = width;
        for (std::int64_t index : proposal.circular) {
            if (index >= width)
                throw Error(path + ": proposal.circular names coordinate " + std::to_string(index) +
                            ", the frames have " + std::to_string(width) + " (counted from 0)");
            circular.push_back(static_cast<int>(index));
        }
        std::sort(circular.begin(), circular.end());
        if (proposal.allCircular) {
            circular.resize(dimension);
            std::iota(circular.begin(), circular.end(), 0);
        }
        return source.values;
    }
    return convertPositions(source, config);
}

at::Tensor FlowFrames::convertPositions(const TrainingFrames& source, const TrainingConfig& config) {
    const std::string& path = config.data.molecules[0].file;
    if (config.proposal.coordinates == Coordinates::Internal) {
        internal = fitInternal(source, config, count);
        dimension = internal->getDimension();
        circular = internal->getCircular();
    }
    else {
        centred.emplace(count, Proposal::Frame::Centred);
        dimension = centred->getDimension();
        rotations = config.training.randomRotations;
    }
    cycles = config.proposal.cycles;
    for (const std::vector<std::int64_t>& cycle : cycles)
        for (std::int64_t particle : cycle)
            if (particle >= count)
                throw Error(path + ": coordinates.cycles names particle " + std::to_string(particle) +
                            ", the frames have " + std::to_string(count) + " (counted from 0)");
    at::Tensor y = at::empty({source.values.size(0), dimension}, at::kDouble);
    for (std::int64_t f = 0; f < y.size(0); f++)
        if (!convertFrame(source.values.data_ptr<double>() + f * 3 * count,
                          y.data_ptr<double>() + f * dimension))
            throw Error(path + ": frame " + std::to_string(f) +
                        " has no internal coordinates: atoms lie upon each other or on a line");
    return y;
}

bool FlowFrames::convertFrame(const double* x, double* y) const {
    if (internal)
        return internal->toFlow(x, y).status == InternalCoordinates::Status::Ok;
    centred->toCoordinates(x, y);
    return true;
}

void FlowFrames::findScales(const at::Tensor& y) {
    location.assign(dimension, 0.0);
    scale.assign(dimension, 1.0);
    for (int c = 0; c < dimension; c++)
        findScale(y, c);
}

void FlowFrames::findScale(const at::Tensor& y, int c) {
    const std::int64_t numTraining = order->getNumTraining();
    std::vector<double> values, weights;
    for (std::int64_t i = 0; i < numTraining; i++)
        values.push_back(y.data_ptr<double>()[order->getFrames()[i] * dimension + c]);
    if (order->isWeighted())
        weights.assign(order->getWeights().begin(), order->getWeights().begin() + numTraining);
    if (isCircular[c]) {
        location[c] = wrap(emptiestPlace(values, weights) + std::numbers::pi);
        return;
    }
    double total = 0.0, mean = 0.0, square = 0.0;
    const auto weight = [&](std::int64_t i) { return weights.empty() ? 1.0 : weights[i]; };
    for (std::int64_t i = 0; i < numTraining; i++) {
        total += weight(i);
        mean += weight(i) * values[i];
    }
    mean /= total;
    for (std::int64_t i = 0; i < numTraining; i++)
        square += weight(i) * (values[i] - mean) * (values[i] - mean);
    location[c] = mean;
    scale[c] = std::sqrt(square / total);
}

/** Make scales the same in all directions: what is turned at random has no preferred one, and no mean. */
void FlowFrames::shareScales(bool all) {
    const int step = all ? dimension : 3;
    for (int c = 0; c < dimension; c += step) {
        double square = 0.0;
        for (int k = 0; k < step; k++)
            square += location[c + k] * location[c + k] + scale[c + k] * scale[c + k];
        for (int k = 0; k < step; k++) {
            location[c + k] = 0.0;
            scale[c + k] = std::sqrt(square / step);
        }
    }
}

void FlowFrames::findBoxes(const at::Tensor& y, const ProposalConfig& proposal, const std::string& path) {
    isBoxed.assign(dimension, false);
    bound = proposal.flow.bound;
    for (const auto& [coordinate, lower, upper] : proposal.boxed) {
        const std::string name = "coordinate " + std::to_string(coordinate);
        if (coordinate >= dimension)
            throw Error(path + ": proposal.boxed names " + name + ", the frames have " +
                        std::to_string(dimension) + " (counted from 0)");
        for (std::int64_t f = 0; f < y.size(0); f++) {
            const double value = y.data_ptr<double>()[f * dimension + coordinate];
            if (value < lower || value > upper)
                throw Error(path + ": " + name + " of frame " + std::to_string(f) + " is " +
                            std::to_string(value) + ", outside of its interval [" + std::to_string(lower) +
                            ", " + std::to_string(upper) + "] (see proposal.boxed)");
        }
        isBoxed[coordinate] = true;
        location[coordinate] = 0.5 * (lower + upper);
        // Wider by some roundings, so that the interval's ends lie inside.
        scale[coordinate] = 0.5 * (upper - lower) / bound * (1.0 + 1e-15);
    }
}

void FlowFrames::checkScales(const std::string& path) const {
    for (int c = 0; c < dimension; c++)
        if (!(scale[c] > 1e-12 * (1.0 + std::abs(location[c]))))
            throw Error(path + ": coordinate " + std::to_string(c) +
                        " is the same in all training frames, so it has no density (leave it out)");
}

void FlowFrames::standardize(double* y) const {
    for (int c = 0; c < dimension; c++) {
        y[c] = (y[c] - location[c]) / scale[c];
        if (isCircular[c])
            y[c] = wrap(y[c]);
        if (isBoxed[c])
            y[c] = std::clamp(y[c], -bound, bound);
    }
}

void FlowFrames::keep(const at::Tensor& y) {
    const at::Tensor ordered = y.index_select(0, indexOf(order->getFrames()));
    for (std::int64_t place = 0; place < ordered.size(0); place++)
        standardize(ordered.data_ptr<double>() + place * dimension);
    frames = ordered.to(options);
}

void FlowFrames::keepPositions(const TrainingFrames& source) {
    positions = source.values.to(at::kFloat).index_select(0, indexOf(order->getFrames()));
}

at::Tensor FlowFrames::gather(const std::vector<std::int64_t>& places) const {
    return frames.index_select(0, indexOf(places));
}

void FlowFrames::vary(std::int64_t place, CounterRandom& random, double* v) const {
    if (!cycles.empty()) {
        std::vector<double> x(3 * static_cast<std::size_t>(count)), y(dimension);
        const float* from = positions.data_ptr<float>() + place * 3 * count;
        std::copy_n(from, x.size(), x.begin());
        for (const std::vector<std::int64_t>& cycle : cycles) {
            const std::size_t shift = random.below(cycle.size());
            for (std::size_t k = 0; k < cycle.size(); k++)
                std::copy_n(from + 3 * cycle[(k + shift) % cycle.size()], 3, x.begin() + 3 * cycle[k]);
        }
        if (convertFrame(x.data(), y.data())) {
            standardize(y.data());
            std::copy_n(y.begin(), dimension, v);
        }
    }
    // Scales are the same in all directions, so v can be turned like y.
    if (rotations)
        rotate(v, dimension / 3, random);
    for (int c = 0; noise > 0.0 && c < dimension; c++)
        if (!isCircular[c] && !isBoxed[c])
            v[c] += noise * random.normal();
}

at::Tensor FlowFrames::trainingBatch(std::int64_t step, std::int64_t first, std::int64_t size) const {
    const std::int64_t perEpoch = order->getNumTraining() / batchSize;
    const std::vector<std::int64_t> places =
        order->draw(static_cast<std::uint64_t>(step / perEpoch), (step % perEpoch) * batchSize + first, size);
    at::Tensor batch = gather(places);
    if (noise > 0.0 || rotations || !cycles.empty()) {
        batch = batch.to(at::kDouble);
        for (std::int64_t i = 0; i < size; i++) {
            CounterRandom random(seed, Stream::Sample, static_cast<std::uint64_t>(step),
                                 static_cast<std::uint32_t>(first + i));
            vary(places[i], random, batch.data_ptr<double>() + i * dimension);
        }
        batch = batch.to(options);
    }
    return batch.t().contiguous();
}

at::Tensor FlowFrames::validationBatch(std::int64_t size) const {
    const std::int64_t available =
        order->getNumValidation() > 0 ? order->getNumValidation() : order->getNumTraining();
    return gather(order->drawValidation(std::min(size, available))).t().contiguous();
}

} // namespace OpenMMScore

#include "openmmscore/training/TrainingSet.h"

#include <array>
#include <cmath>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include "FrameOrder.h"
#include "TimeDistribution.h"
#include "TrainingFrames.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Stream = CounterRandom::Stream;

void checkArchitecture(bool particles, const ExpertDescription& expert, const std::string& path) {
    const bool mlp = expert.architecture == ExpertDescription::Architecture::Mlp;
    if (particles && mlp)
        throw Error(
            path + ": an array of positions, [frames, particles, 3], needs a graph transformer; an mlp would "
                   "not be invariant to translations (see model.architecture)");
    if (!particles && !mlp)
        throw Error(path +
                    ": a graph transformer needs positions, [frames, particles, 3]; plain vectors need "
                    "model.architecture = \"mlp\"");
}

/**
 * The population standard deviation over all numbers of all frames.
 *
 * @param weights  of the frames; empty if equal
 */
double standardDeviation(const double* values, std::int64_t frames, std::int64_t width,
                         const std::vector<double>& weights) {
    double total = 0.0, mean = 0.0, square = 0.0;
    const auto weight = [&](std::int64_t f) { return weights.empty() ? 1.0 : weights[f]; };
    for (std::int64_t f = 0; f < frames; f++) {
        total += weight(f);
        for (std::int64_t k = 0; k < width; k++)
            mean += weight(f) * values[f * width + k];
    }
    mean /= total * double(width);
    for (std::int64_t f = 0; f < frames; f++)
        for (std::int64_t k = 0; k < width; k++)
            square += weight(f) * (values[f * width + k] - mean) * (values[f * width + k] - mean);
    return std::sqrt(square / (total * double(width)));
}

} // namespace

NoisedBatch NoisedBatch::slice(std::int64_t first, std::int64_t count) const {
    return {clean.narrow(0, first, count), times.narrow(0, first, count), noise.narrow(0, first, count),
            perturbations.defined() ? perturbations.narrow(1, first, count) : at::Tensor(),
            features.defined() ? features.narrow(0, first, count) : at::Tensor()};
}

NoisedBatch NoisedBatch::select(const std::vector<std::int64_t>& indices) const {
    const at::Tensor index = at::tensor(indices, at::kLong), here = index.to(clean.device());
    const auto rows = [&](const at::Tensor& x, int axis) {
        return x.defined() ? x.index_select(axis, x.is_cpu() ? index : here) : x;
    };
    return {rows(clean, 0), rows(times, 0), rows(noise, 0), rows(perturbations, 1), rows(features, 0)};
}

TrainingSet::~TrainingSet() = default;

TrainingSet::TrainingSet(TrainingConfig& config, const at::TensorOptions& tensorOptions)
    : stages(config.stages), schedule(config.model.schedule),
      randomRotations(config.training.randomRotations), seed(config.seed), options(tensorOptions) {
    TrainingFrames source = TrainingFrames::read(config.data, config.model.temperature);
    const std::string& path = config.data.molecules[0].file;
    sha256 = source.sha256;
    fileName = source.fileName;
    particles = source.particles;
    const std::int64_t numFrames = source.values.size(0), width = source.values.size(1);
    order = std::make_unique<FrameOrder>(source, config.data, seed);
    const std::int64_t numTraining = order->getNumTraining();
    for (const StageConfig& stage : stages)
        if (numTraining < stage.batchSize)
            throw Error(path + ": " + std::to_string(numTraining) + " of " + std::to_string(numFrames) +
                        " frames are for training, fewer than training.batch_size = " +
                        std::to_string(stage.batchSize));
    arrange(source);

    ModelDescription& model = config.model;
    for (const ExpertDescription& expert : model.experts)
        checkArchitecture(particles, expert, path);
    model.space = particles ? ModelDescription::Space::Particles : ModelDescription::Space::Vector;
    model.count = static_cast<int>(particles ? width / 3 : width);
    if (!model.particles.empty() && static_cast<int>(model.particles.size()) != model.getNumParticles())
        throw Error(path + ": the configuration describes " + std::to_string(model.particles.size()) +
                    " particles, the frames have " + std::to_string(model.getNumParticles()) +
                    " (see [[particles]] and data.atoms)");
    if (config.measureLengthScale)
        model.lengthScale =
            particles ? standardDeviation(frames.data_ptr<double>(), numTraining, width, order->getWeights())
                      : 1.0;
    if (!(model.lengthScale > 0.0))
        throw Error(path + ": all training frames are alike, there is nothing to learn from");
    frames.div_(model.lengthScale);
    keepFeatures(config, path);
}

/** Put the frames in the order in which their places are counted. */
void TrainingSet::arrange(const TrainingFrames& source) {
    frames = at::empty_like(source.values);
    const std::int64_t width = frames.size(1);
    double* out = frames.data_ptr<double>();
    for (std::int64_t index : order->getFrames()) {
        out = std::copy_n(source.values.data_ptr<double>() + index * width, width, out);
        molecules.push_back(source.molecules[index]);
    }
}

void TrainingSet::keepFeatures(const TrainingConfig& config, const std::string& path) {
    const auto perMolecule = static_cast<std::int64_t>(config.model.features.size()) * config.model.count;
    std::vector<std::int64_t> all;
    for (const MoleculeData& molecule : config.data.molecules) {
        if (static_cast<std::int64_t>(molecule.features.size()) != perMolecule)
            throw Error(molecule.file + ": the configuration tells " +
                        std::to_string(molecule.features.size()) + " features of this molecule, expected " +
                        std::to_string(perMolecule) + ": " + std::to_string(config.model.features.size()) +
                        " for each of " + std::to_string(config.model.count) +
                        " particles (see [[features]] and molecules.features)");
        all.insert(all.end(), molecule.features.begin(), molecule.features.end());
    }
    if (config.data.molecules.size() > 1 && perMolecule == 0)
        throw Error(path + ": of several molecules a network must be told which is which (see [[features]] "
                           "and molecules.features)");
    if (perMolecule > 0)
        features = at::from_blob(all.data(),
                                 {static_cast<std::int64_t>(config.data.molecules.size()), config.model.count,
                                  static_cast<std::int64_t>(config.model.features.size())},
                                 at::kLong)
                       .clone();
}

std::int64_t TrainingSet::getNumTrainingFrames() const {
    return order->getNumTraining();
}
std::int64_t TrainingSet::getNumValidationFrames() const {
    return order->getNumValidation();
}
double TrainingSet::getEffectiveTrainingFrames() const {
    return order->getEffectiveTraining();
}
bool TrainingSet::isWeighted() const {
    return order->isWeighted();
}

/** What the random numbers of a batch are a function of, and what they are for. */
struct TrainingSet::Draws {
    std::size_t stage;
    bool validation;
    /** Of the step, among all steps of all stages. */
    std::uint64_t index;
    /** The place of the first sample in the whole batch, and the size of that. */
    std::int64_t first, wholeSize;
};

NoisedBatch TrainingSet::assemble(const std::vector<std::int64_t>& indices, const Draws& draws) const {
    const StageConfig& stage = stages.at(draws.stage);
    const TimeDistribution distribution(schedule, stage);
    const auto size = static_cast<std::int64_t>(indices.size());
    const std::int64_t width = frames.size(1);
    const bool perturbed = stage.fokkerPlanck.weight > 0.0;
    at::Tensor clean = at::empty({size, width}, at::kDouble), noise = at::empty({size, width}, at::kDouble);
    at::Tensor t = at::empty({size}, at::kDouble), perturbations;
    if (perturbed)
        perturbations = at::empty({2, size, width}, at::kDouble);
    const double* all = frames.data_ptr<double>();
    for (std::int64_t i = 0; i < size; i++) {
        const auto place = static_cast<std::uint32_t>(draws.first + i);
        CounterRandom random(seed, draws.validation ? Stream::Validation : Stream::Sample, draws.index,
                             place);
        double* z = clean.data_ptr<double>() + i * width;
        std::copy_n(all + indices[i] * width, width, z);
        if (particles && randomRotations)
            rotate(z, width / 3, random);
        // For validation by the golden ratio: evenly spread, and not in step with the order of the frames.
        double u =
            draws.validation ? std::fmod(0.5 + 0.61803398874989485 * double(place), 1.0) : random.uniform();
        if (stage.stratifiedTimes && !draws.validation)
            u = (double(place) + u) / double(draws.wholeSize);
        t.data_ptr<double>()[i] = distribution.quantile(u);
        double* eps = noise.data_ptr<double>() + i * width;
        for (std::int64_t k = 0; k < width; k++)
            eps[k] = random.normal();
        if (particles && distribution.isDiscrete())
            centre(eps, width / 3);
        if (perturbed) {
            // The validation's own index, which no step can have.
            CounterRandom more(seed, Stream::Perturbation,
                               draws.validation ? draws.index | std::uint64_t(1) << 39 : draws.index, place);
            for (int m = 0; m < 2; m++)
                for (std::int64_t k = 0; k < width; k++)
                    perturbations.data_ptr<double>()[(m * size + i) * width + k] = more.normal();
        }
    }
    NoisedBatch batch{clean.to(options), t, noise.to(options), {}, {}};
    if (perturbed)
        batch.perturbations = perturbations.to(options);
    if (features.defined()) {
        std::vector<std::int64_t> which;
        for (std::int64_t frame : indices)
            which.push_back(molecules[frame]);
        batch.features =
            features.index_select(0, at::from_blob(which.data(), {size}, at::kLong)).to(options.device());
    }
    return batch;
}

namespace {

/** Steps, and epochs, of different stages must not share random numbers. */
std::uint64_t indexOf(std::size_t stage, std::int64_t step) {
    return (static_cast<std::uint64_t>(stage) << 40) + static_cast<std::uint64_t>(step);
}

} // namespace

NoisedBatch TrainingSet::trainingBatch(std::int64_t step, std::size_t stage) const {
    return trainingBatch(step, stage, 0, stages.at(stage).batchSize);
}

NoisedBatch TrainingSet::trainingBatch(std::int64_t step, std::size_t stage, std::int64_t first,
                                       std::int64_t count) const {
    const std::int64_t batchSize = stages.at(stage).batchSize, perEpoch = getNumTrainingFrames() / batchSize;
    return assemble(
        order->draw(indexOf(stage, step / perEpoch), (step % perEpoch) * batchSize + first, count),
        {stage, false, indexOf(stage, step), first, batchSize});
}

NoisedBatch TrainingSet::validationBatch(std::int64_t size, std::size_t stage) const {
    return assemble(order->drawValidation(size), {stage, true, indexOf(stage, 0), 0, size});
}

} // namespace OpenMMScore

#include "openmmscore/training/TrainingSet.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "NpyFile.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/CounterRandom.h"

namespace OpenMMScore {

namespace {

using Stream = CounterRandom::Stream;

std::string describeShape(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (std::int64_t size : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

/** The columns of one frame that are kept: all, or three for each selected atom. */
std::vector<std::int64_t> selectColumns(const NpyFile& file, const TrainingConfig& config) {
    const bool particles = file.shape.size() == 3;
    std::vector<std::int64_t> columns;
    if (config.data.atoms.empty()) {
        columns.resize(particles ? 3 * file.shape[1] : file.shape[1]);
        std::iota(columns.begin(), columns.end(), 0);
    }
    for (std::int64_t atom : config.data.atoms) {
        if (atom >= file.shape[1])
            throw Error(config.data.file + ": data.atoms names index " + std::to_string(atom) +
                        ", the file's second axis has " + std::to_string(file.shape[1]) +
                        " (counted from 0)");
        for (int k = 0; k < (particles ? 3 : 1); k++)
            columns.push_back(particles ? 3 * atom + k : atom);
    }
    return columns;
}

void checkShape(const NpyFile& file, const std::string& path) {
    const bool particles = file.shape.size() == 3 && file.shape[2] == 3;
    if ((!particles && file.shape.size() != 2) || file.shape[1] < 1)
        throw Error(path + ": the array has shape " + describeShape(file.shape) +
                    ", expected [frames, particles, 3] or, for a plain vector, [frames, numbers]");
    if (file.shape[0] < 2)
        throw Error(path + ": the array has " + std::to_string(file.shape[0]) +
                    " frames, at least 2 are needed");
}

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

/** Subtract the mean position of one frame. */
void centre(double* frame, std::int64_t numParticles) {
    for (int k = 0; k < 3; k++) {
        double mean = 0.0;
        for (std::int64_t i = 0; i < numParticles; i++)
            mean += frame[3 * i + k];
        mean /= double(numParticles);
        for (std::int64_t i = 0; i < numParticles; i++)
            frame[3 * i + k] -= mean;
    }
}

/** The population standard deviation over all numbers. */
double standardDeviation(const double* values, std::int64_t count) {
    double mean = 0.0, square = 0.0;
    for (std::int64_t i = 0; i < count; i++)
        mean += values[i];
    mean /= double(count);
    for (std::int64_t i = 0; i < count; i++)
        square += (values[i] - mean) * (values[i] - mean);
    return std::sqrt(square / double(count));
}

std::vector<std::int64_t> permutation(std::int64_t count, CounterRandom random) {
    std::vector<std::int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = count - 1; i > 0; i--)
        std::swap(order[i], order[random.below(i + 1)]);
    return order;
}

/** Rotate all positions by a rotation drawn uniformly: a unit quaternion from four normal numbers. */
void rotate(double* frame, std::int64_t numParticles, CounterRandom& random) {
    std::array<double, 4> q;
    double norm = 0.0;
    for (double& x : q) {
        x = random.normal();
        norm += x * x;
    }
    for (double& x : q)
        x /= std::sqrt(norm);
    const auto [w, x, y, z] = q;
    const double r[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                            {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                            {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
    for (std::int64_t i = 0; i < numParticles; i++) {
        double* p = frame + 3 * i;
        const double a = p[0], b = p[1], c = p[2];
        for (int k = 0; k < 3; k++)
            p[k] = r[k][0] * a + r[k][1] * b + r[k][2] * c;
    }
}

} // namespace

NoisedBatch NoisedBatch::slice(std::int64_t first, std::int64_t count) const {
    return {clean.narrow(0, first, count), times.narrow(0, first, count), noise.narrow(0, first, count),
            perturbations.defined() ? perturbations.narrow(1, first, count) : at::Tensor()};
}

TrainingSet::TrainingSet(TrainingConfig& config, const at::TensorOptions& tensorOptions)
    : settings(config.training), seed(config.seed), options(tensorOptions) {
    const std::string& path = config.data.file;
    const NpyFile file = NpyFile::read(path);
    checkShape(file, path);
    sha256 = file.sha256;
    fileName = std::filesystem::path(path).filename().string();
    particles = file.shape.size() == 3;
    const std::vector<std::int64_t> columns = selectColumns(file, config);
    const std::int64_t numFrames = file.shape[0], width = static_cast<std::int64_t>(columns.size());
    const std::int64_t fileWidth = static_cast<std::int64_t>(file.values.size()) / numFrames;
    numTraining = numFrames - std::llround(config.data.validationFraction * double(numFrames));
    if (numTraining < settings.batchSize)
        throw Error(path + ": " + std::to_string(numTraining) + " of its " + std::to_string(numFrames) +
                    " frames are for training, fewer than training.batch_size = " +
                    std::to_string(settings.batchSize));

    // Select, check and centre frame by frame; training frames come first in a random order.
    frames = at::empty({numFrames, width}, at::kDouble);
    double* out = frames.data_ptr<double>();
    for (std::int64_t source : permutation(numFrames, CounterRandom(seed, Stream::Split, 0))) {
        for (std::int64_t k = 0; k < width; k++) {
            out[k] = file.values[source * fileWidth + columns[k]] * config.data.unit;
            if (!std::isfinite(out[k]))
                throw Error(path + ": frame " + std::to_string(source) +
                            " holds a number that is not finite (remove such frames)");
        }
        if (particles)
            centre(out, width / 3);
        out += width;
    }

    ModelDescription& model = config.model;
    checkArchitecture(particles, model.experts[0], path);
    model.space = particles ? ModelDescription::Space::Particles : ModelDescription::Space::Vector;
    model.count = static_cast<int>(particles ? width / 3 : width);
    if (!model.particles.empty() && static_cast<int>(model.particles.size()) != model.getNumParticles())
        throw Error(path + ": the configuration describes " + std::to_string(model.particles.size()) +
                    " particles, the frames have " + std::to_string(model.getNumParticles()) +
                    " (see [[particles]] and data.atoms)");
    if (config.measureLengthScale)
        model.lengthScale =
            particles ? standardDeviation(frames.data_ptr<double>(), numTraining * width) : 1.0;
    if (!(model.lengthScale > 0.0))
        throw Error(path + ": all training frames are alike, there is nothing to learn from");
    frames.div_(model.lengthScale);
}

void TrainingSet::shuffle(std::int64_t epoch) const {
    if (epoch == orderEpoch)
        return;
    order = permutation(numTraining, CounterRandom(seed, Stream::Shuffle, epoch));
    orderEpoch = epoch;
}

NoisedBatch TrainingSet::assemble(const std::vector<std::int64_t>& indices, const std::vector<double>& times,
                                  std::uint64_t index, bool validation) const {
    const auto size = static_cast<std::int64_t>(indices.size());
    const std::int64_t width = frames.size(1);
    at::Tensor clean = at::empty({size, width}, at::kDouble), noise = at::empty({size, width}, at::kDouble);
    at::Tensor t = at::empty({size}, at::kDouble);
    const double* all = frames.data_ptr<double>();
    for (std::int64_t i = 0; i < size; i++) {
        CounterRandom random(seed, validation ? Stream::Validation : Stream::Sample, index,
                             static_cast<std::uint32_t>(i));
        double* z = clean.data_ptr<double>() + i * width;
        std::copy_n(all + indices[i] * width, width, z);
        if (particles && settings.randomRotations)
            rotate(z, width / 3, random);
        const double u = validation ? times[i] : random.uniform();
        t.data_ptr<double>()[i] = settings.lowerTime + (settings.upperTime - settings.lowerTime) * u;
        for (std::int64_t k = 0; k < width; k++)
            noise.data_ptr<double>()[i * width + k] = random.normal();
    }
    return {clean.to(options), t, noise.to(options), {}};
}

NoisedBatch TrainingSet::trainingBatch(std::int64_t step) const {
    const std::int64_t perEpoch = numTraining / settings.batchSize;
    shuffle(step / perEpoch);
    const auto first = order.begin() + (step % perEpoch) * settings.batchSize;
    return assemble({first, first + settings.batchSize}, {}, step, false);
}

NoisedBatch TrainingSet::validationBatch(std::int64_t size) const {
    const bool own = getNumValidationFrames() > 0;
    const std::int64_t count = own ? getNumValidationFrames() : numTraining;
    std::vector<std::int64_t> indices;
    std::vector<double> times;
    // Times by the golden ratio: evenly spread, and not in step with the order of the frames.
    for (std::int64_t i = 0; i < size; i++) {
        indices.push_back((own ? numTraining : 0) + i % count);
        times.push_back(std::fmod(0.5 + 0.61803398874989485 * double(i), 1.0));
    }
    return assemble(indices, times, 0, true);
}

} // namespace OpenMMScore

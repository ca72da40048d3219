#include "TrainingFrames.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <sstream>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "NpyFile.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

std::string describeShape(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (std::int64_t size : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

/** The columns of one frame that are kept: all, or three for each selected atom. */
std::vector<std::int64_t> selectColumns(const NpyFile& file, const std::string& path,
                                        const std::vector<std::int64_t>& atoms) {
    const bool particles = file.shape.size() == 3;
    std::vector<std::int64_t> columns;
    if (atoms.empty()) {
        columns.resize(particles ? 3 * file.shape[1] : file.shape[1]);
        std::iota(columns.begin(), columns.end(), 0);
    }
    for (std::int64_t atom : atoms) {
        if (atom >= file.shape[1])
            throw Error(path + ": data.atoms names index " + std::to_string(atom) +
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

at::Tensor selectFrames(const NpyFile& file, const std::string& path, const DataConfig& data) {
    const std::vector<std::int64_t> columns = selectColumns(file, path, data.atoms);
    const std::int64_t numFrames = file.shape[0], width = static_cast<std::int64_t>(columns.size());
    const std::int64_t fileWidth = static_cast<std::int64_t>(file.values.size()) / numFrames;
    at::Tensor frames = at::empty({numFrames, width}, at::kDouble);
    double* out = frames.data_ptr<double>();
    for (std::int64_t f = 0; f < numFrames; f++, out += width) {
        for (std::int64_t k = 0; k < width; k++) {
            out[k] = file.values[f * fileWidth + columns[k]] * data.unit;
            if (!std::isfinite(out[k]))
                throw Error(path + ": frame " + std::to_string(f) +
                            " holds a number that is not finite (remove such frames)");
        }
        if (file.shape.size() == 3)
            centre(out, width / 3);
    }
    return frames;
}

/** Read one weight for each frame, divided by their mean. */
std::vector<double> readWeights(const MoleculeData& molecule, std::int64_t numFrames, double temperature,
                                std::string& digests) {
    using Weights = MoleculeData::Weights;
    constexpr double gasConstant = 8.31446261815324e-3; // kJ/mol/K
    const std::string& path = molecule.weightsFile;
    NpyFile file = NpyFile::read(path);
    digests += file.sha256 + std::to_string(static_cast<int>(molecule.weights));
    std::vector<double>& w = file.values;
    if (static_cast<std::int64_t>(w.size()) != numFrames || file.shape[0] != numFrames)
        throw Error(path + ": the array has shape " + describeShape(file.shape) + ", expected " +
                    describeShape({numFrames}) + ", one number for each frame of " + molecule.file);
    for (std::int64_t f = 0; f < numFrames; f++)
        if (molecule.weights == Weights::Plain ? !(w[f] >= 0.0) || std::isinf(w[f])
                                               : std::isnan(w[f]) || w[f] == INFINITY) {
            std::ostringstream message;
            message << path << ": the number of frame " << f << " is " << w[f] << ", expected a finite "
                    << (molecule.weights == Weights::Plain ? "weight that is not negative" : "number");
            throw Error(message.str());
        }
    if (molecule.weights != Weights::Plain) {
        const double unit = molecule.weights == Weights::BiasEnergies ? gasConstant * temperature : 1.0;
        const double largest = *std::max_element(w.begin(), w.end());
        for (double& x : w)
            x = std::exp((x - largest) / unit);
    }
    const double mean = std::accumulate(w.begin(), w.end(), 0.0) / double(numFrames);
    if (!(mean > 0.0))
        throw Error(path + ": all weights are zero");
    for (double& x : w)
        x /= mean;
    return std::move(w);
}

} // namespace

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

// A unit quaternion from four normal numbers.
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

void TrainingFrames::append(const MoleculeData& molecule, const DataConfig& data, double temperature,
                            std::vector<at::Tensor>& parts, std::string& digests) {
    const NpyFile file = NpyFile::read(molecule.file);
    checkShape(file, molecule.file);
    digests += file.sha256;
    parts.push_back(selectFrames(file, molecule.file, data));
    const std::int64_t numFrames = file.shape[0], width = parts.back().size(1);
    if (parts.size() == 1)
        particles = file.shape.size() == 3;
    else if (particles != (file.shape.size() == 3) || width != parts[0].size(1))
        throw Error(molecule.file + ": the array has shape " + describeShape(file.shape) +
                    ", which does not fit the molecules before: all must have the same particles");
    std::vector<double> w(numFrames, 1.0);
    if (!molecule.weightsFile.empty())
        w = readWeights(molecule, numFrames, temperature, digests);
    weights.insert(weights.end(), w.begin(), w.end());
    for (std::int64_t feature : molecule.features)
        digests += " " + std::to_string(feature);
    molecules.insert(molecules.end(), numFrames, static_cast<std::int64_t>(parts.size()) - 1);
}

TrainingFrames TrainingFrames::read(const DataConfig& data, double temperature) {
    TrainingFrames result;
    std::vector<at::Tensor> parts;
    std::string digests;
    for (const MoleculeData& molecule : data.molecules)
        result.append(molecule, data, temperature, parts, digests);
    result.values = parts.size() == 1 ? parts[0] : at::cat(parts);
    if (std::all_of(data.molecules.begin(), data.molecules.end(),
                    [](const MoleculeData& m) { return m.weightsFile.empty(); }))
        result.weights.clear();
    result.sha256 = digests.size() == 64 ? digests : sha256Of(digests);
    result.fileName = std::filesystem::path(data.molecules[0].file).filename().string();
    if (parts.size() > 1)
        result.fileName += " and " + std::to_string(parts.size() - 1) + " more";
    return result;
}

double effectiveFrames(const double* weights, std::int64_t count) {
    double sum = 0.0, square = 0.0;
    for (std::int64_t i = 0; i < count; i++) {
        sum += weights[i];
        square += weights[i] * weights[i];
    }
    return sum * sum / square;
}

std::vector<std::int64_t> resampleSystematic(const double* weights, std::int64_t count, std::int64_t draws,
                                             double offset) {
    const double total = std::accumulate(weights, weights + count, 0.0);
    std::vector<std::int64_t> result;
    double sum = 0.0;
    for (std::int64_t i = 0; i < count; i++) {
        sum += weights[i];
        // The last positive weight takes what rounding has left over.
        while (static_cast<std::int64_t>(result.size()) < draws &&
               (double(result.size()) + offset) * total < sum * double(draws))
            result.push_back(i);
    }
    while (static_cast<std::int64_t>(result.size()) < draws)
        result.push_back(result.back());
    return result;
}

} // namespace OpenMMScore

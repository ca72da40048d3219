#include "DiffusionSamples.h"

#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

void removeMean(int width, double* z) {
    double mean[3] = {0, 0, 0};
    for (int i = 0; i < width; i++)
        mean[i % 3] += z[i];
    for (int i = 0; i < width; i++)
        z[i] -= 3 * mean[i % 3] / width;
}

void drawNormals(std::uint64_t seed, std::int64_t sample, std::uint64_t update,
                 LangevinNoise::Purpose purpose, int width, double* xi) {
    const LangevinNoise noise(seed);
    for (int i = 0; i < width; i += 3) {
        double three[3];
        noise.computeNormals(static_cast<std::uint32_t>(sample), update, i / 3, purpose, three);
        std::copy_n(three, std::min(3, width - i), xi + i);
    }
}

void drawNoise(std::uint64_t seed, std::int64_t first, int count, int width, bool centred, double* z) {
    if (first < 0 || first + count > (std::int64_t(1) << 32))
        throw Error("samples of a diffusion model are numbered from 0 to 2^32-1, but " +
                    std::to_string(count) + " from " + std::to_string(first) +
                    " on were asked for; choose another seed instead");
    for (int i = 0; i < count; i++, z += width) {
        drawNormals(seed, first + i, 0, LangevinNoise::Purpose::DiffusionStart, width, z);
        if (centred)
            removeMean(width, z);
    }
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_SAMPLING_DIFFUSIONSAMPLES_H_
#define OPENMMSCORE_SAMPLING_DIFFUSIONSAMPLES_H_

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include "openmmscore/models/LangevinNoise.h"

namespace OpenMMScore {

/** Subtract the mean position of one configuration, shape [width]: x0, y0, z0, x1, ... */
void removeMean(int width, double* z);

/**
 * Draw standard normal numbers for one sample.
 *
 * @param update  which update of the sampler
 * @param xi      written: [width]
 */
void drawNormals(std::uint64_t seed, std::int64_t sample, std::uint64_t update,
                 LangevinNoise::Purpose purpose, int width, double* xi);

/**
 * Draw what samples first ... first+count-1 start from, centred if wanted.
 *
 * @param z  written: [count, width]
 * @throws Error  if a sample's number is negative or not below 2^32
 */
void drawNoise(std::uint64_t seed, std::int64_t first, int count, int width, bool centred, double* z);

/**
 * Call work(thread, first, size) for nearly equal shares of `count` samples, side by side; work may not
 * throw.
 *
 * @param least  fewer samples than that a thread are not worth starting it
 */
template <class Work>
void shareOut(int numThreads, int count, Work work, int least = 64) {
    const int threads = std::clamp(count / least, 1, numThreads);
    const auto bound = [&](int i) { return static_cast<int>(std::int64_t(count) * i / threads); };
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; i++)
        others.emplace_back([&, i] { work(i, bound(i), bound(i + 1) - bound(i)); });
    work(0, 0, bound(1));
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_DIFFUSIONSAMPLES_H_

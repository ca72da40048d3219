#include "openmmscore/models/LangevinNoise.h"

#include <cmath>
#include <numbers>

#include <Random123/philox.h>

namespace OpenMMScore {

namespace {

struct Wide {
    std::uint64_t first, second;
};

Wide draw(std::uint64_t seed, std::uint32_t molecule, std::uint64_t step, std::uint32_t particle,
          LangevinNoise::Purpose purpose, std::uint32_t block) {
    const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
    const r123::Philox4x32::ctr_type counter = {
        {low(step), low(step >> 32), molecule,
         particle << 8 | static_cast<std::uint32_t>(purpose) << 4 | block}};
    const r123::Philox4x32::key_type key = {{low(seed), low(seed >> 32)}};
    const auto r = r123::Philox4x32()(counter, key);
    return {static_cast<std::uint64_t>(r[0]) << 32 | r[1], static_cast<std::uint64_t>(r[2]) << 32 | r[3]};
}

/** @return the upper 53 bits as a number in (0, 1] */
double toUniform(std::uint64_t bits) {
    return (static_cast<double>(bits >> 11) + 1) * 0x1p-53;
}

} // namespace

void LangevinNoise::computeNormals(std::uint32_t molecule, std::uint64_t step, std::uint32_t particle,
                                   Purpose purpose, double xi[3]) const {
    for (std::uint32_t block = 0; block < 2; block++) {
        const Wide bits = draw(seed, molecule, step, particle, purpose, block);
        const double radius = std::sqrt(-2 * std::log(toUniform(bits.first)));
        const double angle = 2 * std::numbers::pi * toUniform(bits.second);
        xi[2 * block] = radius * std::cos(angle);
        if (block == 0)
            xi[1] = radius * std::sin(angle);
    }
}

double LangevinNoise::computeUniform(std::uint32_t molecule, std::uint64_t step, Purpose purpose) const {
    return toUniform(draw(seed, molecule, step, 0, purpose, 0).first);
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_MODELS_COUNTERRANDOM_H_
#define OPENMMSCORE_MODELS_COUNTERRANDOM_H_

#include <cstdint>

#include <Random123/boxmuller.hpp>
#include <Random123/philox.h>
#include <Random123/uniform.hpp>

namespace OpenMMScore {

/**
 * Random numbers that are a function of (seed, stream, index, sub-index): whatever was drawn before, on
 * whichever thread, the same four give the same sequence. Philox 4x32-10, Salmon et al., SC 2011.
 */
class CounterRandom {
public:
    /** What numbers are for; numbers of different streams are independent. */
    enum class Stream : std::uint32_t {
        Initialization = 1,
        Shuffle = 2,
        Sample = 3,
        Validation = 4,
        Split = 5,
        Proposal = 6,
        Perturbation = 7,
        Resampling = 10,
        Bootstrap = 11,
        Probe = 12
    };

    /** @param index, sub  for example a step and a sample; sub < 2^32 */
    CounterRandom(std::uint64_t seed, Stream stream, std::uint64_t index, std::uint32_t sub = 0)
        : key{{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}},
          counter{{0, sub, static_cast<std::uint32_t>(index),
                   static_cast<std::uint32_t>(index >> 32) ^ (static_cast<std::uint32_t>(stream) << 24)}} {}

    /** @return a number between 0 and 1, ends excluded */
    double uniform() { return r123::u01<double>(word()); }
    /** @return the same with all 53 bits of a double, where one of 2^32 values would be too coarse */
    double fineUniform() { return r123::u01fixedpt<double>(wide()); }
    /** @return a standard normal number */
    double normal() {
        if (haveSpare) {
            haveSpare = false;
            return spare;
        }
        const std::uint64_t a = wide(), b = wide();
        const auto pair = r123::boxmuller(a, b);
        spare = pair.y;
        haveSpare = true;
        return pair.x;
    }
    /** @return an integer between 0 and bound - 1 */
    std::uint64_t below(std::uint64_t bound) {
        // The bias of the product is below bound / 2^64.
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(wide()) * bound) >> 64);
    }

private:
    std::uint32_t word() {
        if (used == 4) {
            block = philox(counter, key);
            counter[0]++;
            used = 0;
        }
        return block[used++];
    }

    std::uint64_t wide() {
        const std::uint64_t high = word();
        return high << 32 | word();
    }

    r123::Philox4x32 philox;
    r123::Philox4x32::key_type key;
    r123::Philox4x32::ctr_type counter, block{};
    int used = 4;
    double spare = 0.0;
    bool haveSpare = false;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_COUNTERRANDOM_H_

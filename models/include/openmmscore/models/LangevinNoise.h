#ifndef OPENMMSCORE_MODELS_LANGEVINNOISE_H_
#define OPENMMSCORE_MODELS_LANGEVINNOISE_H_

#include <cstdint>

namespace OpenMMScore {

/**
 * Random numbers for Langevin dynamics that are a function of (seed, molecule, step, particle) and of nothing
 * else: not of how many molecules there are, of threads or of what was drawn before. There is no state to
 * save.
 *
 * Source of the generator: Philox 4x32-10, Salmon et al., SC 2011, doi:10.1145/2063384.2063405, as
 * implemented in Random123; normal numbers by the Box-Muller transform of 64-bit uniform ones.
 */
class LangevinNoise {
public:
    /** What a draw is for; draws for different purposes are independent. */
    enum class Purpose : std::uint32_t {
        Kick = 0,
        SecondKick = 1,
        Acceptance = 2,
        /** Of a sampler that takes noise back to data; a step is one of its updates. */
        DiffusionStart = 8,
        Diffusion = 9
    };

    explicit LangevinNoise(std::uint64_t seed = 0) : seed(seed) {}

    /**
     * @param molecule  which molecule
     * @param step      how many steps were taken before this one
     * @param particle  index in the molecule, below 2^24
     * @param[out] xi   three standard normal numbers
     */
    void computeNormals(std::uint32_t molecule, std::uint64_t step, std::uint32_t particle, Purpose purpose,
                        double xi[3]) const;
    /** @return a number between 0 and 1, 0 excluded; arguments as above */
    double computeUniform(std::uint32_t molecule, std::uint64_t step, Purpose purpose) const;

private:
    std::uint64_t seed;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_LANGEVINNOISE_H_

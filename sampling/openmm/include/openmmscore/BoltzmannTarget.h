#ifndef OPENMMSCORE_BOLTZMANNTARGET_H_
#define OPENMMSCORE_BOLTZMANNTARGET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "openmmscore/OpenMMScoreExport.h"

namespace OpenMM {
class System;
}

namespace OpenMMScore {

/**
 * The Boltzmann distribution of a System, exp(-u(x)) with u(x) = U(x)/kT: reduced energies of many
 * independent configurations, computed by a pool of Contexts, one thread each.
 *
 * U is the potential energy of all force groups at the positions given. Nothing else acts: positions are not
 * moved by constraints, barostats, thermostats or the removal of centre-of-mass motion, whether or not the
 * System has them. Virtual sites are put where their parents say, so that u is a function of the real
 * particles.
 *
 * A frame that has no usable energy never stops the others. It gets a Status, the energy +infinity (hence the
 * weight zero) and, where asked for, forces of NaN. No value is clipped or replaced otherwise.
 *
 * On the Reference platform, and on the CPU platform with one thread per Context (the default), a result is a
 * function of its frame alone: bit for bit the same whatever the number of Contexts, the order of frames and
 * the way they are divided among calls. On devices it is so within their rounding.
 *
 * The System is copied through XML, later changes of it have no effect. Calls from several threads wait for
 * each other.
 *
 *     BoltzmannTarget target(system, 300.0);
 *     BoltzmannTarget::Frames frames{.count = 1000, .positions = positions.data()};
 *     target.evaluate(frames, {.energies = energies.data(), .statuses = statuses.data()});
 */
class OPENMMSCORE_EXPORT BoltzmannTarget {
public:
    /** What became of a frame. */
    enum Status : std::uint8_t {
        Ok = 0,
        /** A coordinate or a box vector is NaN or infinite; nothing was computed. */
        NonFinitePosition = 1,
        /** The energy is NaN or infinite. */
        NonFiniteEnergy = 2,
        /** The reduced energy is finite, and below the lower limit of setEnergyLimits(). */
        EnergyTooLow = 3,
        /** The reduced energy is finite, and above the upper limit. */
        EnergyTooHigh = 4,
        /** Forces were asked for, and one is NaN or infinite. Where they are not, the frame may be Ok. */
        NonFiniteForce = 5,
        /** OpenMM threw an exception; see Failure. */
        OpenMMError = 6
    };
    static constexpr int NumStatuses = 7;
    /** @return the name of a status, as in the enumeration */
    static const char* getStatusName(int status);

    /** Configurations, and the conditions each is evaluated at. Arrays are the caller's, row-major. */
    struct Frames {
        std::int64_t count = 0;
        /** [count, N, 3], nm. */
        const double* positions = nullptr;
        /** [count, 3, 3], nm: three rows in OpenMM's reduced form. Null for the System's default box. */
        const double* boxVectors = nullptr;
        /** [count], K. Null for getTemperature(). */
        const double* temperatures = nullptr;
        /** Names of the global parameters that parameterValues holds; all others have their defaults. */
        std::vector<std::string> parameters = {};
        /** [parameters.size(), count]. */
        const double* parameterValues = nullptr;
    };
    /** Where results go. */
    struct Results {
        /** [count]: u, dimensionless; +infinity unless the status is Ok. */
        double* energies = nullptr;
        /** [count]: Status. */
        std::uint8_t* statuses = nullptr;
        /** [count, N, 3]: -du/dx in 1/nm, or null for energies alone, which is faster. */
        double* forces = nullptr;
    };
    /** The first frame, by index, of status OpenMMError; frame is -1 if there is none. */
    struct Failure {
        std::int64_t frame = -1;
        std::string message;
    };

    /**
     * @param system       copied
     * @param temperature  K
     * @param numContexts  how many Contexts; 0 for as many as there are cores (fewer if the property Threads
     *                     says so), and two for each device of a GPU platform
     * @param platform     a platform's name; empty for the faster of Reference and CPU by a short
     *                     measurement with this System, made here (of more than 1000 particles: CPU)
     * @param properties   of the platform. Threads of the CPU platform is 1 unless given. Where DeviceIndex
     *                     names several devices, Contexts are dealt out among them
     * @throws OpenMMException  if an argument is out of range, there is no such platform, or it cannot make a
     *                          Context of the System
     */
    BoltzmannTarget(const OpenMM::System& system, double temperature, int numContexts = 0,
                    const std::string& platform = "",
                    const std::map<std::string, std::string>& properties = {});
    /** The same with a System that is taken over instead of copied. */
    BoltzmannTarget(std::unique_ptr<OpenMM::System> system, double temperature, int numContexts = 0,
                    const std::string& platform = "",
                    const std::map<std::string, std::string>& properties = {});
    ~BoltzmannTarget();
    BoltzmannTarget(const BoltzmannTarget&) = delete;
    BoltzmannTarget& operator=(const BoltzmannTarget&) = delete;

    /** @return N, virtual sites included */
    int getNumParticles() const;
    /** @return the temperature in K */
    double getTemperature() const;
    int getNumContexts() const;
    /** @return the platform's name, never empty */
    const std::string& getPlatformName() const;
    /** @return properties of the platform that all Contexts have in common, defaults filled in */
    const std::map<std::string, std::string>& getPlatformProperties() const;
    /** @return a sentence on why this platform, with what was measured */
    const std::string& getPlatformReason() const;
    /** @return the copy that was made of the System */
    const OpenMM::System& getSystem() const;
    /** @return the global parameters and their defaults */
    const std::map<std::string, double>& getParameters() const;
    /** @return the lowest reduced energy that counts as Ok (default: -10^4 for each particle) */
    double getLowerEnergyLimit() const;
    /** @return the highest reduced energy that counts as Ok (default: 10^10) */
    double getUpperEnergyLimit() const;
    /**
     * Set between what limits a reduced energy counts as Ok.
     *
     * The lower one matters: two overlapping charges without repulsion can have an energy so low that one
     * broken frame takes all the weight. No condensed matter comes near the default. The upper one only makes
     * exploded frames visible in the counts; their weight is zero anyway.
     *
     * @throws OpenMMException  unless lower < upper; both may be infinite
     */
    void setEnergyLimits(double lower, double upper);
    /**
     * Compute reduced energies, and forces if there is a place for them.
     *
     * @throws OpenMMException  if an array is missing, there is no such parameter, or a parameter or a
     *                          temperature is not finite or a temperature not positive; nothing is computed
     */
    Failure evaluate(const Frames& frames, const Results& results);

private:
    class Pool;
    std::unique_ptr<Pool> pool;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_BOLTZMANNTARGET_H_

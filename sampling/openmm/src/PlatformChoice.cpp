#include "PlatformChoice.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <thread>
#ifdef __linux__
#include <sched.h>
#endif

#include <openmm/OpenMMException.h>
#include <openmm/Platform.h>

#include "Messages.h"

using OpenMM::OpenMMException;
using OpenMM::Platform;

namespace OpenMMScore {

namespace {

/** Reference takes seconds for an energy of a larger System, and never wins there. */
constexpr int mostParticlesOnReference = 1000;

Platform* findPlatform(const std::string& name) {
    for (int i = 0; i < Platform::getNumPlatforms(); i++)
        if (Platform::getPlatform(i).getName() == name)
            return &Platform::getPlatform(i);
    return nullptr;
}

/** @return how many cores this process may use */
int countCores() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return std::max(1, CPU_COUNT(&set));
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

/** One thread for each Context: no waiting for each other, and one order of summation. */
void fillDefaults(const std::string& name, EnergyContext::Properties& properties) {
    if (name == "CPU") {
        properties.emplace("Threads", "1");
        properties.emplace("DeterministicForces", "true");
    }
}

/** @return particles on a simple cubic lattice, about as dense as matter */
std::vector<double> makeLattice(int numParticles) {
    const int side = std::max(1, static_cast<int>(std::ceil(std::cbrt(numParticles))));
    constexpr double spacing = 0.22;
    std::vector<double> positions;
    for (int i = 0; i < numParticles; i++)
        for (int index : {i % side, i / side % side, i / side / side})
            positions.push_back(spacing * index);
    return positions;
}

/** @return the least seconds that an energy took on a platform */
double measure(const OpenMM::System& system, const std::string& name, EnergyContext::Properties properties) {
    using Clock = std::chrono::steady_clock;
    fillDefaults(name, properties);
    EnergyContext context(system, *findPlatform(name), properties);
    const std::vector<double> positions = makeLattice(system.getNumParticles());
    double least = std::numeric_limits<double>::infinity(), sum = 0.0;
    // The first one also allocates. Ten milliseconds are enough to see the rest at full speed.
    for (int i = 0; i < 2 || (sum < 0.01 && i < 200); i++) {
        const auto start = Clock::now();
        try {
            context.compute(positions.data(), nullptr);
        }
        catch (const std::exception&) {
            // A lattice is no configuration of this System, yet the time counts.
        }
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        least = std::min(least, seconds);
        sum += seconds;
    }
    return least;
}

std::string formatMicroseconds(double seconds) {
    std::ostringstream text;
    text.precision(3);
    text << 1e6 * seconds << " us";
    return text.str();
}

void chooseByMeasurement(const OpenMM::System& system, PlatformChoice& choice) {
    if (findPlatform("CPU") == nullptr || findPlatform("Reference") == nullptr) {
        choice.name = findPlatform("CPU") == nullptr ? "Reference" : "CPU";
        choice.reason = "the only one that is loaded of Reference and CPU";
        return;
    }
    if (system.getNumParticles() > mostParticlesOnReference) {
        choice.name = "CPU";
        choice.reason =
            joinText("faster than Reference for more than ", mostParticlesOnReference, " particles");
        return;
    }
    const double reference = measure(system, "Reference", {}), cpu = measure(system, "CPU", {});
    choice.name = reference <= cpu ? "Reference" : "CPU";
    choice.reason = "measured: " + formatMicroseconds(std::min(reference, cpu)) + " for an energy, " +
                    formatMicroseconds(std::max(reference, cpu)) + " on " +
                    (reference <= cpu ? "CPU" : "Reference");
}

std::vector<std::string> splitAtCommas(const std::string& text) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');)
        parts.push_back(part);
    return parts;
}

} // namespace

EnergyContext::Properties PlatformChoice::getProperties(int index) const {
    EnergyContext::Properties result = properties;
    if (!devices.empty())
        result["DeviceIndex"] = devices[index % devices.size()];
    return result;
}

PlatformChoice choosePlatform(const OpenMM::System& system, const std::string& name,
                              const EnergyContext::Properties& properties, int numContexts) {
    PlatformChoice choice;
    choice.name = name;
    choice.reason = "asked for";
    choice.properties = properties;
    if (name.empty() && !properties.empty())
        throw OpenMMException("BoltzmannTarget: platform properties were given without a platform; name it");
    if (name.empty())
        chooseByMeasurement(system, choice);
    else if (findPlatform(name) == nullptr)
        throw OpenMMException("BoltzmannTarget: there is no platform \"" + name +
                              "\"; see openmm.Platform.getPluginLoadFailures() for what did not load");
    fillDefaults(choice.name, choice.properties);
    if (auto found = choice.properties.find("DeviceIndex"); found != choice.properties.end())
        choice.devices = splitAtCommas(found->second);
    const bool onCores = choice.name == "Reference" || choice.name == "CPU";
    int wanted = onCores ? countCores() : 2 * std::max<int>(1, choice.devices.size());
    if (auto found = choice.properties.find("Threads"); found != choice.properties.end())
        wanted = std::max(1, wanted / std::max(1, std::atoi(found->second.c_str())));
    choice.numContexts = numContexts > 0 ? numContexts : wanted;
    return choice;
}

} // namespace OpenMMScore

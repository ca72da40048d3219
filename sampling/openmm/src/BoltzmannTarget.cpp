#include "openmmscore/BoltzmannTarget.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include <openmm/OpenMMException.h>
#include <openmm/Platform.h>
#include <openmm/System.h>
#include <openmm/serialization/XmlSerializer.h>

#include "EnergyContext.h"
#include "Messages.h"
#include "PlatformChoice.h"

using OpenMM::OpenMMException;

namespace OpenMMScore {

namespace {

constexpr double gasConstant = 8.31446261815324e-3; // kJ/mol/K
constexpr double infinity = std::numeric_limits<double>::infinity();

bool allFinite(const double* values, std::size_t count) {
    // The difference is NaN for infinities and NaN, and a sum vectorizes where a test would not.
    double sum = 0.0;
    for (std::size_t i = 0; i < count; i++)
        sum += values[i] - values[i];
    return sum == 0.0;
}

void checkTemperature(double temperature) {
    if (!(temperature > 0.0 && std::isfinite(temperature)))
        throw OpenMMException(joinText("BoltzmannTarget: the temperature must be positive and finite, got ",
                                       temperature, " K"));
}

} // namespace

class BoltzmannTarget::Pool {
public:
    Pool(std::unique_ptr<OpenMM::System> owned, double temperature, int numContexts,
         const std::string& platform, const std::map<std::string, std::string>& properties);

    Failure evaluate(const Frames& frames, const Results& results);

    std::unique_ptr<OpenMM::System> system;
    double temperature;
    PlatformChoice choice;
    double lowerLimit, upperLimit;
    std::vector<std::unique_ptr<EnergyContext>> contexts;

private:
    /** One call's frames, handed out to threads piece by piece. */
    struct Work {
        Work(const Frames& frames, const Results& results, std::int64_t grain)
            : frames(frames), results(results), grain(grain) {}

        const Frames& frames;
        const Results& results;
        const std::int64_t grain;
        std::atomic<std::int64_t> next = 0;
        std::mutex mutex;
        Failure failure;
        std::exception_ptr trouble;
    };

    void check(const Frames& frames, const Results& results) const;
    void run(EnergyContext& context, Work& work) const;
    Status evaluateFrame(EnergyContext& context, Work& work, std::int64_t frame) const;
    Status judge(double energy, const double* forces) const;

    std::mutex mutex;
};

BoltzmannTarget::Pool::Pool(std::unique_ptr<OpenMM::System> owned, double temperature, int numContexts,
                            const std::string& platform, const std::map<std::string, std::string>& properties)
    : system(std::move(owned)), temperature(temperature) {
    checkTemperature(temperature);
    if (numContexts < 0)
        throw OpenMMException(
            joinText("BoltzmannTarget: the number of Contexts must be positive, or 0 for as "
                     "many as suit the machine, got ",
                     numContexts));
    if (system->getNumParticles() == 0)
        throw OpenMMException("BoltzmannTarget: the System has no particles");
    lowerLimit = -1e4 * system->getNumParticles();
    upperLimit = 1e10;
    choice = choosePlatform(*system, platform, properties, numContexts);
    OpenMM::Platform& found = OpenMM::Platform::getPlatformByName(choice.name);
    for (int i = 0; i < choice.numContexts; i++)
        contexts.push_back(std::make_unique<EnergyContext>(*system, found, choice.getProperties(i)));
}

void BoltzmannTarget::Pool::check(const Frames& frames, const Results& results) const {
    if (frames.count < 0 ||
        (frames.count > 0 &&
         (frames.positions == nullptr || results.energies == nullptr || results.statuses == nullptr)))
        throw OpenMMException("BoltzmannTarget: positions, energies and statuses must all be given");
    if (!frames.parameters.empty() && frames.parameterValues == nullptr)
        throw OpenMMException("BoltzmannTarget: parameters are named, but have no values");
    for (std::int64_t i = 0; frames.temperatures != nullptr && i < frames.count; i++)
        checkTemperature(frames.temperatures[i]);
    const auto& known = contexts.front()->getDefaultParameters();
    for (std::size_t k = 0; k < frames.parameters.size(); k++) {
        const std::string& name = frames.parameters[k];
        if (!known.contains(name)) {
            std::string names;
            for (const auto& [each, value] : known)
                names += (names.empty() ? "" : ", ") + each;
            throw OpenMMException("BoltzmannTarget: the System has no global parameter \"" + name +
                                  "\"; it has " + (names.empty() ? "none" : names));
        }
        if (!allFinite(frames.parameterValues + k * frames.count, frames.count))
            throw OpenMMException("BoltzmannTarget: a value of the parameter \"" + name + "\" is not finite");
    }
}

BoltzmannTarget::Failure BoltzmannTarget::Pool::evaluate(const Frames& frames, const Results& results) {
    check(frames, results);
    const std::scoped_lock lock(mutex);
    const std::int64_t most = contexts.size();
    // Small enough that no thread waits long for the last one, large enough to share no cache line often.
    Work work(frames, results, std::clamp<std::int64_t>(frames.count / (16 * most), 1, 16));
    const std::int64_t pieces = (frames.count + work.grain - 1) / work.grain;
    {
        std::vector<std::jthread> threads;
        for (std::int64_t i = 1; i < std::min(most, pieces); i++)
            threads.emplace_back([this, &work, i] { run(*contexts[i], work); });
        run(*contexts[0], work);
    }
    if (work.trouble)
        std::rethrow_exception(work.trouble);
    return work.failure;
}

void BoltzmannTarget::Pool::run(EnergyContext& context, Work& work) const {
    try {
        const std::int64_t count = work.frames.count;
        context.reset();
        for (std::int64_t first; (first = work.next.fetch_add(work.grain)) < count;)
            for (std::int64_t i = first; i < std::min(first + work.grain, count); i++)
                work.results.statuses[i] = evaluateFrame(context, work, i);
    }
    catch (...) {
        // Not a frame's fault: a Context could not be made again, or memory is exhausted.
        const std::scoped_lock lock(work.mutex);
        work.next = work.frames.count;
        work.trouble = std::current_exception();
    }
}

BoltzmannTarget::Status BoltzmannTarget::Pool::evaluateFrame(EnergyContext& context, Work& work,
                                                             std::int64_t frame) const {
    const Frames& frames = work.frames;
    const std::size_t width = 3 * static_cast<std::size_t>(system->getNumParticles());
    const double* positions = frames.positions + frame * width;
    const double* box = frames.boxVectors == nullptr ? nullptr : frames.boxVectors + 9 * frame;
    double* forces = work.results.forces == nullptr ? nullptr : work.results.forces + frame * width;
    double& energy = work.results.energies[frame];

    Status status = Ok;
    if (!allFinite(positions, width) || (box != nullptr && !allFinite(box, 9)))
        status = NonFinitePosition;
    else {
        try {
            for (std::size_t k = 0; k < frames.parameters.size(); k++)
                context.setParameter(frames.parameters[k], frames.parameterValues[k * frames.count + frame]);
            if (box != nullptr)
                context.setBox(box);
            energy = context.compute(positions, forces);
            const double kT =
                gasConstant * (frames.temperatures == nullptr ? temperature : frames.temperatures[frame]);
            energy /= kT;
            for (std::size_t i = 0; forces != nullptr && i < width; i++)
                forces[i] /= kT;
            status = judge(energy, forces);
        }
        catch (const std::exception& error) {
            status = OpenMMError;
            const std::scoped_lock lock(work.mutex);
            if (work.failure.frame < 0 || frame < work.failure.frame)
                work.failure = {frame, error.what()};
        }
    }
    if (status != Ok) {
        energy = infinity;
        if (forces != nullptr)
            std::fill_n(forces, width, std::numeric_limits<double>::quiet_NaN());
    }
    return status;
}

BoltzmannTarget::Status BoltzmannTarget::Pool::judge(double energy, const double* forces) const {
    if (!std::isfinite(energy))
        return NonFiniteEnergy;
    if (energy < lowerLimit)
        return EnergyTooLow;
    if (energy > upperLimit)
        return EnergyTooHigh;
    if (forces != nullptr && !allFinite(forces, 3 * static_cast<std::size_t>(system->getNumParticles())))
        return NonFiniteForce;
    return Ok;
}

const char* BoltzmannTarget::getStatusName(int status) {
    static constexpr const char* names[NumStatuses] = {"Ok",           "NonFinitePosition", "NonFiniteEnergy",
                                                       "EnergyTooLow", "EnergyTooHigh",     "NonFiniteForce",
                                                       "OpenMMError"};
    if (status < 0 || status >= NumStatuses)
        throw OpenMMException(
            joinText("BoltzmannTarget: there is no status ", status, ", they are 0 to ", NumStatuses - 1));
    return names[status];
}

BoltzmannTarget::BoltzmannTarget(const OpenMM::System& system, double temperature, int numContexts,
                                 const std::string& platform,
                                 const std::map<std::string, std::string>& properties)
    : BoltzmannTarget(std::unique_ptr<OpenMM::System>(OpenMM::XmlSerializer::clone(system)), temperature,
                      numContexts, platform, properties) {}

BoltzmannTarget::BoltzmannTarget(std::unique_ptr<OpenMM::System> system, double temperature, int numContexts,
                                 const std::string& platform,
                                 const std::map<std::string, std::string>& properties)
    : pool(std::make_unique<Pool>(std::move(system), temperature, numContexts, platform, properties)) {}

BoltzmannTarget::~BoltzmannTarget() = default;

int BoltzmannTarget::getNumParticles() const {
    return pool->system->getNumParticles();
}

double BoltzmannTarget::getTemperature() const {
    return pool->temperature;
}

int BoltzmannTarget::getNumContexts() const {
    return pool->choice.numContexts;
}

const std::string& BoltzmannTarget::getPlatformName() const {
    return pool->choice.name;
}

const std::map<std::string, std::string>& BoltzmannTarget::getPlatformProperties() const {
    return pool->choice.properties;
}

const std::string& BoltzmannTarget::getPlatformReason() const {
    return pool->choice.reason;
}

const OpenMM::System& BoltzmannTarget::getSystem() const {
    return *pool->system;
}

const std::map<std::string, double>& BoltzmannTarget::getParameters() const {
    return pool->contexts.front()->getDefaultParameters();
}

double BoltzmannTarget::getLowerEnergyLimit() const {
    return pool->lowerLimit;
}

double BoltzmannTarget::getUpperEnergyLimit() const {
    return pool->upperLimit;
}

void BoltzmannTarget::setEnergyLimits(double lower, double upper) {
    if (!(lower < upper))
        throw OpenMMException(
            joinText("BoltzmannTarget: the lower limit of reduced energies must lie below the "
                     "upper one, got ",
                     lower, " and ", upper));
    pool->lowerLimit = lower;
    pool->upperLimit = upper;
}

BoltzmannTarget::Failure BoltzmannTarget::evaluate(const Frames& frames, const Results& results) {
    return pool->evaluate(frames, results);
}

} // namespace OpenMMScore

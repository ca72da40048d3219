#include "openmmscore/sampling/DiffusionProposal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <string>
#include <thread>

#include "DiffusionSamples.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Space = ModelDescription::Space;

/** As many samples as a thread integrates together: networks are prepared for each time once for all of them.
 */
constexpr std::int64_t piece = 4096;
/** Fewer samples than that are not worth another thread, which prepares the networks for itself. */
constexpr int leastShare = 8;

DiffusionProposal::Settings checked(const ScoreModel& model, DiffusionProposal::Settings settings) {
    const ModelDescription& description = model.getDescription();
    const std::string origin = "DiffusionProposal: " + model.getFile().getOrigin() + ": ";
    const bool particles = description.space == Space::Particles;
    if (particles != (settings.frame == Proposal::Frame::Centred))
        throw ShapeError(origin + (particles
                                       ? "a model of particles knows no centroid, so its frame is centred"
                                       : "the frame of a model of vectors is vector, or absolute"));
    if (settings.frame == Proposal::Frame::Absolute && description.count % 3 != 0)
        throw ShapeError(origin + "its " + std::to_string(description.count) +
                         " numbers are no positions of particles, as the frame absolute asks for");
    return settings;
}

} // namespace

struct DiffusionProposal::Pool {
    std::mutex mutex;
    std::vector<std::unique_ptr<ProbabilityFlow>> idle;
};

/** An integrator for the time of one call. */
class DiffusionProposal::Loan {
public:
    explicit Loan(const DiffusionProposal& proposal) : pool(*proposal.pool) {
        {
            const std::lock_guard lock(pool.mutex);
            if (!pool.idle.empty()) {
                flow = std::move(pool.idle.back());
                pool.idle.pop_back();
                return;
            }
        }
        const Settings& s = proposal.settings;
        flow = std::make_unique<ProbabilityFlow>(proposal.model, s.features, s.time, s.numSteps, 1, s.engine);
    }
    ~Loan() {
        const std::lock_guard lock(pool.mutex);
        pool.idle.push_back(std::move(flow));
    }
    ProbabilityFlow& operator*() const { return *flow; }

private:
    Pool& pool;
    std::unique_ptr<ProbabilityFlow> flow;
};

DiffusionProposal::DiffusionProposal(std::shared_ptr<const ScoreModel> ownModel, Settings given)
    : model(std::move(ownModel)), settings(checked(*model, std::move(given))),
      coordinates(settings.frame == Frame::Absolute ? model->getDescription().count / 3
                                                    : model->getDescription().count,
                  settings.frame),
      width(model->getDescription().getNumCoordinates()), lengthScale(model->getDescription().lengthScale),
      pool(std::make_unique<Pool>()) {
    if (settings.numThreads < 0)
        throw Error("DiffusionProposal: expected threads or 0 for all processors, got " +
                    std::to_string(settings.numThreads));
    if (settings.numThreads == 0)
        settings.numThreads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    // Whatever is wrong with the rest shall be said now.
    const Loan first(*this);
}

DiffusionProposal::~DiffusionProposal() = default;

Proposal::Frame DiffusionProposal::usualFrame(const ScoreModel& model) {
    return model.getDescription().space == Space::Particles ? Frame::Centred : Frame::Vector;
}

int DiffusionProposal::getNumParticles() const {
    return settings.frame == Frame::Vector ? 0 : width / 3;
}

/** Call work(flow, first, size) for shares of `count` samples, side by side, each with a flow of its own. */
template <class Work>
void DiffusionProposal::inShares(std::int64_t count, Work work) const {
    const std::int64_t atOnce = piece * settings.numThreads;
    for (std::int64_t begin = 0; begin < count; begin += atOnce) {
        const int size = static_cast<int>(std::min(atOnce, count - begin));
        // Made here, because what a thread throws is lost.
        std::vector<std::unique_ptr<Loan>> flows;
        for (int i = 0; i < std::clamp(size / leastShare, 1, settings.numThreads); i++)
            flows.push_back(std::make_unique<Loan>(*this));
        shareOut(
            settings.numThreads, size,
            [&](int thread, int first, int share) {
                work(**flows[static_cast<std::size_t>(thread)], begin + first, share);
            },
            leastShare);
    }
}

void DiffusionProposal::sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                               double* density) const {
    inShares(count, [&](ProbabilityFlow& flow, std::int64_t begin, int size) {
        double* z = positions + begin * width;
        for (int i = 0; i < size; i++) {
            double* own = z + std::size_t(i) * width;
            CounterRandom random(seed, CounterRandom::Stream::Proposal,
                                 static_cast<std::uint64_t>(first + begin + i));
            std::generate_n(own, width, [&] { return random.normal(); });
            if (settings.frame == Frame::Centred)
                removeMean(width, own);
        }
        flow.generate(size, z, nullptr, 0, flow.getNumSteps());
        std::for_each_n(z, std::size_t(size) * width, [&](double& x) { x *= lengthScale; });
        computeDensities(flow, size, z, density + begin);
    });
}

void DiffusionProposal::logDensity(std::int64_t count, const double* positions, double* density) const {
    inShares(count, [&](ProbabilityFlow& flow, std::int64_t begin, int size) {
        computeDensities(flow, size, positions + begin * width, density + begin);
    });
}

/** @return positions in the network's units, centred where that is the frame */
std::vector<double> DiffusionProposal::scaled(int count, const double* x) const {
    std::vector<double> z(x, x + std::size_t(count) * width);
    for (int i = 0; i < count; i++) {
        double* own = &z[std::size_t(i) * width];
        std::for_each_n(own, width, [&](double& each) { each /= lengthScale; });
        if (settings.frame == Frame::Centred)
            removeMean(width, own);
    }
    return z;
}

void DiffusionProposal::computeDensities(ProbabilityFlow& flow, int count, const double* x,
                                         double* density) const {
    std::vector<double> z = scaled(count, x);
    std::fill_n(density, count, 0.0);
    flow.absorb(count, z.data(), density, 0, flow.getNumSteps());
    flow.addPrior(count, z.data(), density);
    const double shift = -flow.getNumDimensions() * std::log(lengthScale);
    for (int i = 0; i < count; i++) {
        const bool finite = std::all_of(x + std::size_t(i) * width, x + std::size_t(i + 1) * width,
                                        [](double each) { return std::isfinite(each); });
        density[i] = finite ? density[i] + shift : std::numeric_limits<double>::quiet_NaN();
    }
}

void DiffusionProposal::toBase(std::int64_t count, const double* positions, double* y, double* logDet) const {
    inShares(count, [&](ProbabilityFlow& flow, std::int64_t begin, int size) {
        std::vector<double> z = scaled(size, positions + begin * width);
        double* result = logDet + begin;
        std::fill_n(result, size, -flow.getNumDimensions() * std::log(lengthScale));
        // absorb() knows densities, from which what is lost on the way is taken away.
        flow.absorb(size, z.data(), result, 0, flow.getNumSteps());
        for (int i = 0; i < size; i++)
            coordinates.toCoordinates(&z[std::size_t(i) * width], y + (begin + i) * getBaseDimension());
    });
}

void DiffusionProposal::fromBase(std::int64_t count, const double* y, double* positions,
                                 double* logDet) const {
    inShares(count, [&](ProbabilityFlow& flow, std::int64_t begin, int size) {
        double *z = positions + begin * width, *result = logDet + begin;
        for (int i = 0; i < size; i++)
            coordinates.toPositions(y + (begin + i) * getBaseDimension(), z + std::size_t(i) * width);
        std::fill_n(result, size, 0.0);
        flow.generate(size, z, result, 0, flow.getNumSteps());
        std::for_each_n(z, std::size_t(size) * width, [&](double& x) { x *= lengthScale; });
        for (int i = 0; i < size; i++)
            result[i] = flow.getNumDimensions() * std::log(lengthScale) - result[i];
    });
}

} // namespace OpenMMScore

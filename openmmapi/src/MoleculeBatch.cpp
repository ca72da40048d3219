#include "openmmscore/internal/MoleculeBatch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "Messages.h"
#include "openmmscore/ScoreForce.h"
#include "openmmscore/models/FastEvaluator.h"

using OpenMM::OpenMMException;
using OpenMM::Vec3;

namespace OpenMMScore {

namespace {

/** kJ/mol/K: the molar gas constant (CODATA 2018, exact), which OpenMM calls BOLTZ. */
constexpr double gasConstant = 8.31446261815324e-3;

/** @return whether any Force of the System is periodic; a Force that does not say so counts as not */
bool isPeriodic(const OpenMM::System& system) {
    for (int i = 0; i < system.getNumForces(); i++) {
        try {
            if (system.getForce(i).usesPeriodicBoundaryConditions())
                return true;
        }
        catch (const OpenMMException&) {
            // The base class throws for a plugin's Force that never says.
        }
    }
    return false;
}

} // namespace

MoleculeBatch::MoleculeBatch(const OpenMM::System& system, const ScoreForce& force, Engine engine,
                             int numThreads)
    : engine(engine), numThreads(numThreads), model(force.getSharedModel()),
      numMolecules(force.getNumMolecules()), kT(gasConstant * force.getTemperature()),
      lengthScale(force.getLengthScale()), periodic(isPeriodic(system)), failedMolecule(numMolecules) {
    const ModelDescription& description = model->getDescription();
    numParticles = description.getNumParticles();
    numCoordinates = description.getNumCoordinates();
    translational = description.space == ModelDescription::Space::Particles;
    links = moleculeLinks(description);
    std::vector<int> own, features;
    for (int m = 0; m < numMolecules; m++) {
        force.getMoleculeParameters(m, own, features);
        particles.insert(particles.end(), own.begin(), own.end());
    }
    evaluator = createEvaluator(force);
    blockSize = evaluator->getBlockSize();
    const std::size_t size = static_cast<std::size_t>(numMolecules) * numCoordinates;
    coordinates.resize(size);
    scores.resize(size);
    energies.resize(numMolecules);
}

MoleculeBatch::~MoleculeBatch() = default;

std::unique_ptr<Evaluator> MoleculeBatch::createEvaluator(const ScoreForce& force) const {
    std::vector<int> features, ownParticles, own;
    for (int m = 0; m < numMolecules; m++) {
        force.getMoleculeParameters(m, ownParticles, own);
        features.insert(features.end(), own.begin(), own.end());
    }
    const double t = force.getDiffusionTime();
    return translateErrors([&] {
        return engine == Engine::Fast ? createFastEvaluator(*model, t, features, numMolecules, numThreads)
                                      : model->createEvaluator(t, features, numMolecules, numThreads);
    });
}

void MoleculeBatch::updateParameters(const ScoreForce& force) {
    evaluator = createEvaluator(force);
    blockSize = evaluator->getBlockSize();
}

void MoleculeBatch::begin() {
    failedMolecule = numMolecules;
    failure = nullptr;
}

void MoleculeBatch::evaluateBlock(int thread, int block, const Request& request) noexcept {
    const int first = block * blockSize, count = std::min(blockSize, numMolecules - first);
    const std::size_t start = static_cast<std::size_t>(first) * numCoordinates;
    try {
        for (int m = first; m < first + count; m++)
            if (!gather(m, request, &coordinates[static_cast<std::size_t>(m) * numCoordinates])) {
                recordFailure(m, nullptr);
                return;
            }
        evaluator->evaluate(thread, first, count, &coordinates[start],
                            request.includeEnergy ? &energies[first] : nullptr,
                            request.forces != nullptr ? &scores[start] : nullptr);
        for (int m = first; m < first + count; m++) {
            if (!isFinite(m, request))
                recordFailure(m, nullptr);
            if (request.forces != nullptr)
                addForces(m, request);
        }
    }
    catch (...) {
        recordFailure(first, std::current_exception());
    }
}

bool MoleculeBatch::gather(int molecule, const Request& request, double* z) const {
    const int* own = &particles[static_cast<std::size_t>(molecule) * numParticles];
    for (int k = 0; k < numCoordinates; k++) {
        z[k] = request.positions[own[k / 3]][k % 3];
        if (!std::isfinite(z[k]))
            return false;
    }
    if (translational && periodic)
        makeWhole(own, request, z);
    if (translational)
        centre(z);
    for (int k = 0; k < numCoordinates; k++)
        z[k] /= lengthScale;
    return true;
}

void MoleculeBatch::makeWhole(const int* own, const Request& request, double* x) const {
    for (const MoleculeLink& link : links) {
        const Vec3& position = request.positions[own[link.particle]];
        const double* neighbour = x + 3 * link.neighbour;
        Vec3 delta = position - Vec3(neighbour[0], neighbour[1], neighbour[2]);
        // The third box vector may lean along the first two, so it comes first.
        Vec3 shift;
        for (int k = 2; k >= 0; k--) {
            Vec3 step = request.box[k] * std::floor((delta[k] - shift[k]) / request.box[k][k] + 0.5);
            shift += step;
        }
        for (int k = 0; k < 3; k++)
            x[3 * link.particle + k] = position[k] - shift[k];
    }
}

void MoleculeBatch::centre(double* x) const {
    double mean[3] = {0, 0, 0};
    for (int k = 0; k < numCoordinates; k++)
        mean[k % 3] += x[k] / numParticles;
    for (int k = 0; k < numCoordinates; k++)
        x[k] -= mean[k % 3];
}

bool MoleculeBatch::isFinite(int molecule, const Request& request) const {
    if (request.includeEnergy && !std::isfinite(energies[molecule]))
        return false;
    if (request.forces == nullptr)
        return true;
    const double* score = &scores[static_cast<std::size_t>(molecule) * numCoordinates];
    return std::all_of(score, score + numCoordinates, [](double s) { return std::isfinite(s); });
}

void MoleculeBatch::addForces(int molecule, const Request& request) {
    const int* own = &particles[static_cast<std::size_t>(molecule) * numParticles];
    const double* score = &scores[static_cast<std::size_t>(molecule) * numCoordinates];
    const double factor = request.scale * kT / lengthScale;
    for (int k = 0; k < numCoordinates; k++)
        (*request.forces)[own[k / 3]][k % 3] += factor * score[k];
}

void MoleculeBatch::recordFailure(int molecule, std::exception_ptr exception) {
    std::lock_guard<std::mutex> lock(failureMutex);
    if (molecule >= failedMolecule)
        return;
    failedMolecule = molecule;
    failure = std::move(exception);
}

double MoleculeBatch::finish(const Request& request) const {
    if (failedMolecule < numMolecules)
        explainFailure(request);
    double sum = 0;
    if (request.includeEnergy)
        for (double energy : energies)
            sum += energy;
    return kT * sum;
}

void MoleculeBatch::explainFailure(const Request& request) const {
    const int molecule = failedMolecule;
    if (failure != nullptr) {
        try {
            std::rethrow_exception(failure);
        }
        catch (const std::exception& error) {
            throw OpenMMException(joinText("ScoreForce: molecule ", molecule, ": ", error.what()));
        }
    }
    const int* own = &particles[static_cast<std::size_t>(molecule) * numParticles];
    const double* score = &scores[static_cast<std::size_t>(molecule) * numCoordinates];
    for (int k = 0; k < numCoordinates; k++)
        if (!std::isfinite(request.positions[own[k / 3]][k % 3]))
            throw OpenMMException(joinText("ScoreForce: particle ", own[k / 3], " (molecule ", molecule,
                                           ") has a position that is not finite"));
    if (request.forces != nullptr)
        for (int k = 0; k < numCoordinates; k++)
            if (!std::isfinite(score[k]))
                throw OpenMMException(joinText("ScoreForce: the force on particle ", own[k / 3],
                                               " (molecule ", molecule, ") is not finite"));
    throw OpenMMException(joinText("ScoreForce: the energy of molecule ", molecule,
                                   " (its first particle is ", own[0], ") is not finite"));
}

} // namespace OpenMMScore

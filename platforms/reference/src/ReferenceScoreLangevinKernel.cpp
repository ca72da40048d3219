#include "ReferenceScoreLangevinKernel.h"

#include <algorithm>
#include <cmath>
#include <istream>
#include <ostream>

#include <openmm/OpenMMException.h>
#include <openmm/internal/ContextImpl.h>
#include <openmm/internal/OSRngSeed.h>

#include "openmmscore/ScoreForce.h"
#include "openmmscore/ScoreLangevinIntegrator.h"
#include "openmmscore/internal/ScoreForceImpl.h"

using namespace OpenMM;

namespace OpenMMScore {

namespace {

constexpr double boltzmann = 8.31446261815324e-3;
constexpr std::int32_t checkpointVersion = 1;

template <class T>
void writeValue(std::ostream& stream, const T& value) {
    stream.write(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <class T>
T readValue(std::istream& stream) {
    T value{};
    stream.read(reinterpret_cast<char*>(&value), sizeof(T));
    if (!stream)
        throw OpenMMException("ScoreLangevinIntegrator: the checkpoint ends too early");
    return value;
}

} // namespace

void ReferenceIntegrateScoreLangevinStepKernel::initialize(const System& system,
                                                           const ScoreLangevinIntegrator& integrator,
                                                           const std::vector<ScoreForceImpl*>& scoreForces,
                                                           bool only) {
    forces = scoreForces;
    onlyForces = only;
    table = MoleculeTable::create(system, forces);
    const int numMolecules = static_cast<int>(table.molecules.size()), n = system.getNumParticles();
    const bool metropolized = integrator.getScheme() == ScoreLangevinIntegrator::Metropolized;
    if (metropolized && !onlyForces)
        throw OpenMMException(
            "ScoreLangevinIntegrator: the Metropolized scheme needs the energy of each molecule, so "
            "every force of the System must be a ScoreForce and there can be no virtual sites");
    for (const std::vector<int>& molecules : table.forceMolecules)
        if (metropolized && std::count(molecules.begin(), molecules.end(), -1) > 0)
            throw OpenMMException(
                "ScoreLangevinIntegrator: a molecule of one ScoreForce is spread over several of "
                "another, so the Metropolized scheme cannot accept them one by one");
    const std::vector<double>& temperatures = integrator.getMoleculeTemperatures();
    if (!temperatures.empty() && static_cast<int>(temperatures.size()) != numMolecules)
        throw OpenMMException("ScoreLangevinIntegrator: there are " + std::to_string(temperatures.size()) +
                              " molecule temperatures for " + std::to_string(numMolecules) + " molecules");
    seed = static_cast<std::uint32_t>(integrator.getRandomNumberSeed());
    if (seed == 0)
        seed = static_cast<std::uint32_t>(osrngseed());
    noise = LangevinNoise(seed);
    moleculeOffset = integrator.getMoleculeOffset();
    for (int i = 0; i < n; i++)
        masses.push_back(system.getParticleMass(i));
    thermalEnergies.assign(numMolecules, 0.0);
    accepted.assign(numMolecules, 0);
    if (metropolized) {
        for (std::vector<Vec3>* array : {&oldPositions, &oldVelocities, &oldForces, &startVelocities})
            array->resize(n);
        for (std::vector<double>* array : {&energies, &oldEnergies, &oldKinetic})
            array->resize(numMolecules);
    }
}

void ReferenceIntegrateScoreLangevinStepKernel::computeForces(ContextImpl& context, bool includeEnergy) {
    std::fill(data.forces->begin(), data.forces->end(), Vec3());
    if (includeEnergy)
        std::fill(energies.begin(), energies.end(), 0.0);
    for (std::size_t f = 0; f < forces.size(); f++) {
        forces[f]->computeDirectly(context, true, includeEnergy);
        if (!includeEnergy)
            continue;
        for (int m = 0; m < forces[f]->getNumMolecules(); m++)
            energies[table.forceMolecules[f][m]] += forces[f]->getMoleculeEnergy(m);
    }
}

void ReferenceIntegrateScoreLangevinStepKernel::thermalize(const ScoreLangevinIntegrator& integrator,
                                                           double a, double forceFactor,
                                                           LangevinNoise::Purpose purpose) {
    const std::vector<double>& temperatures = integrator.getMoleculeTemperatures();
    const std::uint64_t step = data.stepCount;
    for (std::size_t m = 0; m < table.molecules.size(); m++) {
        thermalEnergies[m] =
            boltzmann * (temperatures.empty() ? integrator.getTemperature() : temperatures[m]);
        const std::vector<int>& particles = table.molecules[m];
        for (std::size_t i = 0; i < particles.size(); i++) {
            const int p = particles[i];
            if (masses[p] == 0)
                continue;
            double xi[3];
            noise.computeNormals(moleculeOffset + static_cast<std::uint32_t>(m), step,
                                 static_cast<std::uint32_t>(i), purpose, xi);
            const double spread = std::sqrt(thermalEnergies[m] * (1 - a * a) / masses[p]);
            Vec3& v = (*data.velocities)[p];
            v = v * a + (*data.forces)[p] * (forceFactor / masses[p]) + Vec3(xi[0], xi[1], xi[2]) * spread;
        }
    }
}

void ReferenceIntegrateScoreLangevinStepKernel::execute(ContextImpl& context,
                                                        const ScoreLangevinIntegrator& integrator) {
    const double dt = integrator.getStepSize(), friction = integrator.getFriction();
    const double a = std::exp(-friction * dt);
    std::vector<Vec3>&x = *data.positions, &v = *data.velocities;
    if (integrator.getScheme() == ScoreLangevinIntegrator::Legacy) {
        thermalize(integrator, a, friction == 0 ? dt : (1 - a) / friction, LangevinNoise::Purpose::Kick);
        for (std::size_t i = 0; i < masses.size(); i++)
            if (masses[i] != 0)
                x[i] += v[i] * dt;
    }
    else {
        for (std::size_t i = 0; i < masses.size(); i++)
            if (masses[i] != 0) {
                v[i] += (*data.forces)[i] * (dt / masses[i]);
                x[i] += v[i] * (0.5 * dt);
            }
        thermalize(integrator, a, 0.0, LangevinNoise::Purpose::Kick);
        for (std::size_t i = 0; i < masses.size(); i++)
            if (masses[i] != 0)
                x[i] += v[i] * (0.5 * dt);
    }
    if (!onlyForces)
        context.computeVirtualSites();
    finishStep(dt);
}

void ReferenceIntegrateScoreLangevinStepKernel::executeLoop(ContextImpl& context,
                                                            const ScoreLangevinIntegrator& integrator,
                                                            int steps) {
    // The first time the Context itself is asked, which says so if positions were never set.
    if (!contextWasAsked)
        context.calcForcesAndEnergy(true, false, integrator.getIntegrationForceGroups());
    contextWasAsked = true;
    for (int i = 0; i < steps; i++)
        if (integrator.getScheme() == ScoreLangevinIntegrator::Metropolized)
            stepMetropolized(context, integrator);
        else {
            computeForces(context, false);
            execute(context, integrator);
        }
}

void ReferenceIntegrateScoreLangevinStepKernel::stepMetropolized(ContextImpl& context,
                                                                 const ScoreLangevinIntegrator& integrator) {
    const double dt = integrator.getStepSize(), a = std::exp(-0.5 * integrator.getFriction() * dt);
    std::vector<Vec3>&x = *data.positions, &v = *data.velocities, &f = *data.forces;
    if (!forcesAreValid) {
        computeForces(context, true);
        forcesAreValid = true;
    }
    startVelocities = v;
    thermalize(integrator, a, 0.0, LangevinNoise::Purpose::Kick);
    for (std::size_t m = 0; m < table.molecules.size(); m++)
        oldKinetic[m] = computeMoleculeKineticEnergy(static_cast<int>(m));
    oldPositions = x;
    oldVelocities = v;
    oldForces = f;
    oldEnergies = energies;

    // Velocity Verlet. Should the new state have no finite energy, nothing has happened.
    for (std::size_t i = 0; i < masses.size(); i++)
        if (masses[i] != 0) {
            v[i] += f[i] * (0.5 * dt / masses[i]);
            x[i] += v[i] * dt;
        }
    try {
        computeForces(context, true);
    }
    catch (...) {
        x = oldPositions;
        v = startVelocities;
        forcesAreValid = false;
        throw;
    }
    for (std::size_t i = 0; i < masses.size(); i++)
        if (masses[i] != 0)
            v[i] += f[i] * (0.5 * dt / masses[i]);
    acceptOrReject();
    thermalize(integrator, a, 0.0, LangevinNoise::Purpose::SecondKick);
    finishStep(dt);
}

void ReferenceIntegrateScoreLangevinStepKernel::acceptOrReject() {
    std::vector<Vec3>&x = *data.positions, &v = *data.velocities, &f = *data.forces;
    tried++;
    for (std::size_t m = 0; m < table.molecules.size(); m++) {
        const double change =
            energies[m] - oldEnergies[m] + computeMoleculeKineticEnergy(static_cast<int>(m)) - oldKinetic[m];
        const double u = noise.computeUniform(moleculeOffset + static_cast<std::uint32_t>(m), data.stepCount,
                                              LangevinNoise::Purpose::Acceptance);
        if (change <= 0 || u < std::exp(-change / thermalEnergies[m])) {
            accepted[m]++;
            continue;
        }
        // Take the step back and reverse the velocity.
        for (int p : table.molecules[m]) {
            x[p] = oldPositions[p];
            v[p] = oldVelocities[p] * -1.0;
            f[p] = oldForces[p];
        }
        energies[m] = oldEnergies[m];
    }
}

double ReferenceIntegrateScoreLangevinStepKernel::computeMoleculeKineticEnergy(int molecule) const {
    double sum = 0;
    for (int p : table.molecules[molecule])
        sum += 0.5 * masses[p] * (*data.velocities)[p].dot((*data.velocities)[p]);
    return sum;
}

double ReferenceIntegrateScoreLangevinStepKernel::computeKineticEnergy(ContextImpl&) {
    double sum = 0;
    for (std::size_t m = 0; m < table.molecules.size(); m++)
        sum += computeMoleculeKineticEnergy(static_cast<int>(m));
    return sum;
}

void ReferenceIntegrateScoreLangevinStepKernel::finishStep(double stepSize) {
    data.time += stepSize;
    data.stepCount++;
}

void ReferenceIntegrateScoreLangevinStepKernel::createCheckpoint(std::ostream& stream) const {
    writeValue(stream, checkpointVersion);
    writeValue(stream, seed);
    writeValue(stream, tried);
    writeValue(stream, static_cast<std::int64_t>(accepted.size()));
    for (std::int64_t count : accepted)
        writeValue(stream, count);
}

void ReferenceIntegrateScoreLangevinStepKernel::loadCheckpoint(std::istream& stream) {
    if (readValue<std::int32_t>(stream) != checkpointVersion)
        throw OpenMMException("ScoreLangevinIntegrator: the checkpoint has an unknown version");
    seed = readValue<std::uint64_t>(stream);
    tried = readValue<std::int64_t>(stream);
    const auto numMolecules = readValue<std::int64_t>(stream);
    if (numMolecules != static_cast<std::int64_t>(accepted.size()))
        throw OpenMMException("ScoreLangevinIntegrator: the checkpoint is of " +
                              std::to_string(numMolecules) + " molecules, but this System has " +
                              std::to_string(accepted.size()));
    for (std::int64_t& count : accepted)
        count = readValue<std::int64_t>(stream);
    noise = LangevinNoise(seed);
    forcesAreValid = false;
}

} // namespace OpenMMScore

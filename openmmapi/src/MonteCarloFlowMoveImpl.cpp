#include "openmmscore/internal/MonteCarloFlowMoveImpl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string_view>
#include <typeinfo>

#include <openmm/CMMotionRemover.h>
#include <openmm/CompoundIntegrator.h>
#include <openmm/CustomIntegrator.h>
#include <openmm/Integrator.h>
#include <openmm/System.h>
#include <openmm/VirtualSite.h>
#include <openmm/internal/ContextImpl.h>

#include "Messages.h"
#include "ProposalStream.h"

using OpenMM::ContextImpl;
using OpenMM::OpenMMException;
using OpenMM::Vec3;

namespace OpenMMScore {

namespace {

/** kJ/mol/K */
constexpr double gasConstant = 8.31446261815324e-3;

/** Which of the random numbers of one seed. */
enum class Stream : std::uint64_t { Samples = 1, Decisions = 2 };

/** SplitMix64: a hash of 64 bits in which all depend on all (Steele et al., OOPSLA 2014). */
std::uint64_t scramble(std::uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/** @return a key for one stream of random numbers */
std::uint64_t makeKey(int seed, int place, double epoch, Stream stream) {
    std::uint64_t key = scramble(static_cast<std::uint32_t>(seed));
    key = scramble(key ^ static_cast<std::uint64_t>(place));
    key = scramble(key ^ static_cast<std::uint64_t>(epoch));
    return scramble(key ^ static_cast<std::uint64_t>(stream));
}

/** @return whether the integrator sets Context parameters back that change during its step */
bool overwritesParameters(const OpenMM::Integrator& integrator) {
    if (const auto* compound = dynamic_cast<const OpenMM::CompoundIntegrator*>(&integrator))
        return overwritesParameters(compound->getIntegrator(compound->getCurrentIntegrator()));
    return dynamic_cast<const OpenMM::CustomIntegrator*>(&integrator) != nullptr;
}

/** Asks an Integrator what it tells only its friends and heirs. */
class IntegratorAccess : public OpenMM::Integrator {
public:
    static double getVelocityLag(const Integrator& integrator) {
        return (integrator.*(&IntegratorAccess::getVelocityTimeOffset))();
    }
};

bool allFinite(std::span<const double> values) {
    return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

} // namespace

MonteCarloFlowMoveImpl::MonteCarloFlowMoveImpl(const MonteCarloFlowMove& owner)
    : owner(owner), proposal(owner.getSharedProposal()), frequency(owner.getFrequency()),
      centred(proposal->getFrame() == Proposal::Frame::Centred), keepMomentum(centred),
      seed(owner.getRandomNumberSeed()) {
    forceGroup = owner.getForceGroup();
    while (seed == 0)
        seed = static_cast<int>(std::random_device()());
}

MonteCarloFlowMoveImpl::~MonteCarloFlowMoveImpl() = default;

void MonteCarloFlowMoveImpl::initialize(ContextImpl& context) {
    const OpenMM::System& system = context.getSystem();
    checkParticles(system);
    // By name, because RPMDIntegrator is in a library of its own.
    if (std::string_view(typeid(context.getIntegrator()).name()).find("RPMDIntegrator") !=
        std::string_view::npos)
        throw OpenMMException(
            "MonteCarloFlowMove: the copies of an RPMDIntegrator are bound to each other, so "
            "one cannot be moved alone; use another integrator");
    for (int m = 0; m < owner.getNumMolecules(); m++) {
        Molecule molecule;
        molecule.particles = owner.getMoleculeParticles(m);
        for (int particle : molecule.particles) {
            molecule.masses.push_back(system.getParticleMass(particle));
            molecule.totalMass += molecule.masses.back();
        }
        molecules.push_back(std::move(molecule));
    }
    for (int i = 0; i < system.getNumForces(); i++) {
        if (&system.getForce(i) == &owner)
            place = i;
        if (dynamic_cast<const OpenMM::CMMotionRemover*>(&system.getForce(i)) != nullptr)
            keepMomentum = true;
    }
}

void MonteCarloFlowMoveImpl::checkParticles(const OpenMM::System& system) const {
    if (owner.getNumMolecules() == 0)
        throw OpenMMException("MonteCarloFlowMove: there is no molecule to move; call addMolecule() before "
                              "creating a Context");
    std::vector<int> moleculeOf(system.getNumParticles(), -1);
    for (int m = 0; m < owner.getNumMolecules(); m++)
        for (int particle : owner.getMoleculeParticles(m)) {
            if (particle >= system.getNumParticles())
                throw OpenMMException(
                    joinText("MonteCarloFlowMove: molecule ", m, " has a particle of index ", particle,
                             ", the System has only ", system.getNumParticles(), " particles"));
            if (moleculeOf[particle] >= 0)
                throw OpenMMException(joinText("MonteCarloFlowMove: particle ", particle, " is in molecule ",
                                               moleculeOf[particle], " and in molecule ", m));
            if (system.isVirtualSite(particle))
                throw OpenMMException(joinText("MonteCarloFlowMove: particle ", particle, " of molecule ", m,
                                               " is a virtual site, whose place follows from others; use a "
                                               "proposal of the particles that it depends on"));
            if (system.getParticleMass(particle) == 0.0)
                throw OpenMMException(joinText("MonteCarloFlowMove: particle ", particle, " of molecule ", m,
                                               " has no mass, which in OpenMM means that it never moves"));
            moleculeOf[particle] = m;
        }
    for (int i = 0; i < system.getNumConstraints(); i++) {
        int ends[2];
        double distance;
        system.getConstraintParameters(i, ends[0], ends[1], distance);
        for (int particle : ends)
            if (moleculeOf[particle] >= 0)
                throw OpenMMException(
                    joinText("MonteCarloFlowMove: particle ", particle, " of molecule ", moleculeOf[particle],
                             " has a constraint (to particle ", particle == ends[0] ? ends[1] : ends[0],
                             "), which drawn positions would not obey; create the System without "
                             "constraints on the molecules that are moved"));
    }
}

std::map<std::string, double> MonteCarloFlowMoveImpl::getDefaultParameters() {
    return {{MonteCarloFlowMove::Temperature(), owner.getDefaultTemperature()},
            {MonteCarloFlowMove::LastStep(), -1.0},
            {MonteCarloFlowMove::Epoch(), 0.0}};
}

std::vector<std::pair<int, int>> MonteCarloFlowMoveImpl::getBondedParticles() const {
    std::vector<std::pair<int, int>> links;
    for (const Molecule& molecule : molecules)
        for (std::size_t i = 1; i < molecule.particles.size(); i++)
            links.emplace_back(molecule.particles[0], molecule.particles[i]);
    return links;
}

MonteCarloFlowMove::Statistics MonteCarloFlowMoveImpl::getStatistics(int molecule) const {
    MonteCarloFlowMove::Statistics sum;
    double acceptanceSum = 0;
    for (int m = 0; m < getNumMolecules(); m++) {
        if (molecule != -1 && molecule != m)
            continue;
        sum.attempted += molecules[m].attempted;
        sum.accepted += molecules[m].accepted;
        sum.invalid += molecules[m].invalid;
        acceptanceSum += molecules[m].acceptanceSum;
    }
    if (sum.attempted > 0)
        sum.expectedAcceptance = acceptanceSum / static_cast<double>(sum.attempted);
    return sum;
}

void MonteCarloFlowMoveImpl::resetStatistics() {
    for (Molecule& molecule : molecules) {
        molecule.attempted = molecule.accepted = molecule.invalid = 0;
        molecule.acceptanceSum = 0;
    }
    lastInvalidReason.clear();
}

bool MonteCarloFlowMoveImpl::isDue(ContextImpl& context) const {
    if (frequency == 0 || (context.getStepCount() + 1) % frequency != 0)
        return false;
    if (context.getStepCount() != lastStep)
        return true;
    // Asked again in this step, or brought back to it by a checkpoint, which an older LastStep() comes with?
    return !overwritesParameters(context.getIntegrator()) &&
           context.getParameter(MonteCarloFlowMove::LastStep()) < static_cast<double>(lastStep);
}

void MonteCarloFlowMoveImpl::enterEpoch(ContextImpl& context) {
    double present = context.getParameter(MonteCarloFlowMove::Epoch());
    if (context.getParameter(MonteCarloFlowMove::LastStep()) > static_cast<double>(context.getStepCount()))
        context.setParameter(MonteCarloFlowMove::Epoch(), ++present);
    if (present == epoch)
        return;
    epoch = present;
    stream = std::make_unique<ProposalStream>(proposal, makeKey(seed, place, epoch, Stream::Samples));
    noise = LangevinNoise(makeKey(seed, place, epoch, Stream::Decisions));
}

void MonteCarloFlowMoveImpl::updateContextState(ContextImpl& context, bool& forcesInvalid) {
    if (!isDue(context))
        return;
    const double temperature = context.getParameter(MonteCarloFlowMove::Temperature());
    if (!(temperature > 0) || std::isinf(temperature))
        throw OpenMMException(joinText("MonteCarloFlowMove: parameter \"", MonteCarloFlowMove::Temperature(),
                                       "\" is ", temperature, " K, it must be positive and finite"));
    enterEpoch(context);
    Round round{.context = context,
                .number = (context.getStepCount() + 1) / frequency,
                .kT = gasConstant * temperature,
                .groups = context.getIntegrator().getIntegrationForceGroups(),
                .velocityLag = IntegratorAccess::getVelocityLag(context.getIntegrator())};
    begin(round);
    try {
        for (int m = 0; m < getNumMolecules(); m++)
            translateErrors([&] { tryMove(round, m); });
    }
    catch (...) {
        finish(round);
        throw;
    }
    finish(round);
    lastStep = context.getStepCount();
    context.setParameter(MonteCarloFlowMove::LastStep(), static_cast<double>(lastStep));
    // Even if all were rejected, the forces of the last one tried may be left.
    forcesInvalid = true;
}

void MonteCarloFlowMoveImpl::begin(Round& round) const {
    ContextImpl& context = round.context;
    const bool lagging = round.velocityLag != 0;
    round.energy = context.calcForcesAndEnergy(lagging, true, round.groups);
    if (std::isnan(round.energy) || round.energy == -std::numeric_limits<double>::infinity())
        throw OpenMMException(joinText("MonteCarloFlowMove: the energy before a move is ", round.energy,
                                       "; the simulation has become unstable, or did not start well"));
    context.getPositions(round.positions);
    if (lagging)
        context.computeShiftedVelocities(round.velocityLag, round.velocities);
    else
        context.getVelocities(round.velocities);
}

void MonteCarloFlowMoveImpl::finish(Round& round) const {
    ContextImpl& context = round.context;
    if (round.contextDiffers) {
        context.setPositions(round.positions);
        context.computeVirtualSites();
    }
    if (!round.anyAccepted)
        return;
    context.setVelocities(round.velocities);
    if (round.velocityLag != 0) {
        context.calcForcesAndEnergy(true, false, round.groups);
        context.computeShiftedVelocities(-round.velocityLag, round.velocities);
        context.setVelocities(round.velocities);
    }
}

void MonteCarloFlowMoveImpl::tryMove(Round& round, int index) {
    Molecule& molecule = molecules[index];
    molecule.attempted++;
    const ProposalStream::Sample drawn = stream->get(round.number * getNumMolecules() + index);
    if (!allFinite(drawn.positions) || !std::isfinite(drawn.logDensity))
        return reject(molecule, "the proposal drew a position or density that is not finite");
    const double oldLogDensity = computeOldLogDensity(round, molecule);
    // Where the proposal never goes the weight is infinite, and every proposal is rejected by the rule.
    if (oldLogDensity == -std::numeric_limits<double>::infinity())
        return;
    if (!std::isfinite(oldLogDensity))
        return reject(molecule, "the proposal's density of the present configuration is not a finite number");

    std::vector<Vec3> proposed = putDrawn(round, molecule, drawn.positions);
    std::string reason;
    const double energy = computeEnergy(round, proposed, reason);
    if (!std::isfinite(energy))
        return reject(molecule, reason);
    const double logAcceptance =
        computeLogAcceptance((energy - round.energy) / round.kT, oldLogDensity, drawn.logDensity);
    molecule.acceptanceSum += std::exp(logAcceptance);
    const double uniform = noise.computeUniform(index, round.number, LangevinNoise::Purpose::Acceptance);
    if (!(std::log(uniform) <= logAcceptance))
        return;
    molecule.accepted++;
    round.anyAccepted = true;
    round.contextDiffers = false;
    round.energy = energy;
    round.positions = std::move(proposed);
    drawVelocities(round, index);
}

double MonteCarloFlowMoveImpl::computeLogAcceptance(double deltaEnergy, double logOldDensity,
                                                    double logNewDensity) {
    const double logRatio = logOldDensity - logNewDensity - deltaEnergy;
    return logRatio > 0 ? 0 : logRatio;
}

std::vector<Vec3> MonteCarloFlowMoveImpl::putDrawn(const Round& round, const Molecule& molecule,
                                                   std::span<const double> drawn) const {
    std::vector<Vec3> positions(round.positions);
    Vec3 shift;
    for (std::size_t i = 0; i < molecule.particles.size(); i++) {
        Vec3& position = positions[molecule.particles[i]];
        const Vec3 old = position;
        position = Vec3(drawn[3 * i], drawn[3 * i + 1], drawn[3 * i + 2]);
        shift += (old - position) * (molecule.masses[i] / molecule.totalMass);
    }
    if (centred)
        for (int particle : molecule.particles)
            positions[particle] += shift;
    return positions;
}

double MonteCarloFlowMoveImpl::computeOldLogDensity(const Round& round, const Molecule& molecule) const {
    std::vector<double> positions;
    for (int particle : molecule.particles)
        for (int k = 0; k < 3; k++)
            positions.push_back(round.positions[particle][k]);
    double logDensity;
    proposal->logDensity(1, positions.data(), &logDensity);
    return logDensity;
}

double MonteCarloFlowMoveImpl::computeEnergy(Round& round, const std::vector<Vec3>& positions,
                                             std::string& reason) const {
    round.contextDiffers = true;
    round.context.setPositions(positions);
    round.context.computeVirtualSites();
    try {
        const double energy = round.context.calcForcesAndEnergy(false, true, round.groups);
        reason = joinText("the energy of the proposed configuration is ", energy);
        return energy;
    }
    catch (const OpenMMException& error) {
        // Forces refuse some configurations. What is wrong with the System itself will also show at the old
        // one, where the integrator computes next.
        reason = error.what();
        return std::numeric_limits<double>::quiet_NaN();
    }
}

void MonteCarloFlowMoveImpl::drawVelocities(Round& round, int index) const {
    const Molecule& molecule = molecules[index];
    Vec3 change;
    for (std::size_t i = 0; i < molecule.particles.size(); i++) {
        double xi[3];
        noise.computeNormals(index, round.number, static_cast<std::uint32_t>(i), LangevinNoise::Purpose::Kick,
                             xi);
        Vec3& velocity = round.velocities[molecule.particles[i]];
        const Vec3 old = velocity;
        velocity = Vec3(xi[0], xi[1], xi[2]) * std::sqrt(round.kT / molecule.masses[i]);
        change += (old - velocity) * (molecule.masses[i] / molecule.totalMass);
    }
    if (keepMomentum)
        for (int particle : molecule.particles)
            round.velocities[particle] += change;
}

void MonteCarloFlowMoveImpl::reject(Molecule& molecule, const std::string& reason) {
    molecule.invalid++;
    lastInvalidReason = reason;
}

} // namespace OpenMMScore

#include "openmmscore/ScoreLangevinIntegrator.h"

#include <cmath>

#include <openmm/Context.h>
#include <openmm/MonteCarloAnisotropicBarostat.h>
#include <openmm/MonteCarloBarostat.h>
#include <openmm/MonteCarloFlexibleBarostat.h>
#include <openmm/MonteCarloMembraneBarostat.h>
#include <openmm/OpenMMException.h>
#include <openmm/internal/ContextImpl.h>
#include <openmm/serialization/SerializationNode.h>

#include "openmmscore/ScoreForce.h"
#include "openmmscore/internal/ScoreForceImpl.h"
#include "openmmscore/internal/ScoreLangevinKernels.h"

using OpenMM::OpenMMException;

namespace OpenMMScore {

namespace {

void checkNotNegative(double value, const char* what) {
    if (!(value >= 0) || std::isinf(value))
        throw OpenMMException(std::string("ScoreLangevinIntegrator: ") + what +
                              " must be a finite number, not " +
                              (value < 0 ? "negative, but it is " : "this: ") + std::to_string(value));
}

void checkTemperature(double temperature, const ScoreForceImpl& force) {
    // A Quantity that went through other units may be off in its last digits.
    const double trained = force.getOwner().getTemperature();
    if (std::abs(temperature - trained) > 1e-6 * trained)
        throw OpenMMException(
            "ScoreLangevinIntegrator: the temperature is " + std::to_string(temperature) +
            " K, but the model of " + force.getOwner().getName() + " was trained at " +
            std::to_string(trained) +
            " K and is a free energy at that temperature; to simulate it at another one all the "
            "same, call setAllowTemperatureMismatch(true)");
}

template <class T>
bool is(const OpenMM::Force& force) {
    return dynamic_cast<const T*>(&force) != nullptr;
}

void checkSystem(const OpenMM::System& system) {
    if (system.getNumConstraints() > 0)
        throw OpenMMException("ScoreLangevinIntegrator: the System has " +
                              std::to_string(system.getNumConstraints()) +
                              " constraints, which this integrator does not support; remove them or use "
                              "LangevinMiddleIntegrator");
    for (int i = 0; i < system.getNumForces(); i++) {
        const OpenMM::Force& force = system.getForce(i);
        if (is<OpenMM::MonteCarloBarostat>(force) || is<OpenMM::MonteCarloAnisotropicBarostat>(force) ||
            is<OpenMM::MonteCarloFlexibleBarostat>(force) || is<OpenMM::MonteCarloMembraneBarostat>(force))
            throw OpenMMException("ScoreLangevinIntegrator: force " + std::to_string(i) + " (" +
                                  force.getName() +
                                  ") is a barostat, but molecules that move independently have no common "
                                  "pressure; remove it or use LangevinMiddleIntegrator");
    }
}

bool hasVirtualSites(const OpenMM::System& system) {
    for (int i = 0; i < system.getNumParticles(); i++)
        if (system.isVirtualSite(i))
            return true;
    return false;
}

} // namespace

ScoreLangevinIntegrator::ScoreLangevinIntegrator(double temperature, double frictionCoeff, double stepSize) {
    setTemperature(temperature);
    setFriction(frictionCoeff);
    checkNotNegative(stepSize, "the step size");
    setStepSize(stepSize);
    setConstraintTolerance(1e-5);
}

ScoreLangevinIntegrator::~ScoreLangevinIntegrator() = default;

void ScoreLangevinIntegrator::setTemperature(double temp) {
    checkNotNegative(temp, "the temperature");
    if (owner != nullptr && !allowTemperatureMismatch && moleculeTemperatures.empty())
        for (ScoreForceImpl* force : ScoreForceImpl::findAll(*context))
            checkTemperature(temp, *force);
    temperature = temp;
}

void ScoreLangevinIntegrator::setFriction(double coeff) {
    checkNotNegative(coeff, "the friction coefficient");
    friction = coeff;
}

void ScoreLangevinIntegrator::setScheme(Scheme newScheme) {
    if (newScheme != LFMiddle && newScheme != Legacy && newScheme != Metropolized)
        throw OpenMMException("ScoreLangevinIntegrator: " + std::to_string(newScheme) +
                              " is no scheme; there are LFMiddle (0), Legacy (1) and Metropolized (2)");
    scheme = newScheme;
}

void ScoreLangevinIntegrator::setMoleculeOffset(int offset) {
    if (offset < 0)
        throw OpenMMException(
            "ScoreLangevinIntegrator: the molecule offset must not be negative, but it is " +
            std::to_string(offset));
    moleculeOffset = offset;
}

void ScoreLangevinIntegrator::setMoleculeTemperatures(const std::vector<double>& temperatures) {
    for (double t : temperatures)
        checkNotNegative(t, "a molecule's temperature");
    moleculeTemperatures = temperatures;
}

double ScoreLangevinIntegrator::getAcceptanceRate() const {
    const std::vector<double> rates = getMoleculeAcceptanceRates();
    double sum = 0;
    for (double rate : rates)
        sum += rate;
    return rates.empty() ? 1.0 : sum / static_cast<double>(rates.size());
}

std::vector<double> ScoreLangevinIntegrator::getMoleculeAcceptanceRates() const {
    if (owner == nullptr)
        return {};
    const auto& step = kernel.getAs<const IntegrateScoreLangevinStepKernel>();
    std::vector<double> rates;
    for (std::int64_t accepted : step.getAccepted())
        rates.push_back(step.getTried() == 0
                            ? 1.0
                            : static_cast<double>(accepted) / static_cast<double>(step.getTried()));
    return rates;
}

void ScoreLangevinIntegrator::initialize(OpenMM::ContextImpl& newContext) {
    if (owner != nullptr && &newContext.getOwner() != owner)
        throw OpenMMException("ScoreLangevinIntegrator: this integrator is already bound to a Context");
    const OpenMM::System& system = newContext.getSystem();
    checkSystem(system);
    std::vector<ScoreForceImpl*> forces = ScoreForceImpl::findAll(newContext);
    const bool onlyForces =
        static_cast<int>(forces.size()) == system.getNumForces() && !hasVirtualSites(system);
    if (!allowTemperatureMismatch)
        for (ScoreForceImpl* force : forces) {
            if (moleculeTemperatures.empty())
                checkTemperature(temperature, *force);
            for (double t : moleculeTemperatures)
                checkTemperature(t, *force);
        }
    std::erase_if(forces, [&](ScoreForceImpl* force) {
        return (getIntegrationForceGroups() >> force->getOwner().getForceGroup() & 1) == 0;
    });
    context = &newContext;
    owner = &newContext.getOwner();
    kernel = newContext.getPlatform().createKernel(IntegrateScoreLangevinStepKernel::Name(), newContext);
    kernel.getAs<IntegrateScoreLangevinStepKernel>().initialize(system, *this, forces, onlyForces);
}

void ScoreLangevinIntegrator::cleanup() {
    kernel = OpenMM::Kernel();
    context = nullptr;
    owner = nullptr;
}

std::vector<std::string> ScoreLangevinIntegrator::getKernelNames() {
    return {IntegrateScoreLangevinStepKernel::Name()};
}

double ScoreLangevinIntegrator::computeKineticEnergy() {
    return kernel.getAs<IntegrateScoreLangevinStepKernel>().computeKineticEnergy(*context);
}

void ScoreLangevinIntegrator::stateChanged(OpenMM::State::DataType) {
    if (owner != nullptr)
        kernel.getAs<IntegrateScoreLangevinStepKernel>().invalidate();
}

void ScoreLangevinIntegrator::step(int steps) {
    if (context == nullptr)
        throw OpenMMException("ScoreLangevinIntegrator: it is not bound to a Context");
    auto& stepKernel = kernel.getAs<IntegrateScoreLangevinStepKernel>();
    if (stepKernel.canExecuteLoop()) {
        if (steps > 0)
            stepKernel.executeLoop(*context, *this, steps);
        return;
    }
    for (int i = 0; i < steps; i++) {
        context->updateContextState();
        context->calcForcesAndEnergy(true, false, getIntegrationForceGroups());
        stepKernel.execute(*context, *this);
    }
}

void ScoreLangevinIntegrator::createCheckpoint(std::ostream& stream) const {
    kernel.getAs<const IntegrateScoreLangevinStepKernel>().createCheckpoint(stream);
}

void ScoreLangevinIntegrator::loadCheckpoint(std::istream& stream) {
    kernel.getAs<IntegrateScoreLangevinStepKernel>().loadCheckpoint(stream);
}

void ScoreLangevinIntegrator::serializeParameters(OpenMM::SerializationNode& node) const {
    node.setIntProperty("version", 1);
    node.setDoubleProperty("temperature", temperature);
    node.setDoubleProperty("friction", friction);
    node.setDoubleProperty("stepSize", getStepSize());
}

void ScoreLangevinIntegrator::deserializeParameters(const OpenMM::SerializationNode& node) {
    if (node.getIntProperty("version") != 1)
        throw OpenMMException(
            "ScoreLangevinIntegrator: the State's integrator parameters have an unknown version");
    setTemperature(node.getDoubleProperty("temperature"));
    setFriction(node.getDoubleProperty("friction"));
    setStepSize(node.getDoubleProperty("stepSize"));
}

} // namespace OpenMMScore

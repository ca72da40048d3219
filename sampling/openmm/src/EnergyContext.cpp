#include "EnergyContext.h"

#include <algorithm>
#include <cmath>

#include <openmm/ATMForce.h>
#include <openmm/CustomCVForce.h>
#include <openmm/CustomGBForce.h>
#include <openmm/CustomNonbondedForce.h>
#include <openmm/GBSAOBCForce.h>
#include <openmm/GayBerneForce.h>
#include <openmm/NonbondedForce.h>
#include <openmm/Platform.h>

using OpenMM::Vec3;

namespace OpenMMScore {

namespace {

/** The key to a Context's inside, which OpenMM gives to Forces only. */
class ContextAccess : public OpenMM::Force {
public:
    static OpenMM::ContextImpl& getImpl(OpenMM::Context& context) {
        return ContextAccess().getContextImpl(context);
    }

protected:
    OpenMM::ForceImpl* createImpl() const override { return nullptr; }
};

template <typename ForceType>
double findCutoff(const OpenMM::Force& force) {
    auto typed = dynamic_cast<const ForceType*>(&force);
    if (typed == nullptr || typed->getNonbondedMethod() == ForceType::NoCutoff)
        return 0.0;
    return typed->getCutoffDistance();
}

/** @return the cutoff of a Force that has one on OpenMM's CPU platform, or else 0 */
double findCutoffOfAnyType(const OpenMM::Force& force) {
    return std::max({findCutoff<OpenMM::NonbondedForce>(force),
                     findCutoff<OpenMM::CustomNonbondedForce>(force), findCutoff<OpenMM::GBSAOBCForce>(force),
                     findCutoff<OpenMM::CustomGBForce>(force), findCutoff<OpenMM::GayBerneForce>(force)});
}

/** @return whether a Force has Contexts, and so neighbour lists, of its own */
bool hasInnerContexts(const OpenMM::Force& force) {
    return dynamic_cast<const OpenMM::CustomCVForce*>(&force) != nullptr ||
           dynamic_cast<const OpenMM::ATMForce*>(&force) != nullptr;
}

} // namespace

EnergyContext::EnergyContext(const OpenMM::System& system, OpenMM::Platform& platform,
                             const Properties& properties)
    : system(system), platform(platform), properties(properties), positions(system.getNumParticles()) {
    create();
    defaults = context->getParameters();
    system.getDefaultPeriodicBoxVectors(defaultBox[0], defaultBox[1], defaultBox[2]);
    for (int i = 0; i < system.getNumParticles(); i++)
        hasVirtualSites = hasVirtualSites || system.isVirtualSite(i);
    if (platform.getName() != "CPU")
        return;
    for (int i = 0; i < system.getNumForces(); i++) {
        keptCutoff = std::max(keptCutoff, findCutoffOfAnyType(system.getForce(i)));
        if (hasInnerContexts(system.getForce(i))) {
            // Not known from outside, so assume that no displacement is large enough.
            keptCutoff = HUGE_VAL;
            listGroups = ~0;
        }
    }
}

EnergyContext::~EnergyContext() = default;

void EnergyContext::create() {
    context.reset();
    integrator = std::make_unique<OpenMM::VerletIntegrator>(0.001);
    context = std::make_unique<OpenMM::Context>(system, *integrator, platform, properties);
    previous.clear();
    boxIsChanged = false;
}

OpenMM::ContextImpl& EnergyContext::getImpl() {
    if (!context)
        create();
    return ContextAccess::getImpl(*context);
}

void EnergyContext::setParameter(const std::string& name, double value) {
    auto& impl = getImpl();
    // Most frames share their parameters, and a change makes a device compute tables anew.
    if (impl.getParameter(name) != value)
        impl.setParameter(name, value);
}

void EnergyContext::reset() {
    for (const auto& [name, value] : defaults)
        setParameter(name, value);
    if (boxIsChanged)
        getImpl().setPeriodicBoxVectors(defaultBox[0], defaultBox[1], defaultBox[2]);
    boxIsChanged = false;
}

void EnergyContext::setBox(const double* box) {
    auto row = [box](int i) { return Vec3(box[3 * i], box[3 * i + 1], box[3 * i + 2]); };
    auto& impl = getImpl();
    boxIsChanged = true;
    impl.setPeriodicBoxVectors(row(0), row(1), row(2));
}

double EnergyContext::compute(const double* values, double* forces) {
    for (std::size_t i = 0; i < positions.size(); i++)
        positions[i] = Vec3(values[3 * i], values[3 * i + 1], values[3 * i + 2]);
    try {
        return evaluate(forces);
    }
    catch (...) {
        // What an exception leaves behind in kernels and lists, nobody promises.
        context.reset();
        throw;
    }
}

double EnergyContext::evaluate(double* forces) {
    auto& impl = getImpl();
    if (keptCutoff > 0.0)
        forgetPreviousFrame();
    impl.setPositions(positions);
    if (hasVirtualSites)
        impl.computeVirtualSites();
    // Unlike Context::getState(), this spares the kinetic energy, for which Verlet would need the forces.
    const double energy = impl.calcForcesAndEnergy(forces != nullptr, true);
    if (forces == nullptr)
        return energy;
    impl.getForces(buffer);
    for (std::size_t i = 0; i < buffer.size(); i++) {
        // OpenMM has given the force on a virtual site to its parents already.
        const bool counts = !(hasVirtualSites && system.isVirtualSite(i));
        for (int k = 0; k < 3; k++)
            forces[3 * i + k] = counts ? buffer[i][k] : 0.0;
    }
    return energy;
}

/**
 * Make the CPU platform build its neighbour list for the coming frame alone. It keeps a padded list until
 * particles have moved by a part of the padding, and the order of pairs in it decides in which order numbers
 * are added: the last bits of an energy would depend on the frames before it. A frame in which one particle
 * is far away makes any older list useless.
 */
void EnergyContext::forgetPreviousFrame() {
    // OpenMM pads by a quarter of the cutoff and rebuilds after a move of 0.7 times that: this is far more.
    const double enough = 0.5 * keptCutoff;
    bool moved = previous.empty();
    for (std::size_t i = 0; i < previous.size() && !moved; i++) {
        const Vec3 delta = positions[i] - previous[i];
        moved = delta.dot(delta) > enough * enough;
    }
    if (!moved) {
        auto& impl = getImpl();
        buffer = positions;
        buffer[0][0] += std::isfinite(keptCutoff) ? 2.0 * keptCutoff : 10.0;
        impl.setPositions(buffer);
        impl.calcForcesAndEnergy(false, listGroups != 0, listGroups);
    }
    previous = positions;
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_SRC_ENERGYCONTEXT_H_
#define OPENMMSCORE_SRC_ENERGYCONTEXT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <openmm/Context.h>
#include <openmm/System.h>
#include <openmm/Vec3.h>
#include <openmm/VerletIntegrator.h>
#include <openmm/internal/ContextImpl.h>

namespace OpenMMScore {

/** A Context that computes energies of one configuration after another. For one thread at a time. */
class EnergyContext {
public:
    using Properties = std::map<std::string, std::string>;

    /** @param system  must live as long as this object */
    EnergyContext(const OpenMM::System& system, OpenMM::Platform& platform, const Properties& properties);
    ~EnergyContext();

    const std::map<std::string, double>& getDefaultParameters() const { return defaults; }
    /** Set a global parameter for the frames to come. */
    void setParameter(const std::string& name, double value);
    /** Give all global parameters and the box their defaults. */
    void reset();
    /** @param box  [3, 3], nm, for the frames to come */
    void setBox(const double* box);
    /**
     * @param positions  [N, 3], nm, finite
     * @param forces     written: [N, 3], kJ/mol/nm; null for the energy alone
     * @return the potential energy in kJ/mol, whatever it is
     * @throws std::exception  what OpenMM threw. The Context is as good as new afterwards
     */
    double compute(const double* positions, double* forces);

private:
    void create();
    OpenMM::ContextImpl& getImpl();
    void forgetPreviousFrame();
    double evaluate(double* forces);

    const OpenMM::System& system;
    OpenMM::Platform& platform;
    Properties properties;
    std::unique_ptr<OpenMM::VerletIntegrator> integrator;
    /** Null after an exception, until the next use. */
    std::unique_ptr<OpenMM::Context> context;
    std::map<std::string, double> defaults;
    OpenMM::Vec3 defaultBox[3];
    bool boxIsChanged = false;
    bool hasVirtualSites = false;
    /** Largest cutoff of forces with a neighbour list that outlives a frame, nm; 0 if there is none. */
    double keptCutoff = 0.0;
    /** Force groups whose evaluation makes all such lists anew. */
    int listGroups = 0;
    std::vector<OpenMM::Vec3> positions, previous, buffer;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SRC_ENERGYCONTEXT_H_

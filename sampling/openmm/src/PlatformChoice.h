#ifndef OPENMMSCORE_SRC_PLATFORMCHOICE_H_
#define OPENMMSCORE_SRC_PLATFORMCHOICE_H_

#include <string>

#include "EnergyContext.h"

namespace OpenMMScore {

/** The platform of a pool of Contexts, and why it was taken. */
struct PlatformChoice {
    std::string name, reason;
    EnergyContext::Properties properties;
    /** Where several devices are named: Context k runs on devices[k % devices.size()]. */
    std::vector<std::string> devices;
    int numContexts = 1;

    /** @return the properties of Context number index */
    EnergyContext::Properties getProperties(int index) const;
};

/**
 * @param name         empty for the faster of Reference and CPU, by a measurement
 * @param numContexts  0 for a number that suits the platform
 * @throws OpenMMException  if there is no such platform, or none that can make a Context of the System
 */
PlatformChoice choosePlatform(const OpenMM::System& system, const std::string& name,
                              const EnergyContext::Properties& properties, int numContexts);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SRC_PLATFORMCHOICE_H_

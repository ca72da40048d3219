#include "openmmscore/sampling/Proposal.h"

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

void Proposal::logDensityGradient(std::int64_t, const double*, double*) const {
    throw Error("Proposal: a " + getFamily() +
                " has no gradient of its density; choose one that has, or moves without gradients");
}

} // namespace OpenMMScore

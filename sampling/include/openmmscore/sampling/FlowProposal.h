#ifndef OPENMMSCORE_SAMPLING_FLOWPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_FLOWPROPOSAL_H_

#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * A proposal that is an invertible map between positions x and d numbers z of a simple base distribution.
 */
class FlowProposal : public Proposal {
public:
    /** @return d, the dimension of the base */
    virtual int getBaseDimension() const = 0;
    /**
     * @param positions  [count, N, 3], or [count, d] in the frame Vector
     * @param z          written: [count, d]
     * @param logDet     written: [count]; log q(x) = log base(z) + logDet
     */
    virtual void toBase(std::int64_t count, const double* positions, double* z, double* logDet) const = 0;
    /**
     * @param z          [count, d]
     * @param positions  written; those for which toBase() gives z
     * @param logDet     written: [count]; log q(x) = log base(z) - logDet
     */
    virtual void fromBase(std::int64_t count, const double* z, double* positions, double* logDet) const = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_FLOWPROPOSAL_H_

#include "openmmscore/models/Evaluator.h"

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

void Evaluator::evaluateDivergence(int, int, int, const double*, double*, double*) {
    throw Error("Evaluator: the divergence of a graph transformer's score is not differentiated; take "
                "differences of scores, as ProbabilityFlow does");
}

} // namespace OpenMMScore

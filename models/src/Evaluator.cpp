#include "openmmscore/models/Evaluator.h"

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

void Evaluator::evaluateDivergence(int, int, int, const double*, double*, double*) {
    throw Error(
        "Evaluator: the fused engine does not differentiate the scores of graph transformers; the plain "
        "one does");
}

} // namespace OpenMMScore

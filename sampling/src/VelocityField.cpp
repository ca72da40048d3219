#include "VelocityField.h"

#include <utility>

#include "MlpVelocity.h"

namespace OpenMMScore {

std::unique_ptr<const VelocityField> VelocityField::create(const ContinuousFlowDescription& flow,
                                                           std::vector<std::vector<double>> tensors) {
    return std::make_unique<MlpVelocity>(flow, std::move(tensors));
}

} // namespace OpenMMScore

#include "VelocityField.h"

#include <utility>

#include "EgnnVelocity.h"
#include "MlpVelocity.h"

namespace OpenMMScore {

std::unique_ptr<const VelocityField> VelocityField::create(const ContinuousFlowDescription& flow,
                                                           std::vector<std::vector<double>> tensors) {
    if (flow.network == ContinuousFlowDescription::Network::Egnn)
        return std::make_unique<EgnnVelocity>(flow, std::move(tensors));
    return std::make_unique<MlpVelocity>(flow, std::move(tensors));
}

} // namespace OpenMMScore

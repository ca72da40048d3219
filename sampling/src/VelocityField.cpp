#include "VelocityField.h"

#include <utility>

#include "EgnnVelocity.h"
#include "MlpVelocity.h"
#include "TransformerVelocity.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

void VelocityField::differentiate(const double*, const double*, const double*, double*, double*, double*,
                                  double*) const {
    throw Error("VelocityField: has no second derivatives");
}

std::vector<double> VelocityField::makeDirections(const FrameCoordinates& coordinates) {
    const std::size_t d = coordinates.getDimension(), width = coordinates.getNumCoordinates();
    std::vector<double> directions(d * width), unit(d, 0.0);
    for (std::size_t k = 0; k < d; k++) {
        unit[k] = 1;
        coordinates.toPositions(unit.data(), &directions[k * width]);
        unit[k] = 0;
    }
    return directions;
}

std::unique_ptr<const VelocityField> VelocityField::create(const ContinuousFlowDescription& flow,
                                                           std::vector<std::vector<double>> tensors) {
    if (flow.network == ContinuousFlowDescription::Network::Egnn)
        return std::make_unique<EgnnVelocity>(flow, std::move(tensors));
    if (flow.network == ContinuousFlowDescription::Network::GraphTransformer)
        return std::make_unique<TransformerVelocity>(flow, tensors);
    return std::make_unique<MlpVelocity>(flow, std::move(tensors));
}

} // namespace OpenMMScore

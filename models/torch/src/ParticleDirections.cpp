#include "ParticleDirections.h"

#include <vector>

#include <ATen/ops/empty.h>

#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

ParticleDirections::ParticleDirections(const ContinuousFlowDescription& flow,
                                       const at::TensorOptions& options) {
    const FrameCoordinates coordinates(flow.count, flow.frame);
    const int d = coordinates.getDimension(), width = coordinates.getNumCoordinates();
    at::Tensor rows = at::empty({d, width}, at::kDouble);
    std::vector<double> unit(d, 0.0);
    for (int k = 0; k < d; k++) {
        unit[k] = 1.0;
        coordinates.toPositions(unit.data(), rows.data_ptr<double>() + k * width);
        unit[k] = 0.0;
    }
    matrix = rows.to(options);
}

} // namespace OpenMMScore

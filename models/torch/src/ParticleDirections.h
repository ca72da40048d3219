#ifndef OPENMMSCORE_TORCH_PARTICLEDIRECTIONS_H_
#define OPENMMSCORE_TORCH_PARTICLEDIRECTIONS_H_

#include <ATen/core/Tensor.h>

#include "openmmscore/sampling/ContinuousFlow.h"

namespace OpenMMScore {

/** FrameCoordinates of many samples: the matrix B, [d, 3N], as a tensor. */
class ParticleDirections {
public:
    ParticleDirections(const ContinuousFlowDescription& flow, const at::TensorOptions& options);

    /** @param u  shape [samples, d] @return shape [samples, 3N]: B^T u */
    at::Tensor toPositions(const at::Tensor& u) const { return u.mm(matrix); }
    /** @param r  shape [samples, 3N] @return shape [samples, d]: B r */
    at::Tensor toCoordinates(const at::Tensor& r) const { return r.mm(matrix.t()); }

private:
    at::Tensor matrix;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_PARTICLEDIRECTIONS_H_

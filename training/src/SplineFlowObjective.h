#ifndef OPENMMSCORE_TRAINING_SPLINEFLOWOBJECTIVE_H_
#define OPENMMSCORE_TRAINING_SPLINEFLOWOBJECTIVE_H_

#include <memory>
#include <string>

#include "FlowFrames.h"
#include "Objective.h"
#include "openmmscore/torch/TorchSplineFlow.h"

namespace OpenMMScore {

/**
 * @return the flow that a configuration describes. Couplings come in pairs: the first transforms a random
 * half of the coordinates, the second the others. Autoregressive layers transform all, each in a random
 * order.
 */
SplineFlowDescription describeSplineFlow(const ProposalConfig& config, int dimension,
                                         const std::vector<int>& circular);

/** Maximum likelihood for a spline flow: the mean of -log q(y) over frames, y the flow's coordinates. */
class SplineFlowObjective : public Objective {
public:
    /** @param config  must outlive this object, like frames */
    SplineFlowObjective(const TrainingConfig& config, const FlowFrames& frames,
                        const at::TensorOptions& options);

    at::Tensor& getParameters() override { return flow.getFlatParameters(); }
    void initialize() override;
    const DataAccount& getData() const override { return frames.getAccount(); }
    LossNames lossNames() const override { return {"negative_log_likelihood", "", ""}; }
    std::int64_t partSize(std::int64_t batchSize) const override;
    void drawBatch(std::int64_t step, BatchPart share) override;
    Losses addGradient(BatchPart part, at::Tensor& gradient) const override;
    std::int64_t numValidationSamples() const override { return validationBatch.size(1); }
    Losses validationLoss(BatchPart part) const override;
    void writeModel(const std::string& path, const at::Tensor& values,
                    const std::string& provenance) const override;

private:
    const TrainingConfig& config;
    const FlowFrames& frames;
    TorchSplineFlow flow;
    bool masked;
    at::Tensor validationBatch, batch;
    std::int64_t batchBegin = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_SPLINEFLOWOBJECTIVE_H_

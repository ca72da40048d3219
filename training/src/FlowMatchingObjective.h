#ifndef OPENMMSCORE_TRAINING_FLOWMATCHINGOBJECTIVE_H_
#define OPENMMSCORE_TRAINING_FLOWMATCHINGOBJECTIVE_H_

#include <memory>
#include <string>
#include <vector>

#include "FlowFrames.h"
#include "FlowPaths.h"
#include "Objective.h"
#include "openmmscore/torch/TorchVelocity.h"

namespace OpenMMScore {

/**
 * Conditional flow matching for a continuous flow. With frames u_1 (normalised), base samples u_0, t uniform
 * and paths u_t between the two (FlowPaths.h),
 *
 *     L = mean |v(u_t, t) - du_t/dt|^2 / d
 *
 * where, within blocks of a batch, u_0 and u_1 are paired such that the sum of their squared distances is
 * least: paths then hardly cross. L does not fall to zero; what remains is the scatter of du_t/dt among the
 * paths through a point.
 *
 * If frames are aligned, the distance is that after the best rotation of the frame, and frames are so turned.
 * As u_0 has no preferred direction, and whatever turns u_0 turns the frame with it, the ends of the paths
 * are the frames in orientations that are all alike, with or without alignment: what changes is the velocity
 * between, which needs to turn nothing. It is equivariant in either case, whether the network is so or not.
 *
 * Source: Lipman et al., ICLR 2023, arXiv:2210.02747; Tong et al., TMLR 2024, arXiv:2302.00482; alignment:
 * Klein, Kraemer and Noe, NeurIPS 2023, arXiv:2306.15030.
 */
class FlowMatchingObjective : public Objective {
public:
    /** @param config  must outlive this object, like frames */
    FlowMatchingObjective(const TrainingConfig& config, const FlowFrames& frames,
                          const at::TensorOptions& options);

    at::Tensor& getParameters() override { return network->getFlatParameters(); }
    void initialize() override;
    const DataAccount& getData() const override { return frames.getAccount(); }
    LossNames lossNames() const override { return {"flow_matching", "", ""}; }
    std::int64_t partSize(std::int64_t batchSize) const override;
    void drawBatch(std::int64_t step, BatchPart share) override;
    Losses addGradient(BatchPart part, at::Tensor& gradient) const override;
    std::int64_t numValidationSamples() const override { return validation.times.size(0); }
    Losses validationLoss(BatchPart part) const override;
    void writeModel(const std::string& path, const at::Tensor& values,
                    const std::string& provenance) const override;

private:
    /** Points on paths, [samples, d] each but times, float64 [samples]. */
    struct Paths {
        at::Tensor points, velocities, times;

        Paths slice(std::int64_t first, std::int64_t count) const;
    };
    /**
     * Draw paths to frames u_1, [samples, d], that begin at the place first of a batch.
     *
     * @param index  of the step
     */
    Paths drawPaths(const at::Tensor& u1, bool forValidation, std::uint64_t index, std::int64_t first) const;

    const TrainingConfig& config;
    const FlowFrames& frames;
    at::TensorOptions options;
    FlowPaths paths;
    std::unique_ptr<TorchVelocity> network;
    Paths validation, batch;
    std::int64_t batchBegin = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FLOWMATCHINGOBJECTIVE_H_

#ifndef OPENMMSCORE_TRAINING_SCOREMATCHINGOBJECTIVE_H_
#define OPENMMSCORE_TRAINING_SCOREMATCHINGOBJECTIVE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "Objective.h"
#include "openmmscore/training/DenoisingScoreMatchingLoss.h"
#include "openmmscore/training/FokkerPlanckLoss.h"
#include "openmmscore/training/TrainingSet.h"

namespace OpenMMScore {

/** One expert of a score model: denoising score matching, perhaps with the Fokker-Planck loss. */
class ScoreMatchingObjective : public Objective {
public:
    /**
     * @param config  with space, count and length scale known; must outlive this object, like data
     * @param stage   which of its experts
     */
    ScoreMatchingObjective(const TrainingConfig& config, std::size_t stage, const TrainingSet& data,
                           const at::TensorOptions& options);

    at::Tensor& getParameters() override { return network->getFlatParameters(); }
    void initialize() override;
    const DataAccount& getData() const override { return account; }
    LossNames lossNames() const override;
    std::int64_t partSize(std::int64_t batchSize) const override;
    void drawBatch(std::int64_t step, BatchPart share) override;
    Losses addGradient(BatchPart part, at::Tensor& gradient) const override;
    std::int64_t numValidationSamples() const override { return validationBatch.size(); }
    Losses validationLoss(BatchPart part) const override;
    /** Write the expert alone: a model of its own interval. */
    void writeModel(const std::string& path, const at::Tensor& values,
                    const std::string& provenance) const override;

private:
    void startFromFile();
    /**
     * Call f with pieces of a part of a batch, those that the Fokker-Planck loss is estimated from, and with
     * what the sum over samples is multiplied by.
     *
     * @param samples  the part, which begins at first in a batch of so many samples
     */
    void forFokkerPlanck(const NoisedBatch& samples, std::int64_t first, std::int64_t batchSize,
                         const std::function<void(const NoisedBatch&, double)>& f) const;
    bool isMlp() const;

    const TrainingConfig& config;
    std::size_t stage;
    const StageConfig& settings;
    const TrainingSet& data;
    at::TensorOptions options;
    DataAccount account;
    std::unique_ptr<NoiseSchedule> schedule;
    DenoisingScoreMatchingLoss scoreMatching;
    std::optional<FokkerPlanckLoss> fokkerPlanck;
    std::unique_ptr<TorchNetwork> network;
    NoisedBatch validationBatch;
    /** What drawBatch() has drawn, and where in the batch that begins. */
    NoisedBatch batch;
    std::int64_t batchBegin = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_SCOREMATCHINGOBJECTIVE_H_

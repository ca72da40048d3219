#ifndef OPENMMSCORE_TRAINING_STAGETRAINER_H_
#define OPENMMSCORE_TRAINING_STAGETRAINER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "Checkpoint.h"
#include "Optimizer.h"
#include "ProcessGroup.h"
#include "TrainingLog.h"
#include "WorkerPool.h"
#include "openmmscore/training/DenoisingScoreMatchingLoss.h"
#include "openmmscore/training/ExponentialMovingAverage.h"
#include "openmmscore/training/FokkerPlanckLoss.h"
#include "openmmscore/training/TrainingSet.h"

namespace OpenMMScore {

/** Where one stage of a run keeps its files. */
struct StageFiles {
    /** The expert alone as a model file; of a run with one stage, the model itself. */
    std::string model;
    std::string checkpoint, log;
};

/** Trains one expert of a model: takes steps, validates, keeps the log, writes checkpoints. */
class StageTrainer {
public:
    /**
     * @param config  with space, count and length scale known and steps resolved; must outlive this object,
     * like data, workers and group
     * @param stage   which of its experts
     * @throws Error  if a file to start from does not fit
     */
    StageTrainer(const TrainingConfig& config, std::size_t stage, const TrainingSet& data,
                 WorkerPool& workers, const ProcessGroup& group, const at::TensorOptions& options,
                 StageFiles files);
    /** Begin anew. */
    void start();
    /**
     * Go on from the checkpoint.
     *
     * @throws Error  if it is damaged or of another run
     */
    void resume();
    bool isFinished() const { return state.step >= settings.steps; }
    /** @return whether any process was asked to stop, as all of them know */
    bool wasStopped() const { return stopped; }
    /**
     * @param stopRequested  asked in every step; if true in any process, a checkpoint is written after it and
     * the run ends
     * @param written        called after every checkpoint
     * @return whether all steps were done
     * @throws NumericalError  if too many steps in a row were not finite
     */
    bool run(const std::function<bool()>& stopRequested, const std::function<void()>& written);

private:
    void startFromFile();
    void takeStep(bool stopRequested);
    /** Call part(samples, k) for parts of a batch, in no particular order. */
    void forParts(const NoisedBatch& batch,
                  const std::function<void(const NoisedBatch&, std::int64_t)>& part);
    std::int64_t numParts(std::int64_t batchSize) const;
    std::int64_t partSize(std::int64_t batchSize) const;
    /**
     * Call f with pieces of a part of a batch, those that the Fokker-Planck loss is estimated from, and with
     * what the sum over samples is multiplied by.
     *
     * @param first  where the part begins in a batch of so many samples
     */
    void forFokkerPlanck(const NoisedBatch& part, std::int64_t first, std::int64_t batchSize,
                         const std::function<void(const NoisedBatch&, double)>& f) const;
    /** This process's share of count samples. */
    std::int64_t shareOf(std::int64_t count) const;
    Losses computeGradient(bool stopRequested);
    Losses sumOf(const std::vector<Losses>& parts, bool stopRequested);
    Losses validate();
    void announce();
    void report(double stepsPerSecond);
    void trySaving(const std::function<void()>& written);
    void save();
    std::string provenance() const;

    const TrainingConfig& config;
    std::size_t stage;
    const StageConfig& settings;
    const TrainingSet& data;
    WorkerPool& workers;
    const ProcessGroup& group;
    at::TensorOptions options;
    StageFiles files;
    std::unique_ptr<NoiseSchedule> schedule;
    DenoisingScoreMatchingLoss scoreMatching;
    std::optional<FokkerPlanckLoss> fokkerPlanck;
    std::unique_ptr<TorchNetwork> network;
    Optimizer optimizer;
    ExponentialMovingAverage average;
    NoisedBatch validationBatch;
    Checkpoint state;
    at::Tensor partGradients, gradient;
    /** Of the first process alone. */
    std::optional<TrainingLog> log;
    bool stopped = false;
    std::optional<Losses> lastLosses, validationLosses;
    std::chrono::steady_clock::time_point startTime;
    double elapsedBefore = 0.0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_STAGETRAINER_H_

#ifndef OPENMMSCORE_TRAINING_TRAININGLOOP_H_
#define OPENMMSCORE_TRAINING_TRAININGLOOP_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "Checkpoint.h"
#include "Objective.h"
#include "Optimizer.h"
#include "ProcessGroup.h"
#include "TrainingLog.h"
#include "WorkerPool.h"
#include "openmmscore/training/ExponentialMovingAverage.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/** Where one stage of a run keeps its files. */
struct StageFiles {
    /** The expert alone as a model file; of a run with one stage, the model itself. */
    std::string model;
    std::string checkpoint, log;
};

/**
 * Minimises an objective: takes steps, averages, validates, keeps the log, writes checkpoints. A batch is cut
 * into parts that threads and processes share.
 */
class TrainingLoop {
public:
    /**
     * @param config  with steps resolved; must outlive this object, like objective, workers and group
     * @param stage   whose settings count
     */
    TrainingLoop(const TrainingConfig& config, std::size_t stage, Objective& objective, WorkerPool& workers,
                 const ProcessGroup& group, StageFiles files);
    /**
     * Begin anew.
     *
     * @throws Error  if a file to start from does not fit
     */
    void start();
    /**
     * Go on from the checkpoint.
     *
     * @throws Error  if it is damaged or of another run
     */
    void resume();
    /** @return whether all steps are done, or early stopping has ended the run */
    bool isFinished() const { return state.step >= settings.steps || hasStoppedEarly(); }
    /** @return whether any process was asked to stop, as all of them know */
    bool wasStopped() const { return stopped; }
    /**
     * @param stopRequested  asked in every step; if true in any process, a checkpoint is written after it and
     * the run ends
     * @param written        called after every checkpoint
     * @return whether the run is finished
     * @throws NumericalError  if too many steps in a row were not finite
     */
    bool run(const std::function<bool()>& stopRequested, const std::function<void()>& written);

private:
    /** Of the first process: begin the log, or go on with it, in a folder without half files. */
    void openLog(std::optional<std::int64_t> resumeAfter);
    void takeStep(bool stopRequested);
    /** Call f(part, k) for the parts of this process's share of a batch, in no particular order. */
    void forParts(BatchPart share, std::int64_t size, const std::function<void(BatchPart, std::int64_t)>& f);
    /** This process's share of count samples. */
    BatchPart shareOf(std::int64_t count) const;
    Losses computeGradient(bool stopRequested);
    Losses sumOf(const std::vector<Losses>& parts, bool stopRequested);
    Losses validate();
    bool hasStoppedEarly() const {
        return settings.earlyStopping > 0 && state.best.validationsSince >= settings.earlyStopping;
    }
    /** For early stopping: remember the average if it is the best so far. */
    void compare(const Losses& losses);
    void announce();
    void report(double stepsPerSecond);
    void trySaving(const std::function<void()>& written);
    void save();
    void completeFiles(const std::function<void()>& written);
    std::string provenance() const;

    const TrainingConfig& config;
    std::size_t stage;
    const StageConfig& settings;
    Objective& objective;
    WorkerPool& workers;
    const ProcessGroup& group;
    StageFiles files;
    Optimizer optimizer;
    ExponentialMovingAverage average;
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

#endif // OPENMMSCORE_TRAINING_TRAININGLOOP_H_

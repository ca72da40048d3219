#ifndef OPENMMSCORE_TRAINING_TRAININGLOG_H_
#define OPENMMSCORE_TRAINING_TRAININGLOG_H_

#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include "Losses.h"

namespace OpenMMScore {

/** What is known about a stage of a run at some step. */
struct TrainingStatus {
    /** Absent if there is but one. */
    std::optional<int> stage;
    std::int64_t step = 0, steps = 0, skipped = 0;
    /** Means over the steps since the last line; absent if all of them were left out. */
    std::optional<Losses> losses;
    std::optional<Losses> validationLosses;
    LossNames names;
    double learningRate = 0.0, stepsPerSecond = 0.0, elapsedSeconds = 0.0;
};

/**
 * Keeps a file with one JSON object per line, and a progress line on the standard error: rewritten in place
 * on a terminal, else a new line at most every ten seconds.
 */
class TrainingLog {
public:
    /**
     * @param path          the file, made anew or, with resumeAfter, continued
     * @param resumeAfter   lines of later steps are dropped: the run that wrote them was cut off after its
     * checkpoint
     */
    TrainingLog(const std::string& path, std::optional<std::int64_t> resumeAfter);
    /** Add a line. Where that fails, a sentence on the standard error says so, once, and the run goes on. */
    void write(const TrainingStatus& status);
    /** @return whether showProgress() would show something without being forced */
    bool isProgressDue() const;
    void showProgress(const TrainingStatus& status, bool force = false);
    /** A line of its own on the standard error. */
    void say(const std::string& sentence);

private:
    std::string path;
    std::ofstream file;
    bool terminal, lineOpen = false, failing = false;
    std::chrono::steady_clock::time_point lastShown;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGLOG_H_

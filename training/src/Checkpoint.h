#ifndef OPENMMSCORE_TRAINING_CHECKPOINT_H_
#define OPENMMSCORE_TRAINING_CHECKPOINT_H_

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "Losses.h"
#include "Optimizer.h"

namespace OpenMMScore {

/** Everything that a run needs to go on as if it had never stopped. */
struct Checkpoint {
    /** Steps done, those among them that were left out for not being finite, and the latest of these in a
     * row. */
    std::int64_t step = 0, skipped = 0, skippedInRow = 0;
    double elapsedSeconds = 0.0;
    /** Sum and number of the losses since the last line of the log. */
    Losses lossSum;
    std::int64_t lossCount = 0;
    /** TrainingConfig::toJson() and the data file's digest. */
    std::string config, dataSha256;
    at::Tensor parameters, average;
    Optimizer::State optimizer;
    /** Of early stopping: the best average so far, if there was a validation; its loss and step, and how many
     * validations there were after it. */
    struct Best {
        at::Tensor average;
        double loss = 0.0;
        std::int64_t step = 0, validationsSince = 0;
    } best;

    /** Write to a safetensors file, atomically. */
    void write(const std::string& path) const;
    /**
     * Read a checkpoint to go on from.
     *
     * @param run         whose configuration and data the checkpoint must have
     * @param parameters  of the network, for their number, kind and place
     * @throws Error  if the file is damaged or of another run; the sentence names the first setting in which
     *                they differ
     */
    static Checkpoint read(const std::string& path, const Checkpoint& run, const at::Tensor& parameters);

private:
    void checkContinues(const std::string& path, const Checkpoint& run) const;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_CHECKPOINT_H_

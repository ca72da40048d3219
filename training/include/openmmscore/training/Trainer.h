#ifndef OPENMMSCORE_TRAINING_TRAINER_H_
#define OPENMMSCORE_TRAINING_TRAINER_H_

#include <functional>
#include <memory>
#include <string>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * A training run: trains the experts of a model one after another, that of the largest times first, each by
 * itself, and writes into the output folder
 *
 *     model.safetensors         the averaged weights, as a model file, with the account of their training
 *     checkpoint.safetensors    everything needed to continue, bit for bit
 *     log.jsonl                 one JSON object per line
 *
 * or, of a run with several stages k, checkpoint-k.safetensors and log-k.jsonl, expert-k.safetensors with
 * that expert alone as a model file, and, as soon as there are all experts, model.safetensors with all of
 * them. A run that trains a proposal writes proposal.safetensors instead of a model.
 *
 * A batch is cut into parts of a fixed size that threads share and whose gradients are added in order, so the
 * result does not depend on the number of threads. Under torchrun each process takes a share of every batch
 * and gradients are summed over all; the result is then that of one process to rounding.
 */
class Trainer {
public:
    enum class Start { Fresh, Resume, Overwrite };
    /**
     * Read the data and prepare the run.
     *
     * @param stage  the only one to train, perhaps while other processes train the others; -1 for all
     * @throws Error  if the data are unusable, the device is not there, the output folder holds a run already
     * (Fresh), or none that this one continues (Resume)
     */
    Trainer(const TrainingConfig& config, Start start, int stage = -1);
    ~Trainer();

    /**
     * Train up to the configured number of steps.
     *
     * @param stopRequested  asked after every step; if true, a checkpoint is written and the run ends
     * @return whether all steps were done, or early stopping has ended the run
     * @throws NumericalError  if too many steps in a row were not finite
     */
    bool run(const std::function<bool()>& stopRequested);
    /** @return whether this is the first, or only, of the processes that share the run: the one that writes
     */
    bool isFirst() const;
    /** @return the model file, or that of the only expert while others are missing */
    std::string getModelPath() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAINER_H_

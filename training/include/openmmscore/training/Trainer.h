#ifndef OPENMMSCORE_TRAINING_TRAINER_H_
#define OPENMMSCORE_TRAINING_TRAINER_H_

#include <functional>
#include <memory>
#include <string>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * A training run: takes steps, validates, keeps the log, and writes into the output folder
 *
 *     model.safetensors         the averaged weights, as a model file, with the account of their training
 *     checkpoint.safetensors    everything needed to continue, bit for bit
 *     log.jsonl                 one JSON object per line
 *
 * A batch is cut into parts of a fixed size that threads share and whose gradients are added in order, so the
 * result does not depend on the number of threads.
 */
class Trainer {
public:
    enum class Start { Fresh, Resume, Overwrite };
    /**
     * Read the data and prepare the run.
     *
     * @throws Error  if the data are unusable, the device is not there, the output folder holds a run already
     * (Fresh), or none that this one continues (Resume)
     */
    Trainer(const TrainingConfig& config, Start start);
    ~Trainer();

    /**
     * Train up to the configured number of steps.
     *
     * @param stopRequested  asked after every step; if true, a checkpoint is written and the run ends
     * @return whether all steps were done
     * @throws NumericalError  if too many steps in a row were not finite
     */
    bool run(const std::function<bool()>& stopRequested);
    /** @return what was written last */
    std::string getModelPath() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAINER_H_

#ifndef OPENMMSCORE_TRAINING_TRAININGTASK_H_
#define OPENMMSCORE_TRAINING_TRAININGTASK_H_

#include <memory>

#include <ATen/core/TensorBody.h>

#include "Objective.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/** The data of a run, and what is learnt from them. */
class TrainingTask {
public:
    /**
     * Read the data that a configuration names.
     *
     * @param config  what is to be trained gets what follows from the data
     * @throws Error  if the data are unusable
     */
    static std::unique_ptr<TrainingTask> create(TrainingConfig& config, const at::TensorOptions& options);
    virtual ~TrainingTask() = default;
    virtual std::int64_t getNumTrainingFrames() const = 0;
    /** @param config  with steps resolved; must outlive the result, like this object */
    virtual std::unique_ptr<Objective> objective(const TrainingConfig& config, std::size_t stage) const = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TRAININGTASK_H_

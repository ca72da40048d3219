#ifndef OPENMMSCORE_TRAINING_OBJECTIVE_H_
#define OPENMMSCORE_TRAINING_OBJECTIVE_H_

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "Losses.h"

namespace OpenMMScore {

/** What a run learns from, as its account says. */
struct DataAccount {
    /** Without folders. */
    std::string fileName, sha256;
    std::int64_t numTrainingFrames = 0, numValidationFrames = 0;
    bool weighted = false;
    /** How many equally weighted frames the training frames are worth. */
    double effectiveTrainingFrames = 0.0;
};

/** Samples first ... first+count-1 of a batch. */
struct BatchPart {
    std::int64_t first, count;
};

/**
 * What TrainingLoop minimises: parameters, and a loss that is a mean over samples. The loss of a batch, and
 * its derivative, are sums over the batch's parts, whichever process or thread computes them.
 */
class Objective {
public:
    virtual ~Objective() = default;

    /** @return shape [parameters]: all that is trained, one after another; writing to it changes the loss */
    virtual at::Tensor& getParameters() = 0;
    /**
     * Give the parameters the values with which a run begins.
     *
     * @throws Error  if a file to start from does not fit
     */
    virtual void initialize() = 0;
    virtual const DataAccount& getData() const = 0;
    virtual LossNames lossNames() const = 0;
    /** @return how many samples of a batch are computed together; independent of the number of threads */
    virtual std::int64_t partSize(std::int64_t batchSize) const = 0;
    /** Draw a part of the batch of a step, from 0: this process's share. */
    virtual void drawBatch(std::int64_t step, BatchPart share) = 0;
    /**
     * Different threads may call this at once.
     *
     * @param part      inside of the share that was drawn
     * @param gradient  shape [parameters]; the part's share of the derivative is added to it
     * @return the part's share of the loss
     */
    virtual Losses addGradient(BatchPart part, at::Tensor& gradient) const = 0;
    /** @return the size of the fixed batch on which every validation is done */
    virtual std::int64_t numValidationSamples() const = 0;
    /** Different threads may call this at once. @return a part's share of the validation loss */
    virtual Losses validationLoss(BatchPart part) const = 0;
    /**
     * Write what was learnt, atomically.
     *
     * @param values      shape [parameters]: what the file gets instead of the parameters at hand
     * @param provenance  the run's account, a JSON object
     */
    virtual void writeModel(const std::string& path, const at::Tensor& values,
                            const std::string& provenance) const = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_OBJECTIVE_H_

#ifndef OPENMMSCORE_TESTS_TRAINING_TRAININGRUNS_H_
#define OPENMMSCORE_TESTS_TRAINING_TRAININGRUNS_H_

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "TrainingFiles.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/training/Trainer.h"

namespace OpenMMScore::testing {

/** Trainings in a folder of the test's own. */
class TrainingRuns : public ::testing::Test {
protected:
    bool train(const TrainingConfig& run, Trainer::Start start = Trainer::Start::Fresh,
               int stopAfter = 1000000) {
        Trainer trainer(run, start);
        return trainer.run([stopAfter]() mutable { return --stopAfter == 0; });
    }
    /** The weights in a model or the state in a checkpoint, all tensors one after another. */
    std::vector<double> numbers(const std::string& file) {
        const ModelFile content = ModelFile::read(folder.path(file));
        std::vector<double> all;
        for (const auto& [name, info] : content.getTensors())
            for (double x : content.readTensor(name, info.shape))
                all.push_back(x);
        return all;
    }
    TemporaryFolder folder;
};

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_TRAININGRUNS_H_

#ifndef OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_
#define OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "TrainingFiles.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/training/Trainer.h"

namespace OpenMMScore::testing {

/** Short runs on a small chain, in a folder of the test's own. */
class TrainerTest : public ::testing::Test {
protected:
    void SetUp() override { folder.write("chain.npy", npyBytes({200, 4, 3}, wobblingChain(200, 4))); }
    TrainingConfig config(const std::string& output, const std::string& training = "") {
        TrainingConfig result = TrainingConfig::read(folder.write("run.toml", smallRun("", training)));
        result.output.directory = folder.path(output);
        return result;
    }
    bool train(const TrainingConfig& run, Trainer::Start start = Trainer::Start::Fresh,
               int stopAfter = 1000) {
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
    /** Validation losses by step. */
    std::vector<std::pair<int, double>> validation(const std::string& log) {
        std::ifstream file(folder.path(log));
        std::vector<std::pair<int, double>> result;
        for (std::string line; std::getline(file, line);) {
            const auto entry = nlohmann::json::parse(line);
            if (entry.contains("validation_loss"))
                result.emplace_back(entry["step"], entry["validation_loss"]);
        }
        return result;
    }
    TemporaryFolder folder;
};

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_

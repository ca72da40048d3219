#ifndef OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_
#define OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "TrainingRuns.h"

namespace OpenMMScore::testing {

/** Short runs on a small chain. */
class TrainerTest : public TrainingRuns {
protected:
    void SetUp() override { folder.write("chain.npy", npyBytes({200, 4, 3}, wobblingChain(200, 4))); }
    TrainingConfig config(const std::string& output, const std::string& training = "") {
        TrainingConfig result = TrainingConfig::read(folder.write("run.toml", smallRun("", training)));
        result.output.directory = folder.path(output);
        return result;
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
};

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_TRAINERTEST_H_

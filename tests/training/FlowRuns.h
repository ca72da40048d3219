#ifndef OPENMMSCORE_TESTS_TRAINING_FLOWRUNS_H_
#define OPENMMSCORE_TESTS_TRAINING_FLOWRUNS_H_

#include <fstream>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "TrainingRuns.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/sampling/InternalCoordinates.h"
#include "openmmscore/sampling/ProposalFile.h"

namespace OpenMMScore::testing {

/** A run of a few steps; the tables [coordinates] and [data] are named by their files. */
inline std::string flowRun(const std::string& kind, const std::string& proposal = "",
                           const std::string& training = "", const std::string& root = "",
                           const std::string& data = "") {
    return "seed = 3\n" + root + "\n[data]\nfile = \"" + kind + ".npy\"\n" + data +
           "\n[coordinates]\nkind = \"" + kind +
           "\"\n[proposal]\nfamily = \"spline-flow\"\nlayers = 4\nbins = 4\nhidden = [12, 12]\n" + proposal +
           "\n[training]\nsteps = 12\nbatch_size = 300\nlearning_rate = 2e-3\nema_decay = 0.9\n" + training +
           "\n[output]\ndirectory = \"out\"\ncheckpoint_interval = 5\nvalidation_interval = 4\n"
           "log_interval = 2\n";
}

/** The same runs of a continuous flow; the sizes of its network are among the keys of [proposal]. */
inline std::string matchingRun(const std::string& kind, const std::string& proposal = "hidden = [16, 16]\n",
                               const std::string& training = "", const std::string& data = "",
                               const std::string& root = "") {
    std::string run = flowRun(kind, "", training, root, data);
    const std::string splines = "family = \"spline-flow\"\nlayers = 4\nbins = 4\nhidden = [12, 12]\n";
    const bool sized = proposal.find("hidden") != std::string::npos;
    return run.replace(run.find(splines), splines.size(),
                       "family = \"continuous-flow\"\n" + std::string(sized ? "" : "hidden = [16, 16]\n") +
                           proposal);
}

/** Two clouds, [frames, 2]. */
inline std::vector<float> twoClouds(int frames) {
    CounterRandom random(1, CounterRandom::Stream::Sample, 0);
    std::vector<float> values;
    for (int f = 0; f < frames; f++) {
        const double x = random.uniform() < 0.7 ? -1.5 : 1.5;
        values.push_back(float(x + 0.3 * random.normal()));
        values.push_back(float(0.5 * x * x + 0.2 * random.normal() + 4.0));
    }
    return values;
}

/** A chain of five bonded particles whose torsions have two minima, [frames, 5, 3] in nm. */
inline std::vector<float> bentChain(int frames) {
    CounterRandom random(2, CounterRandom::Stream::Sample, 0);
    std::vector<ZMatrixRow> rows = {
        {0, -1, -1, -1}, {1, 0, -1, -1}, {2, 1, 0, -1}, {3, 2, 1, 0}, {4, 3, 2, 1}};
    const InternalCoordinates internal(rows);
    std::vector<float> values;
    for (int f = 0; f < frames; f++) {
        std::vector<double> u(9), x(15);
        for (int k = 0; k < 4; k++)
            u[k] = 0.15 + 0.003 * random.normal();
        for (int k = 4; k < 7; k++)
            u[k] = 1.9 + 0.05 * random.normal();
        for (int k = 7; k < 9; k++)
            u[k] = (random.uniform() < 0.5 ? 3.0 : -1.1) + 0.2 * random.normal();
        internal.toCartesian(u.data(), x.data());
        internal.orient(random, x.data());
        values.insert(values.end(), x.begin(), x.end());
    }
    return values;
}

inline const std::string chainBonds =
    "bonds = [[0, 1], [1, 2], [2, 3], [3, 4]]\nparticles = [{name = \"A\", mass = 12.0}, "
    "{name = \"B\", mass = 12.0}, {name = \"C\", mass = 12.0}, {name = \"D\", mass = "
    "12.0}, {name = \"E\", mass = 12.0}]\n";

/** The validation losses in a log, empty if there is none. */
inline std::vector<double> validationLosses(const std::string& log) {
    std::ifstream file(log);
    std::vector<double> result;
    for (std::string line; std::getline(file, line);) {
        const auto entry = nlohmann::json::parse(line);
        if (entry.contains("validation_loss"))
            result.push_back(entry["validation_loss"]);
    }
    return result;
}

/** Runs where the frames above are. */
class ProposalTraining : public TrainingRuns {
protected:
    ProposalTraining() {
        folder.write("vector.npy", npyBytes({3000, 2}, twoClouds(3000)));
        const std::vector<float> chain = bentChain(1000);
        folder.write("internal.npy", npyBytes({1000, 5, 3}, chain));
        folder.write("cartesian.npy", npyBytes({1000, 5, 3}, chain));
    }
    TrainingConfig config(const std::string& text, const std::string& output = "out") {
        TrainingConfig result = TrainingConfig::read(folder.write("run.toml", text));
        result.output.directory = folder.path(output);
        return result;
    }
    std::shared_ptr<const Proposal> load(const std::string& output = "out") {
        return readProposal(folder.path(output + "/proposal.safetensors"));
    }
    std::vector<double> validation(const std::string& output = "out") {
        return validationLosses(folder.path(output + "/log.jsonl"));
    }
    /** The mean of -log q over the frames for validation, which are the last of the file. */
    double meanLoss(const Proposal& proposal, const std::vector<float>& frames, int validationFrames) {
        const std::vector<double> x(frames.end() - validationFrames * proposal.getNumCoordinates(),
                                    frames.end());
        std::vector<double> logDensity(validationFrames);
        proposal.logDensity(validationFrames, x.data(), logDensity.data());
        double sum = 0.0;
        for (double value : logDensity)
            sum -= value;
        return sum / validationFrames;
    }
};

/** Frames for validation from the end of the file. */
inline const std::string last = "validation_split = \"last\"\n";

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_FLOWRUNS_H_

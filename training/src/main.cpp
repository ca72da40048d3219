#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>

#include "openmmscore/models/Error.h"
#include "openmmscore/training/Trainer.h"

namespace {

volatile std::sig_atomic_t receivedSignal = 0;

void remember(int signal) {
    receivedSignal = signal;
}

struct Arguments {
    std::string config, data, output, device;
    long steps = 0, threads = 0;
    int stage = -1;
    bool resume = false, overwrite = false, check = false;
};

OpenMMScore::TrainingConfig readConfig(const Arguments& arguments) {
    OpenMMScore::TrainingConfig config = OpenMMScore::TrainingConfig::read(arguments.config, arguments.data);
    if (arguments.steps > 0)
        config.totalSteps = arguments.steps;
    if (arguments.threads > 0)
        config.training.threads = arguments.threads;
    if (!arguments.output.empty())
        config.output.directory = arguments.output;
    if (!arguments.device.empty())
        config.training.device = arguments.device;
    return config;
}

/** The arguments of the same run, going on. */
std::string toContinue(const Arguments& arguments) {
    std::string again = arguments.config + " --resume";
    const auto add = [&](const char* option, const std::string& value) { again += option + value; };
    if (!arguments.output.empty())
        add(" --output ", arguments.output);
    if (!arguments.data.empty())
        add(" --data ", arguments.data);
    if (!arguments.device.empty())
        add(" --device ", arguments.device);
    if (arguments.stage >= 0)
        add(" --stage ", std::to_string(arguments.stage));
    if (arguments.steps > 0)
        add(" --steps ", std::to_string(arguments.steps));
    if (arguments.threads > 0)
        add(" --threads ", std::to_string(arguments.threads));
    return again;
}

int train(const Arguments& arguments) {
    using OpenMMScore::Trainer;
    const auto start = arguments.resume      ? Trainer::Start::Resume
                       : arguments.overwrite ? Trainer::Start::Overwrite
                                             : Trainer::Start::Fresh;
    Trainer trainer(readConfig(arguments), start, arguments.stage);
    std::signal(SIGINT, remember);
    std::signal(SIGTERM, remember);
    // A limit of file sizes is then an error of the write, with a sentence.
    std::signal(SIGXFSZ, SIG_IGN);
    if (trainer.run([] { return receivedSignal != 0; })) {
        if (trainer.isFirst())
            std::fprintf(stderr, "wrote %s\n", trainer.getModelPath().c_str());
        return 0;
    }
    const int code = 128 + static_cast<int>(receivedSignal != 0 ? receivedSignal : SIGTERM);
    if (!trainer.isFirst())
        return code;
    std::fprintf(stderr, "\nstopped; the checkpoint is written, continue with: openmmscore-train %s\n",
                 toContinue(arguments).c_str());
    return code;
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    CLI::App app("Train a score model, or a proposal, and write it as a file");
    app.add_option("config", arguments.config, "the run, as a TOML file (docs/training.md lists the keys)")
        ->required();
    app.add_option(
        "--data", arguments.data,
        "what `openmmscore train` has prepared, instead of the frames that the configuration names");
    app.add_option("--stage", arguments.stage, "train this stage alone, counted from 0")
        ->check(CLI::Range(0, 1000, "NONNEGATIVE"));
    app.add_option("--steps", arguments.steps, "in total, instead of training.steps or training.epochs")
        ->check(CLI::Range(1L, 1L << 38, "POSITIVE"));
    app.add_option("--threads", arguments.threads, "instead of training.threads")
        ->check(CLI::Range(1L, 65536L, "POSITIVE"));
    app.add_option("--device", arguments.device, "instead of training.device")
        ->check(CLI::IsMember({"cpu", "cuda"}));
    app.add_option("--output", arguments.output, "instead of output.directory");
    auto* resume = app.add_flag("--resume", arguments.resume, "continue the run in the output folder");
    app.add_flag("--overwrite", arguments.overwrite, "replace a run in the output folder")->excludes(resume);
    app.add_flag("--check", arguments.check, "read the configuration, without the data, and end");
    app.set_version_flag("--version", "openmmscore-train " OPENMMSCORE_VERSION);
    try {
        app.parse(argc, argv);
    }
    catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        if (arguments.check) {
            readConfig(arguments);
            return 0;
        }
        return train(arguments);
    }
    catch (const std::exception& error) {
        // LibTorch's own errors carry a stack trace from the second line on.
        const std::string message = error.what();
        std::fprintf(stderr, "openmmscore-train: %s\n",
                     message.substr(0, message.find("\nException raised")).c_str());
        return 1;
    }
}

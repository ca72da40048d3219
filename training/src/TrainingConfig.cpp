#include "openmmscore/training/TrainingConfig.h"

#include <filesystem>
#include <sstream>

#include <nlohmann/json.hpp>

#include "ConfigTable.h"
#include "DataConfigReader.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

namespace fs = std::filesystem;

/** Read an interval [a, b] of diffusion times, a < b, into two numbers that hold the default. */
void readInterval(ConfigTable& table, const std::string& key, double& lower, double& upper) {
    const std::vector<double> ends = table.numbers(key);
    if (ends.empty())
        return;
    if (ends.size() != 2 || !(0.0 <= ends[0] && ends[0] < ends[1] && ends[1] <= 1.0))
        table.fail(key, "must be two increasing numbers between 0 and 1");
    lower = ends[0];
    upper = ends[1];
}

ExpertDescription readExpert(ConfigTable& table, const ModelDescription& model) {
    ExpertDescription expert;
    using Architecture = ExpertDescription::Architecture;
    table.text("architecture");
    const bool mlp = table.choice("architecture", {"mlp", "graph-transformer"}, 0) == 0;
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    if (hidden.empty())
        table.fail("hidden", "is missing");
    expert.architecture = mlp ? Architecture::Mlp : Architecture::GraphTransformer;
    if (mlp)
        expert.mlp.hidden.assign(hidden.begin(), hidden.end());
    else {
        if (hidden.size() != 1)
            table.fail("hidden", "must be one integer for a graph transformer");
        GraphTransformerDescription& sizes = expert.graphTransformer;
        sizes.hidden = static_cast<int>(hidden[0]);
        sizes.layers = static_cast<int>(table.integer("layers", 1));
        sizes.heads = static_cast<int>(table.integer("heads", 1, 8));
        sizes.headSize = static_cast<int>(table.integer("head_size", 1, 64));
        sizes.feedForward = static_cast<int>(table.integer("feed_forward", 1, 4 * hidden[0]));
        sizes.layerNormEpsilon = positive(table, "layer_norm_epsilon", 1e-6);
        sizes.gelu = table.choice("gelu", {"tanh", "erf"}, 0) == 0 ? Gelu::Tanh : Gelu::Erf;
        const std::int64_t width = table.integer("embedding_width", 1, 16);
        sizes.embeddingWidth = model.features.empty() ? 0 : static_cast<int>(width);
    }
    expert.head = table.choice("head", {"energy", "score"}, 0) == 0 ? Head::Energy : Head::Score;
    expert.outputSign = !mlp && expert.head == Head::Score ? -1 : 1;
    readInterval(table, "interval", expert.lowerTime, expert.upperTime);
    // The published networks are told their place in the interval only where it does not begin at 0.
    const std::vector<TimeFeatures> kinds = {TimeFeatures::Fourier, TimeFeatures::FourierRescaled,
                                             TimeFeatures::Linear};
    expert.timeFeatures = kinds[table.choice("time_features", {"fourier", "fourier-rescaled", "linear"},
                                             expert.lowerTime > 0.0 ? 1 : 0)];
    return expert;
}

void readModel(ConfigTable table, TrainingConfig& config) {
    ModelDescription& model = config.model;
    model.experts = {readExpert(table, model)};
    model.defaultDiffusionTime =
        between(table, "default_diffusion_time", 0.0, 1.0, model.experts[0].lowerTime);
    model.schedule.betaMin = positive(table, "beta_min", 0.1);
    model.schedule.betaMax = positive(table, "beta_max", 20.0);
    config.measureLengthScale = !table.has("length_scale");
    model.lengthScale = positive(table, "length_scale", 1.0);
    table.finish();
}

OptimizationConfig readTraining(ConfigTable table, const ExpertDescription& expert) {
    OptimizationConfig training;
    training.steps = table.integer("steps", 1);
    training.batchSize = table.integer("batch_size", 1);
    training.learningRate = positive(table, "learning_rate", training.learningRate);
    training.finalLearningRate = between(table, "final_learning_rate", 0.0, training.learningRate,
                                         std::min(training.finalLearningRate, training.learningRate));
    training.weightDecay = between(table, "weight_decay", 0.0, 1.0, training.weightDecay);
    training.emaDecay = between(table, "ema_decay", 0.0, 0.999999, training.emaDecay);
    training.gradientClip = positive(table, "gradient_clip", training.gradientClip);
    training.lowerTime = std::max(training.lowerTime, expert.lowerTime);
    training.upperTime = expert.upperTime;
    readInterval(table, "time_interval", training.lowerTime, training.upperTime);
    training.timeMidpoint = table.number("time_midpoint", 0.5 * (expert.lowerTime + expert.upperTime));
    if (training.timeMidpoint <= expert.lowerTime || training.timeMidpoint >= expert.upperTime)
        table.fail("time_midpoint", "must lie inside model.interval");
    training.randomRotations = table.flag("random_rotations", true);
    training.doublePrecision = table.choice("precision", {"float32", "float64"}, 0) == 1;
    training.device = table.choice("device", {"cpu", "cuda"}, 0) == 0 ? "cpu" : "cuda";
    training.threads = table.integer("threads", 0, 0);
    table.finish();
    return training;
}

OutputConfig readOutput(ConfigTable table, const fs::path& config) {
    OutputConfig output;
    output.directory =
        relativeTo(config.string(), table.text("directory", config.stem().string() + "-output"));
    output.logInterval = table.integer("log_interval", 1, output.logInterval);
    output.validationInterval = table.integer("validation_interval", 1, output.validationInterval);
    output.checkpointInterval = table.integer("checkpoint_interval", 1, output.checkpointInterval);
    output.validationSamples = table.integer("validation_samples", 1, output.validationSamples);
    table.finish();
    return output;
}

} // namespace

TrainingConfig TrainingConfig::read(const std::string& path, const std::string& preparedData) {
    const toml::table content = parseToml(path);
    TrainingConfig config;
    ConfigTable root(content, path, "");
    config.model.title = root.text("title", fs::path(path).stem().string());
    config.seed = static_cast<std::uint64_t>(root.integer("seed", 0, 1));
    readDataConfig(root, path, preparedData, config);
    readModel(root.table("model"), config);
    config.training = readTraining(root.table("training"), config.model.experts[0]);
    config.output = readOutput(root.table("output"), path);
    root.finish();
    return config;
}

std::string TrainingConfig::toJson() const {
    const ExpertDescription& expert = model.experts.at(0);
    const bool mlp = expert.architecture == ExpertDescription::Architecture::Mlp;
    const GraphTransformerDescription& sizes = expert.graphTransformer;
    nlohmann::json json = {
        {"seed", seed},
        {"data",
         {{"unit", data.unit}, {"atoms", data.atoms}, {"validation_fraction", data.validationFraction}}},
        {"model",
         {{"architecture", mlp ? "mlp" : "graph-transformer"},
          {"hidden", mlp ? nlohmann::json(expert.mlp.hidden) : nlohmann::json(sizes.hidden)},
          {"head", expert.head == Head::Energy ? "energy" : "score"},
          {"interval", {expert.lowerTime, expert.upperTime}},
          {"time_features", static_cast<int>(expert.timeFeatures)},
          {"beta", {model.schedule.betaMin, model.schedule.betaMax}},
          {"length_scale",
           measureLengthScale ? nlohmann::json("measured") : nlohmann::json(model.lengthScale)}}},
        {"training",
         {{"steps", training.steps},
          {"batch_size", training.batchSize},
          {"learning_rate", training.learningRate},
          {"final_learning_rate", training.finalLearningRate},
          {"weight_decay", training.weightDecay},
          {"ema_decay", training.emaDecay},
          {"gradient_clip", training.gradientClip},
          {"time_interval", {training.lowerTime, training.upperTime}},
          {"time_midpoint", training.timeMidpoint},
          {"random_rotations", training.randomRotations},
          {"precision", training.doublePrecision ? "float64" : "float32"}}}};
    if (!mlp)
        json["model"].update({{"layers", sizes.layers},
                              {"heads", sizes.heads},
                              {"head_size", sizes.headSize},
                              {"feed_forward", sizes.feedForward},
                              {"layer_norm_epsilon", sizes.layerNormEpsilon},
                              {"gelu", sizes.gelu == Gelu::Tanh ? "tanh" : "erf"}});
    return json.dump();
}

} // namespace OpenMMScore

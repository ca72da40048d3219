#include "openmmscore/training/TrainingConfig.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include <nlohmann/json.hpp>

#include "ConfigTable.h"
#include "DataConfigReader.h"
#include "ExpertReader.h"
#include "ProposalReader.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

namespace fs = std::filesystem;

OutputConfig readOutput(ConfigTable table, const fs::path& config, std::int64_t validationSamples) {
    OutputConfig output;
    output.directory = table.file("directory", config.stem().string() + "-output");
    output.logInterval = table.integer("log_interval", 1, output.logInterval);
    output.validationInterval = table.integer("validation_interval", 1, output.validationInterval);
    output.checkpointInterval = table.integer("checkpoint_interval", 1, output.checkpointInterval);
    output.validationSamples = table.integer("validation_samples", 1, validationSamples, 10000000);
    table.finish();
    return output;
}

} // namespace

TrainingConfig TrainingConfig::read(const std::string& path, const std::string& preparedData) {
    const toml::table content = parseToml(path);
    TrainingConfig config;
    ConfigTable root(content, path, "");
    config.model.title = root.text("title", fs::path(path).stem().string());
    config.seed =
        static_cast<std::uint64_t>(root.integer("seed", 0, 1, std::numeric_limits<std::int64_t>::max()));
    const bool proposal = root.has("proposal");
    readDataConfig(root, path, preparedData, config);
    if (proposal)
        readProposalConfig(root, path, config);
    else
        readExperts(root, path, config);
    // Where early stopping looks at it, the validation loss should not be noise.
    config.output = readOutput(root.table("output"), path, proposal ? 16384 : 2048);
    root.finish();
    return config;
}

void TrainingConfig::resolveSteps(std::int64_t numTrainingFrames) {
    std::int64_t all = 0;
    for (StageConfig& stage : stages) {
        if (stage.epochs > 0)
            stage.steps = stage.epochs * (numTrainingFrames / stage.batchSize);
        all += stage.steps;
    }
    if (totalSteps == 0)
        return;
    for (StageConfig& stage : stages)
        stage.steps = std::llround(double(totalSteps) * double(stage.steps) / double(all));
    for (std::size_t k = 0; k < stages.size(); k++)
        if (stages[k].steps < 1)
            throw Error("of " + std::to_string(totalSteps) + " steps none is left for stage " +
                        std::to_string(k));
}

namespace {

nlohmann::json sizesToJson(const GraphTransformerDescription& sizes) {
    return {{"hidden", sizes.hidden},
            {"layers", sizes.layers},
            {"heads", sizes.heads},
            {"head_size", sizes.headSize},
            {"feed_forward", sizes.feedForward},
            {"layer_norm_epsilon", sizes.layerNormEpsilon},
            {"gelu", sizes.gelu == Gelu::Tanh ? "tanh" : "erf"}};
}

nlohmann::json toJson(const ExpertDescription& expert) {
    const bool mlp = expert.architecture == ExpertDescription::Architecture::Mlp;
    const GraphTransformerDescription& sizes = expert.graphTransformer;
    nlohmann::json json = {{"architecture", mlp ? "mlp" : "graph-transformer"},
                           {"hidden", expert.mlp.hidden},
                           {"head", expert.head == Head::Energy ? "energy" : "score"},
                           {"interval", {expert.lowerTime, expert.upperTime}},
                           {"time_features", static_cast<int>(expert.timeFeatures)}};
    if (!mlp) {
        json.update(sizesToJson(sizes));
        json["embedding_width"] = sizes.embeddingWidth;
    }
    return json;
}

/** What is the same for all that can be trained. */
nlohmann::json optimizationToJson(const StageConfig& stage) {
    nlohmann::json json = {{"steps", stage.steps},
                           {"batch_size", stage.batchSize},
                           {"learning_rate", stage.learningRate},
                           {"final_learning_rate", stage.finalLearningRate},
                           {"weight_decay", stage.weightDecay},
                           {"ema", stage.averaging == Averaging::Running ? "running" : "upstream-per-epoch"},
                           {"ema_decay", stage.emaDecay},
                           {"ema_interval", stage.emaInterval},
                           {"gradient_clip", stage.gradientClip}};
    if (stage.gradientNorm > 0.0)
        json["gradient_norm"] = stage.gradientNorm;
    if (stage.earlyStopping > 0)
        json["early_stopping"] = stage.earlyStopping;
    return json;
}

nlohmann::json toJson(const StageConfig& stage) {
    nlohmann::json json = optimizationToJson(stage);
    json.update({{"time_interval", {stage.lowerTime, stage.upperTime}},
                 {"time_midpoint", stage.timeMidpoint},
                 {"times", stage.stratifiedTimes ? "stratified" : "independent"}});
    if (!stage.startFrom.empty())
        json["start_from"] = {fs::path(stage.startFrom).filename().string(), stage.startExpert};
    return json;
}

nlohmann::json toJson(const FokkerPlanckOptions& options) {
    const char* derivatives[] = {"exact", "stencil", "upstream-clamped-stencil"};
    return {{"weight", options.weight},
            {"samples", options.samples},
            {"perturbation", options.perturbation},
            {"time_derivative", derivatives[static_cast<int>(options.timeDerivative)]},
            {"backward_step", options.backwardStep},
            {"forward_step", options.forwardStep},
            {"divergence", options.oneDimensionalDivergence ? "upstream-one-dimension" : "full"}};
}

nlohmann::json velocityToJson(const ProposalConfig& proposal) {
    const ContinuousFlowDescription& flow = proposal.continuous;
    if (flow.network == ContinuousFlowDescription::Network::Egnn)
        return {{"velocity", "egnn"},
                {"hidden", flow.egnn.hidden},
                {"layers", flow.egnn.layers},
                {"coordinate_range", flow.egnn.coordinateRange},
                {"kinds", proposal.kinds}};
    if (flow.network == ContinuousFlowDescription::Network::GraphTransformer) {
        nlohmann::json json = sizesToJson(flow.graphTransformer);
        json["velocity"] = "graph-transformer";
        return json;
    }
    const bool swish = flow.mlp.activation == ContinuousFlowDescription::Activation::Swish;
    return {{"hidden", flow.mlp.hidden}, {"activation", swish ? "silu" : "tanh"}};
}

nlohmann::json continuousToJson(const ProposalConfig& proposal) {
    nlohmann::json json = velocityToJson(proposal);
    json.update({{"family", "continuous-flow"},
                 {"time_frequencies", proposal.continuous.timeFrequencies},
                 {"pairing", proposal.pairing},
                 {"sigma", proposal.sigma}});
    if (proposal.align)
        json["align"] = true;
    if (proposal.paths == ProposalConfig::Paths::Diffusion)
        json["paths"] = "diffusion";
    if (proposal.allCircular)
        json["circular"] = "all";
    else if (!proposal.circular.empty())
        json["circular"] = proposal.circular;
    if (proposal.hasAngles())
        json["angle_frequencies"] = proposal.continuous.angleFrequencies;
    return json;
}

nlohmann::json splinesToJson(const ProposalConfig& proposal) {
    const char* activations[] = {"relu", "silu", "tanh"};
    const SplineFlowDescription::Layer& layer = proposal.layer;
    const bool couplings = layer.type == SplineFlowDescription::Layer::Type::Coupling;
    nlohmann::json json = {
        {"family", "spline-flow"},
        {"circular", proposal.allCircular ? nlohmann::json("all") : nlohmann::json(proposal.circular)},
        {"layers", proposal.numLayers},
        {"kind", couplings ? "coupling" : "autoregressive"},
        {"hidden", layer.hidden},
        {"residual", layer.network == SplineFlowDescription::Network::Residual},
        {"activation", activations[static_cast<int>(layer.activation)]},
        {"bins", proposal.flow.bins},
        {"bound", proposal.flow.bound},
        {"trainable_base", proposal.flow.trainableBase},
        {"permutation_seed", proposal.permutationSeed}};
    if (layer.network == SplineFlowDescription::Network::Transformer)
        json.update(
            {{"conditioner", "transformer"}, {"heads", layer.heads}, {"feed_forward", layer.feedForward}});
    return json;
}

/** The settings of a run that trains a proposal. */
nlohmann::json proposalRunToJson(const TrainingConfig& config, const nlohmann::json& data) {
    const StageConfig& stage = config.stages.at(0);
    const ProposalConfig& proposal = config.proposal;
    const char* coordinates[] = {"vector", "cartesian", "internal"};
    const bool splines = proposal.family == ProposalConfig::Family::SplineFlow;
    nlohmann::json json = {{"seed", config.seed},
                           {"data", data},
                           {"proposal", splines ? splinesToJson(proposal) : continuousToJson(proposal)},
                           {"training", optimizationToJson(stage)}};
    json["proposal"]["coordinates"] = coordinates[static_cast<int>(proposal.coordinates)];
    if (!proposal.cycles.empty())
        json["proposal"]["cycles"] = proposal.cycles;
    for (const ProposalConfig::Boxed& each : proposal.boxed)
        json["proposal"]["boxed"].push_back({each.coordinate, each.lower, each.upper});
    if (!stage.startFrom.empty())
        json["training"]["start_from"] = fs::path(stage.startFrom).filename().string();
    json["training"]["noise"] = stage.noise;
    json["training"]["random_rotations"] = config.training.randomRotations;
    json["training"]["precision"] = config.training.doublePrecision ? "float64" : "float32";
    return json;
}

} // namespace

std::string TrainingConfig::toJson(std::size_t index) const {
    const StageConfig& stage = stages.at(index);
    const bool discrete = model.schedule.isDiscrete();
    nlohmann::json frames = {
        {"unit", data.unit}, {"atoms", data.atoms}, {"validation_fraction", data.validationFraction}};
    if (data.validationSplit == DataConfig::Split::Last)
        frames["validation_split"] = "last";
    // Otherwise the temperature is no more than a number in the model file.
    for (const MoleculeData& molecule : data.molecules)
        if (molecule.weights == MoleculeData::Weights::BiasEnergies && !molecule.weightsFile.empty())
            frames["temperature"] = model.temperature;
    if (proposal)
        return proposalRunToJson(*this, frames).dump();
    nlohmann::json json = {{"seed", seed},
                           {"data", frames},
                           {"model", OpenMMScore::toJson(model.experts.at(index))},
                           {"training", OpenMMScore::toJson(stage)}};
    json["model"]["length_scale"] =
        measureLengthScale ? nlohmann::json("measured") : nlohmann::json(model.lengthScale);
    if (discrete)
        json["training"]["levels"] = stage.preferLowLevels ? "higher-until-100" : "uniform";
    else
        json["model"]["beta"] = {model.schedule.betaMin, model.schedule.betaMax};
    json["training"]["random_rotations"] = training.randomRotations;
    json["training"]["precision"] = training.doublePrecision ? "float64" : "float32";
    if (stage.fokkerPlanck.weight > 0.0)
        json["fokker_planck"] = OpenMMScore::toJson(stage.fokkerPlanck);
    return json.dump();
}

} // namespace OpenMMScore

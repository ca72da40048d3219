#include "ExpertReader.h"

#include <algorithm>
#include <numeric>

#include "Methods.h"
#include "StageReader.h"

namespace OpenMMScore {

namespace {

/** Read an interval [a, b] of diffusion times, a < b, into two numbers that hold the default. */
bool readInterval(ConfigTable& table, const std::string& key, double& lower, double& upper) {
    const std::vector<double> ends = table.numbers(key);
    if (!table.has(key))
        return false;
    if (ends.size() != 2 || !(0.0 <= ends[0] && ends[0] < ends[1] && ends[1] <= 1.0))
        table.fail(key, "must be two increasing numbers between 0 and 1");
    lower = ends[0];
    upper = ends[1];
    return true;
}

bool isMlp(const ExpertDescription& expert) {
    return expert.architecture == ExpertDescription::Architecture::Mlp;
}

/** An expert in the making, and the stage that trains it. */
struct Draft {
    ExpertDescription expert;
    StageConfig stage;
    bool hasInterval = false, hasTimeInterval = false, hasMidpoint = false, hasTimeFeatures = false;
    bool hasFinalLearningRate = false;
};

void readSizes(ConfigTable& table, ExpertDescription& expert, const ModelDescription& model) {
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    if (isMlp(expert)) {
        if (!hidden.empty())
            expert.mlp.hidden.assign(hidden.begin(), hidden.end());
        return;
    }
    if (hidden.size() > 1)
        table.fail("hidden", "must be one integer for a graph transformer");
    GraphTransformerDescription& sizes = expert.graphTransformer;
    const auto integer = [&](const char* key, int present) {
        return static_cast<int>(table.integer(key, 1, present));
    };
    sizes.hidden = hidden.empty() ? sizes.hidden : static_cast<int>(hidden[0]);
    sizes.layers = integer("layers", sizes.layers);
    sizes.heads = integer("heads", sizes.heads);
    sizes.headSize = integer("head_size", sizes.headSize);
    sizes.feedForward = integer("feed_forward", sizes.feedForward);
    sizes.layerNormEpsilon = positive(table, "layer_norm_epsilon", sizes.layerNormEpsilon);
    sizes.gelu =
        table.choice("gelu", {"tanh", "erf"}, sizes.gelu == Gelu::Tanh ? 0 : 1) == 0 ? Gelu::Tanh : Gelu::Erf;
    const int width = integer("embedding_width", sizes.embeddingWidth > 0 ? sizes.embeddingWidth : 16);
    sizes.embeddingWidth = model.features.empty() ? 0 : width;
}

/** Change an expert by what [model] or one of [[stages]] says. */
void readExpert(ConfigTable& table, Draft& draft, const ModelDescription& model) {
    ExpertDescription& expert = draft.expert;
    readSizes(table, expert, model);
    expert.head = table.choice("head", {"energy", "score"}, expert.head == Head::Energy ? 0 : 1) == 0
                      ? Head::Energy
                      : Head::Score;
    if (readInterval(table, "interval", expert.lowerTime, expert.upperTime))
        draft.hasInterval = true;
    const std::vector<TimeFeatures> kinds = {TimeFeatures::Fourier, TimeFeatures::FourierRescaled,
                                             TimeFeatures::Linear};
    draft.hasTimeFeatures = draft.hasTimeFeatures || table.has("time_features");
    const std::size_t present = std::find(kinds.begin(), kinds.end(), expert.timeFeatures) - kinds.begin();
    expert.timeFeatures =
        kinds[table.choice("time_features", {"fourier", "fourier-rescaled", "linear"}, present)];
}

/** Change a stage by what [training] or one of [[stages]] says. */
void readStage(ConfigTable& table, Draft& draft, const std::string& file) {
    StageConfig& stage = draft.stage;
    readOptimization(table, file, stage, draft.hasFinalLearningRate);
    if (readInterval(table, "time_interval", stage.lowerTime, stage.upperTime))
        draft.hasTimeInterval = true;
    draft.hasMidpoint = draft.hasMidpoint || table.has("time_midpoint");
    stage.timeMidpoint = table.number("time_midpoint", stage.timeMidpoint);
    stage.stratifiedTimes =
        table.choice("times", {"independent", "stratified"}, stage.stratifiedTimes ? 1 : 0) == 1;
    stage.preferLowLevels =
        table.choice("levels", {"uniform", "higher-until-100"}, stage.preferLowLevels ? 1 : 0) == 1;
    stage.startExpert = static_cast<int>(table.integer("start_expert", 0, stage.startExpert));
}

void readFokkerPlanck(ConfigTable table, FokkerPlanckOptions& options) {
    using TimeDerivative = FokkerPlanckOptions::TimeDerivative;
    options.weight = between(table, "weight", 0.0, 1e6, options.weight);
    options.samples = table.integer("samples", 0, options.samples);
    options.perturbation = positive(table, "perturbation", options.perturbation);
    options.timeDerivative = static_cast<TimeDerivative>(
        table.choice("time_derivative", {"exact", "stencil", "upstream-clamped-stencil"}, std::size_t(0)));
    options.backwardStep = positive(table, "backward_step", options.backwardStep);
    options.forwardStep = positive(table, "forward_step", options.forwardStep);
    options.oneDimensionalDivergence =
        table.choice("divergence", {"full", "upstream-one-dimension"}, std::size_t(0)) == 1;
    table.finish();
}

/** Fill in what follows from the rest, and check what must fit together. */
void complete(Draft& draft, const ConfigTable& model, const ConfigTable& training) {
    ExpertDescription& expert = draft.expert;
    StageConfig& stage = draft.stage;
    GraphTransformerDescription& sizes = expert.graphTransformer;
    if (isMlp(expert) ? expert.mlp.hidden.empty() : sizes.hidden == 0)
        model.failMissing("hidden");
    if (!isMlp(expert) && sizes.layers == 0)
        model.failMissing("layers");
    if (sizes.feedForward == 0)
        sizes.feedForward = 4 * sizes.hidden;
    if (isMlp(expert))
        sizes = GraphTransformerDescription();
    else
        expert.mlp = MlpDescription();
    const bool plainSign = expert.scaling == Scaling::None;
    if (plainSign)
        expert.outputSign = !isMlp(expert) && expert.head == Head::Score ? -1 : 1;
    else if (expert.scaling == Scaling::InverseSigma && expert.head == Head::Score)
        model.fail("head", "must be \"energy\" for the method two-for-one");
    else if (expert.scaling == Scaling::CleanData && expert.head == Head::Energy)
        model.fail("head", "must be \"score\" for the method ddpm, whose network predicts clean data");
    // The published networks are told their place in the interval only where it does not begin at 0.
    if (!draft.hasTimeFeatures && expert.timeFeatures != TimeFeatures::Linear)
        expert.timeFeatures = expert.lowerTime > 0.0 ? TimeFeatures::FourierRescaled : TimeFeatures::Fourier;
    if (draft.hasInterval && !draft.hasTimeInterval) {
        stage.lowerTime = plainSign ? std::max(1e-5, expert.lowerTime) : expert.lowerTime;
        stage.upperTime = expert.upperTime;
    }
    if (draft.hasInterval && !draft.hasMidpoint)
        stage.timeMidpoint = 0.5 * (expert.lowerTime + expert.upperTime);
    if (stage.lowerTime < expert.lowerTime || stage.upperTime > expert.upperTime)
        training.fail("time_interval", "must lie inside model.interval: the network does not tell times "
                                       "outside apart");
    if (stage.timeMidpoint <= expert.lowerTime || stage.timeMidpoint >= expert.upperTime)
        training.fail("time_midpoint", "must lie inside model.interval");
    if (training.has("levels") && plainSign)
        training.fail("levels", "is for the discrete diffusions of the methods two-for-one and ddpm");
    if (training.has("start_expert") && stage.startFrom.empty())
        training.fail("start_expert", "is of a model to start from, but there is no start_from");
    if (stage.steps == 0 && stage.epochs == 0)
        training.failMissing("steps", "epochs");
    if (stage.batchSize == 0)
        training.failMissing("batch_size");
    if (stage.fokkerPlanck.weight > 0.0 && (expert.head == Head::Score || !plainSign))
        model.fail("head", plainSign ? "is \"score\", but the Fokker-Planck loss is one of energies"
                                     : "is that of a discrete diffusion, which has no Fokker-Planck loss");
}

/** Divide steps and epochs of a run among its stages. */
void divide(std::vector<Draft>& drafts, const std::vector<std::int64_t>& shares) {
    const std::int64_t all = std::accumulate(shares.begin(), shares.end(), std::int64_t(0));
    for (std::size_t k = 0; k < drafts.size(); k++) {
        StageConfig& stage = drafts[k].stage;
        for (std::int64_t* length : {&stage.steps, &stage.epochs})
            if (*length > 0)
                *length = std::max<std::int64_t>(1, (*length * shares[k] + all / 2) / all);
    }
}

std::vector<Draft> draftsOf(const MethodPreset& preset, const std::vector<ConfigTable>& tables,
                            std::vector<std::int64_t>& shares) {
    std::vector<Draft> drafts;
    if (tables.empty() || tables.size() == preset.experts.size()) {
        for (std::size_t k = 0; k < preset.experts.size(); k++)
            drafts.push_back({preset.experts[k], preset.stages[k]});
        return drafts;
    }
    // Other experts than the method's: like its last, each on an interval of its own.
    for (const ConfigTable& table : tables) {
        if (!table.has("interval"))
            table.fail("interval", "is missing: the method has " + std::to_string(preset.experts.size()) +
                                       " stages with intervals of their own, the file " +
                                       std::to_string(tables.size()));
        drafts.push_back({preset.experts.back(), preset.stages.back()});
        if (&table != &tables.back())
            drafts.back().stage.fokkerPlanck.weight = 0.0;
    }
    shares.assign(tables.size(), 1);
    return drafts;
}

void checkOrder(const ModelDescription& model, const ConfigTable& root) {
    for (std::size_t k = 1; k < model.experts.size(); k++)
        if (model.experts[k].upperTime != model.experts[k - 1].lowerTime)
            root.fail("stages", "must go from large to small times without gaps: stage " + std::to_string(k) +
                                    " ends at t = " + std::to_string(model.experts[k].upperTime) +
                                    ", the one before begins at " +
                                    std::to_string(model.experts[k - 1].lowerTime));
}

} // namespace

void readExperts(ConfigTable& root, const std::string& file, TrainingConfig& config) {
    ConfigTable modelTable = root.table("model"), training = root.table("training");
    std::vector<ConfigTable> tables = root.tables("stages");
    modelTable.text("architecture");
    const bool mlp = modelTable.choice("architecture", {"mlp", "graph-transformer"}, 0) == 0;
    const std::string method = methodNames()[root.choice("method", methodNames(), 0)];
    if (method == "two-for-one" && mlp)
        root.fail("method", "is \"two-for-one\", which is defined for graph transformers");
    if (method == "ddpm" && !mlp)
        root.fail("method", "is \"ddpm\", which is defined for perceptrons on plain vectors");
    MethodPreset preset = methodPreset(method, mlp);
    std::vector<Draft> drafts = draftsOf(preset, tables, preset.shares);

    // The common tables.
    if (drafts.size() > 1)
        for (const char* key : {"interval", "time_interval", "time_midpoint", "start_expert"})
            for (const ConfigTable* table : {&modelTable, &training})
                if (table->has(key))
                    table->fail(key, "cannot be the same for several experts; give it under [[stages]]");
    readFokkerPlanck(root.table("fokker_planck"), drafts.back().stage.fokkerPlanck);
    ModelDescription& model = config.model;
    for (std::size_t k = 0; k < drafts.size(); k++) {
        FokkerPlanckOptions options = drafts.back().stage.fokkerPlanck;
        options.weight = drafts[k].stage.fokkerPlanck.weight;
        drafts[k].stage.fokkerPlanck = options;
        readExpert(modelTable, drafts[k], model);
        drafts[k].stage.startExpert = drafts.size() > 1 ? static_cast<int>(k) : 0;
        readStage(training, drafts[k], file);
    }
    divide(drafts, preset.shares);

    // What each stage says of its own.
    for (std::size_t k = 0; k < drafts.size(); k++) {
        if (!tables.empty()) {
            readExpert(tables[k], drafts[k], model);
            readStage(tables[k], drafts[k], file);
            double& weight = drafts[k].stage.fokkerPlanck.weight;
            weight = between(tables[k], "fokker_planck_weight", 0.0, 1e6, weight);
            tables[k].finish();
        }
        complete(drafts[k], modelTable, tables.empty() ? training : tables[k]);
        model.experts.push_back(drafts[k].expert);
        config.stages.push_back(drafts[k].stage);
    }
    checkOrder(model, root);
    model.schedule = preset.schedule;
    model.schedule.betaMin = positive(modelTable, "beta_min", model.schedule.betaMin);
    model.schedule.betaMax = positive(modelTable, "beta_max", model.schedule.betaMax);
    if (model.schedule.betaMin > model.schedule.betaMax)
        modelTable.fail("beta_min", "must not be greater than beta_max");
    const double time = preset.defaultDiffusionTime;
    // Found here, not when a day's training is written into a file.
    model.defaultDiffusionTime = between(modelTable, "default_diffusion_time", model.getLowerTime(),
                                         model.getUpperTime(), std::max(time, model.getLowerTime()));
    config.measureLengthScale = !modelTable.has("length_scale");
    model.lengthScale = positive(modelTable, "length_scale", 1.0);
    modelTable.finish();

    config.training = readExecution(training);
    training.finish();
}

} // namespace OpenMMScore

#include "ProposalReader.h"

#include "StageReader.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Layer = SplineFlowDescription::Layer;

void readLayer(ConfigTable& table, ProposalConfig& proposal) {
    Layer& layer = proposal.layer;
    proposal.numLayers = table.integer("layers", 1, 8);
    layer.type = table.choice("kind", {"coupling", "autoregressive"}, 0) == 0 ? Layer::Type::Coupling
                                                                              : Layer::Type::Autoregressive;
    layer.residual = table.flag("residual", false);
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    layer.hidden.assign(hidden.begin(), hidden.end());
    if (hidden.empty())
        layer.hidden.assign(layer.residual ? 3 : 2, 128);
    using Activation = SplineFlowDescription::Activation;
    const Activation activations[] = {Activation::ReLU, Activation::SiLU, Activation::Tanh};
    layer.activation = activations[table.choice("activation", {"relu", "silu", "tanh"}, 0)];
}

void readCircular(ConfigTable& table, ProposalConfig& proposal) {
    if (table.isText("circular")) {
        table.choice("circular", {"all"}, 0);
        proposal.allCircular = true;
    }
    else
        proposal.circular = table.integers("circular", 0);
    const bool any = proposal.allCircular || !proposal.circular.empty();
    if (any && proposal.coordinates != ProposalConfig::Coordinates::Vector)
        table.fail("circular", "is for plain numbers; of internal coordinates it is known which are angles");
}

void checkSplines(const ConfigTable& table, const ProposalConfig& proposal) {
    // With one coordinate and one layer, for a sentence about sizes alone.
    SplineFlowDescription sample = proposal.flow;
    sample.dimension = 1;
    sample.layers.assign(static_cast<std::size_t>(std::min<std::int64_t>(proposal.numLayers, 1000)),
                         proposal.layer);
    for (Layer& layer : sample.layers)
        layer.transformed = {0};
    try {
        sample.check();
    }
    catch (const ShapeError& error) {
        table.fail("family", std::string("is \"spline-flow\": ") + error.what());
    }
}

void readSplines(ConfigTable& table, ProposalConfig& proposal) {
    readLayer(table, proposal);
    readCircular(table, proposal);
    proposal.flow.bins = static_cast<int>(table.integer("bins", 2, 8));
    proposal.flow.bound = positive(table, "bound", 5.0);
    proposal.flow.trainableBase = table.flag("trainable_base", false);
    proposal.permutationSeed = static_cast<std::uint64_t>(table.integer("permutation_seed", 0, 1));
    checkSplines(table, proposal);
}

StageConfig readTraining(ConfigTable table, const std::string& file, ExecutionConfig& execution) {
    StageConfig stage;
    stage.startFrom = "";
    bool hasFinalLearningRate = false;
    readOptimization(table, file, stage, hasFinalLearningRate);
    stage.noise = between(table, "noise", 0.0, 10.0, 0.0);
    if (stage.steps == 0 && stage.epochs == 0)
        table.failMissing("steps");
    execution = readExecution(table);
    if (execution.device != "cpu")
        table.fail("device", "is \"" + execution.device + "\", but spline flows are trained on the CPU");
    table.finish();
    return stage;
}

} // namespace

void readProposalConfig(ConfigTable& root, const std::string& file, TrainingConfig& config) {
    for (const char* key : {"model", "stages", "method", "fokker_planck"})
        if (root.has(key))
            root.fail(key, "stands beside [proposal]; a run trains either a model or a proposal");
    ProposalConfig& proposal = config.proposal;
    using Coordinates = ProposalConfig::Coordinates;
    ConfigTable coordinates = root.table("coordinates");
    const Coordinates kinds[] = {Coordinates::Vector, Coordinates::Cartesian, Coordinates::Internal};
    coordinates.text("kind");
    proposal.coordinates = kinds[coordinates.choice("kind", {"vector", "cartesian", "internal"}, 0)];
    coordinates.finish();
    ConfigTable table = root.table("proposal");
    table.text("family");
    table.choice("family", {"spline-flow"}, 0);
    proposal.family = ProposalConfig::Family::SplineFlow;
    readSplines(table, proposal);
    table.finish();
    config.stages = {readTraining(root.table("training"), file, config.training)};
    if (config.data.molecules.size() > 1 || !config.model.features.empty())
        root.fail("proposal", "is of one molecule, but there are tables [[molecules]] or [[features]]");
}

} // namespace OpenMMScore

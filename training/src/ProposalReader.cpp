#include "ProposalReader.h"

#include <algorithm>
#include <limits>
#include <set>

#include "StageReader.h"
#include "VelocityReader.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Layer = SplineFlowDescription::Layer;

void readLayer(ConfigTable& table, ProposalConfig& proposal) {
    Layer& layer = proposal.layer;
    proposal.numLayers = table.integer("layers", 1, 8);
    layer.type = table.choice("kind", {"coupling", "autoregressive"}, 0) == 0 ? Layer::Type::Coupling
                                                                              : Layer::Type::Autoregressive;
    const bool transformer = table.choice("conditioner", {"mlp", "transformer"}, 0) == 1;
    const bool residual = !transformer && table.flag("residual", false);
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    for (std::int64_t width : hidden)
        layer.hidden.push_back(asInt(width));
    using Network = SplineFlowDescription::Network;
    layer.network = transformer ? Network::Transformer : residual ? Network::Residual : Network::Plain;
    if (hidden.empty())
        layer.hidden.assign(residual ? 3 : 2, transformer ? 64 : 128);
    if (transformer) {
        layer.heads = asInt(table.integer("heads", 1, 4));
        layer.feedForward = asInt(table.integer("feed_forward", 1, 2 * std::int64_t(layer.hidden[0])));
    }
    using Activation = SplineFlowDescription::Activation;
    const Activation activations[] = {Activation::ReLU, Activation::SiLU, Activation::Tanh};
    layer.activation = activations[table.choice("activation", {"relu", "silu", "tanh"}, 0)];
}

void readCycles(ConfigTable& table, ProposalConfig& proposal) {
    proposal.cycles = table.integerRows("cycles", 0);
    if (!proposal.cycles.empty() && proposal.coordinates == ProposalConfig::Coordinates::Vector)
        table.fail("cycles", "is for particles, but coordinates.kind is \"vector\"");
    std::set<std::int64_t> seen;
    for (const std::vector<std::int64_t>& cycle : proposal.cycles) {
        if (cycle.size() < 2)
            table.fail("cycles", "must be arrays of two or more particles each");
        for (std::int64_t particle : cycle)
            if (!seen.insert(particle).second)
                table.fail("cycles", "names particle " + std::to_string(particle) + " twice");
    }
}

void readCircular(ConfigTable& table, ProposalConfig& proposal) {
    if (table.isText("circular")) {
        table.choice("circular", {"all"}, 0);
        proposal.allCircular = true;
    }
    else
        proposal.circular = table.integers("circular", 0);
    for (std::size_t i = 0; i < proposal.circular.size(); i++)
        if (std::count(proposal.circular.begin(), proposal.circular.end(), proposal.circular[i]) > 1)
            table.fail("circular", "names coordinate " + std::to_string(proposal.circular[i]) + " twice");
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
    proposal.flow.bins = asInt(table.integer("bins", 2, 8));
    proposal.flow.bound = positive(table, "bound", 5.0);
    proposal.flow.trainableBase = table.flag("trainable_base", false);
    proposal.permutationSeed = static_cast<std::uint64_t>(
        table.integer("permutation_seed", 0, 1, std::numeric_limits<std::int64_t>::max()));
    checkSplines(table, proposal);
}

void readBoxed(ConfigTable& table, ProposalConfig& proposal) {
    for (ConfigTable& each : table.tables("boxed")) {
        if (proposal.coordinates != ProposalConfig::Coordinates::Vector)
            table.fail("boxed", "is for plain numbers, but coordinates.kind is not \"vector\"");
        const std::int64_t coordinate = each.integer("coordinate", 0);
        const std::vector<double> ends = each.numbers("interval");
        if (ends.size() != 2 || !(ends[0] < ends[1]))
            each.fail("interval", "must be two increasing numbers, between which the coordinate lies");
        each.finish();
        for (const ProposalConfig::Boxed& other : proposal.boxed)
            if (other.coordinate == coordinate)
                table.fail("boxed", "names coordinate " + std::to_string(coordinate) + " twice");
        if (proposal.allCircular ||
            std::count(proposal.circular.begin(), proposal.circular.end(), coordinate))
            table.fail("boxed", "names coordinate " + std::to_string(coordinate) + ", which is circular");
        proposal.boxed.push_back({coordinate, ends[0], ends[1]});
    }
    std::sort(proposal.boxed.begin(), proposal.boxed.end(),
              [](const auto& a, const auto& b) { return a.coordinate < b.coordinate; });
    for (const ProposalConfig::Boxed& each : proposal.boxed)
        proposal.flow.box.push_back(static_cast<int>(each.coordinate));
}

StageConfig readTraining(ConfigTable table, const std::string& file, ExecutionConfig& execution) {
    StageConfig stage;
    bool hasFinalLearningRate = false;
    readOptimization(table, file, stage, hasFinalLearningRate);
    stage.noise = between(table, "noise", 0.0, 10.0, 0.0);
    if (stage.steps == 0 && stage.epochs == 0)
        table.failMissing("steps", "epochs");
    execution = readExecution(table);
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
    readCycles(coordinates, proposal);
    coordinates.finish();
    ConfigTable table = root.table("proposal");
    table.text("family");
    const bool splines = table.choice("family", {"spline-flow", "continuous-flow"}, 0) == 0;
    using Family = ProposalConfig::Family;
    proposal.family = splines ? Family::SplineFlow : Family::ContinuousFlow;
    if (splines) {
        readSplines(table, proposal);
        readBoxed(table, proposal);
    }
    else {
        readContinuousFlow(table, config.model, proposal);
        const bool hasFrequencies = table.has("angle_frequencies");
        readCircular(table, proposal);
        if (hasFrequencies && !proposal.hasAngles())
            table.fail("angle_frequencies", "is for circular coordinates, but there are none (see circular)");
    }
    table.finish();
    config.stages = {readTraining(root.table("training"), file, config.training)};
    const bool equivariant =
        !splines && proposal.continuous.network == ContinuousFlowDescription::Network::Egnn;
    if (proposal.align && !equivariant && !config.training.randomRotations)
        root.table("proposal")
            .fail("align",
                  "turns frames, so their orientations are not learnt, but training.random_rotations is "
                  "false");
    if (splines && config.training.device != "cpu")
        root.table("training")
            .fail("device", "is \"" + config.training.device + "\", but spline flows are trained on the CPU");
    if (config.data.molecules.size() > 1 || !config.model.features.empty())
        root.fail("proposal", "is of one molecule, but there are tables [[molecules]] or [[features]]");
}

} // namespace OpenMMScore

#include "VelocityReader.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Flow = ContinuousFlowDescription;
using Network = Flow::Network;

const std::vector<std::string> velocities = {"mlp", "egnn", "graph-transformer"};
constexpr Network networks[] = {Network::Mlp, Network::Egnn, Network::GraphTransformer};

/** Refuse a key that belongs to other velocities with a better sentence than that it is unknown. */
void refuseForeignKeys(ConfigTable& table, const std::string& velocity) {
    static const std::map<std::string, std::vector<std::string>> owners = {
        {"activation", {"mlp"}},
        {"angle_frequencies", {"mlp"}},
        {"time_frequencies", {"mlp", "egnn"}},
        {"layers", {"egnn", "graph-transformer"}},
        {"kinds", {"egnn"}},
        {"coordinate_range", {"egnn"}},
        {"heads", {"graph-transformer"}},
        {"head_size", {"graph-transformer"}},
        {"feed_forward", {"graph-transformer"}},
        {"layer_norm_epsilon", {"graph-transformer"}},
        {"gelu", {"graph-transformer"}}};
    for (const auto& [key, names] : owners) {
        if (!table.has(key) || std::count(names.begin(), names.end(), velocity))
            continue;
        std::string list;
        for (const std::string& name : names)
            list.append(list.empty() ? "\"" : " or \"").append(name).append("\"");
        table.fail(key, "is a key of the velocity " + list + ", but velocity is \"" + velocity + "\"");
    }
}

void readMlp(ConfigTable& table, Flow& flow) {
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    for (const std::int64_t width : hidden)
        flow.mlp.hidden.push_back(asInt(width));
    if (hidden.empty())
        // Densities cost as little as velocities with two hidden layers, and far more with three.
        flow.mlp.hidden.assign(2, 256);
    flow.mlp.activation = table.choice("activation", {"silu", "tanh"}, 0) == 0 ? Flow::Activation::Swish
                                                                               : Flow::Activation::Tanh;
}

int readWidth(ConfigTable& table) {
    const std::vector<std::int64_t> hidden = table.integers("hidden", 1);
    if (hidden.size() > 1)
        table.fail("hidden", "must be one integer for a network of particles");
    return hidden.empty() ? 64 : asInt(hidden[0]);
}

/** @return the kind of each particle, numbered in the order in which elements are seen */
std::vector<std::int64_t> kindsOfElements(const ConfigTable& table, const ModelDescription& model) {
    std::vector<std::string> seen;
    std::vector<std::int64_t> kinds;
    for (const ParticleDescription& particle : model.particles) {
        if (particle.element.empty())
            table.fail("kinds", "is \"element\", but particle \"" + particle.name + "\" has none");
        const auto found = std::find(seen.begin(), seen.end(), particle.element);
        kinds.push_back(found - seen.begin());
        if (found == seen.end())
            seen.push_back(particle.element);
    }
    if (kinds.empty())
        table.fail("kinds", "is \"element\", but there are no tables [[particles]]");
    return kinds;
}

void readEgnn(ConfigTable& table, const ModelDescription& model, ProposalConfig& proposal) {
    Flow::Egnn& egnn = proposal.continuous.egnn;
    egnn.hidden = readWidth(table);
    egnn.layers = asInt(table.integer("layers", 1, 4));
    egnn.coordinateRange = positive(table, "coordinate_range", egnn.coordinateRange);
    if (table.isText("kinds")) {
        table.choice("kinds", {"element"}, 0);
        proposal.kinds = kindsOfElements(table, model);
    }
    else
        proposal.kinds = table.integers("kinds", 0);
    const auto largest = std::max_element(proposal.kinds.begin(), proposal.kinds.end());
    if (largest != proposal.kinds.end() && *largest >= static_cast<std::int64_t>(proposal.kinds.size()))
        table.fail("kinds", "has a kind " + std::to_string(*largest) +
                                ", expected numbers from 0 below that of "
                                "particles, " +
                                std::to_string(proposal.kinds.size()));
}

void readTransformer(ConfigTable& table, GraphTransformerDescription& sizes) {
    const auto integer = [&](const char* key, std::int64_t usual) {
        return asInt(table.integer(key, 1, usual));
    };
    sizes.hidden = readWidth(table);
    sizes.layers = integer("layers", 2);
    sizes.heads = integer("heads", sizes.heads);
    sizes.headSize = integer("head_size", sizes.headSize);
    sizes.feedForward = integer("feed_forward", 4 * std::int64_t(sizes.hidden));
    sizes.layerNormEpsilon = positive(table, "layer_norm_epsilon", sizes.layerNormEpsilon);
    sizes.gelu = table.choice("gelu", {"tanh", "erf"}, 0) == 0 ? Gelu::Tanh : Gelu::Erf;
}

void readAngleFrequencies(ConfigTable& table, Flow& flow) {
    flow.angleFrequencies = asInt(table.integer("angle_frequencies", 1, 3));
    if (flow.angleFrequencies > Flow::maxAngleFrequencies)
        table.fail("angle_frequencies", "is " + std::to_string(flow.angleFrequencies) +
                                            ", expected at most " +
                                            std::to_string(Flow::maxAngleFrequencies));
}

/** With as few coordinates as possible, for a sentence about sizes alone. */
void checkSizes(const ConfigTable& table, const Flow& flow) {
    Flow sample = flow;
    sample.angleFrequencies = 0;
    const bool particles = flow.network != Network::Mlp;
    sample.count = particles ? 2 : 1;
    sample.frame = particles ? Proposal::Frame::Centred : Proposal::Frame::Vector;
    sample.egnn.nodeFeatures = 1;
    try {
        sample.check();
    }
    catch (const ShapeError& error) {
        table.fail("family", std::string("is \"continuous-flow\": ") + error.what());
    }
}

} // namespace

void readContinuousFlow(ConfigTable& table, const ModelDescription& model, ProposalConfig& proposal) {
    using Coordinates = ProposalConfig::Coordinates;
    Flow& flow = proposal.continuous;
    const std::size_t chosen = table.choice("velocity", velocities, 0);
    flow.network = networks[chosen];
    if (flow.network != Network::Mlp && proposal.coordinates != Coordinates::Cartesian)
        table.fail("velocity", "is \"" + velocities[chosen] +
                                   "\", a network of particles, but coordinates.kind is not \"cartesian\"");
    refuseForeignKeys(table, velocities[chosen]);
    if (flow.network == Network::Egnn)
        readEgnn(table, model, proposal);
    else if (flow.network == Network::GraphTransformer)
        readTransformer(table, flow.graphTransformer);
    else
        readMlp(table, flow);
    if (flow.network != Network::GraphTransformer)
        flow.timeFrequencies = asInt(table.integer("time_frequencies", 0, 4));
    if (flow.network == Network::Mlp)
        readAngleFrequencies(table, flow);
    const bool diffusion = table.choice("paths", {"straight", "diffusion"}, 0) == 1;
    proposal.paths = diffusion ? ProposalConfig::Paths::Diffusion : ProposalConfig::Paths::Straight;
    proposal.pairing = table.integer("pairing", 0, diffusion ? 0 : proposal.pairing);
    if (diffusion && proposal.pairing > 0)
        table.fail("pairing", "is for straight paths: a diffusion's noise knows nothing of the data");
    proposal.align = table.flag("align", false);
    if (proposal.align && proposal.coordinates != Coordinates::Cartesian)
        table.fail("align", "is for positions, but coordinates.kind is not \"cartesian\"");
    proposal.sigma = between(table, "sigma", 0.0, 1.0, 0.0);
    checkSizes(table, flow);
}

} // namespace OpenMMScore

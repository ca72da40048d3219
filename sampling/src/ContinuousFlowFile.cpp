// The part of ContinuousFlowProposal that reads and writes files.

#include <limits>
#include <utility>

#include "FileText.h"
#include "FlowCoordinatesSettings.h"
#include "ProposalContents.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;
using Flow = ContinuousFlowDescription;

constexpr int most = 1 << 20;
constexpr std::size_t maxWord = 64;

/** A word of the file for each value of an enumeration. */
template <class Value>
using Words = std::vector<std::pair<std::string_view, Value>>;

const Words<Flow::Activation> activations = {{"swish", Flow::Activation::Swish},
                                             {"tanh", Flow::Activation::Tanh}};
const Words<Flow::Network> networks = {{"mlp", Flow::Network::Mlp},
                                       {"egnn", Flow::Network::Egnn},
                                       {"graph-transformer", Flow::Network::GraphTransformer}};
const Words<Gelu> gelus = {{"tanh", Gelu::Tanh}, {"erf", Gelu::Erf}};
const Words<FlowSolver::Method> methods = {{"dormand-prince", FlowSolver::Method::DormandPrince},
                                           {"runge-kutta-4", FlowSolver::Method::RungeKutta4},
                                           {"euler", FlowSolver::Method::Euler}};
const Words<FlowTrace::Method> traces = {{"exact", FlowTrace::Method::Exact},
                                         {"hutchinson", FlowTrace::Method::Hutchinson}};

template <class Value>
Value readWord(const JsonField& field, const Words<Value>& words) {
    const std::string word = field.text(maxWord);
    std::vector<std::string_view> known;
    for (const auto& [name, value] : words) {
        if (name == word)
            return value;
        known.push_back(name);
    }
    field.failExpecting("one of " + listNames(known));
}

template <class Value>
std::string writeWord(Value value, const Words<Value>& words) {
    for (const auto& [name, each] : words)
        if (each == value)
            return std::string(name);
    return {};
}

void require(const JsonField& object, std::initializer_list<std::string_view> names) {
    object.requireFields(std::span(names.begin(), names.size()));
}

int readInteger(const JsonField& object, const char* name) {
    return static_cast<int>(object.field(name).integer(0, most));
}

bool readFlag(const JsonField& field) {
    if (!field.json().is_boolean())
        field.failExpecting("true or false");
    return field.json().get<bool>();
}

void readTransformer(const JsonField& object, GraphTransformerDescription& sizes) {
    require(object,
            {"kind", "hidden", "layers", "heads", "head_size", "feed_forward", "layer_norm_epsilon", "gelu"});
    sizes.hidden = readInteger(object, "hidden");
    sizes.layers = readInteger(object, "layers");
    sizes.heads = readInteger(object, "heads");
    sizes.headSize = readInteger(object, "head_size");
    sizes.feedForward = readInteger(object, "feed_forward");
    sizes.layerNormEpsilon = object.field("layer_norm_epsilon").number(0, 1);
    sizes.gelu = readWord(object.field("gelu"), gelus);
}

json writeTransformer(const GraphTransformerDescription& sizes) {
    return {{"kind", writeWord(Flow::Network::GraphTransformer, networks)},
            {"hidden", sizes.hidden},
            {"layers", sizes.layers},
            {"heads", sizes.heads},
            {"head_size", sizes.headSize},
            {"feed_forward", sizes.feedForward},
            {"layer_norm_epsilon", sizes.layerNormEpsilon},
            {"gelu", writeWord(sizes.gelu, gelus)}};
}

void readNetwork(const JsonField& object, Flow& flow) {
    flow.network = readWord(object.field("kind"), networks);
    if (flow.network == Flow::Network::Egnn) {
        require(object, {"kind", "hidden", "layers", "node_features", "coordinate_range"});
        flow.egnn = {readInteger(object, "hidden"), readInteger(object, "layers"),
                     readInteger(object, "node_features"),
                     object.field("coordinate_range").number(0, std::numeric_limits<double>::max())};
        return;
    }
    if (flow.network == Flow::Network::GraphTransformer) {
        readTransformer(object, flow.graphTransformer);
        return;
    }
    if (object.has("circular")) {
        require(object, {"kind", "hidden", "activation", "circular", "angle_frequencies"});
        const JsonField circular = object.field("circular");
        const std::size_t numCircular = circular.arraySize(1, 65536);
        for (std::size_t k = 0; k < numCircular; k++)
            flow.circular.push_back(static_cast<int>(circular.element(k).integer(0, most)));
        flow.angleFrequencies = readInteger(object, "angle_frequencies");
    }
    else
        require(object, {"kind", "hidden", "activation"});
    const JsonField hidden = object.field("hidden");
    const std::size_t numLayers = hidden.arraySize(1, 64);
    for (std::size_t l = 0; l < numLayers; l++)
        flow.mlp.hidden.push_back(static_cast<int>(hidden.element(l).integer(1, most)));
    flow.mlp.activation = readWord(object.field("activation"), activations);
}

json writeNetwork(const Flow& flow) {
    if (flow.network == Flow::Network::GraphTransformer)
        return writeTransformer(flow.graphTransformer);
    if (flow.network == Flow::Network::Egnn)
        return {{"kind", writeWord(flow.network, networks)},
                {"hidden", flow.egnn.hidden},
                {"layers", flow.egnn.layers},
                {"node_features", flow.egnn.nodeFeatures},
                {"coordinate_range", flow.egnn.coordinateRange}};
    json object = {{"kind", writeWord(flow.network, networks)},
                   {"hidden", flow.mlp.hidden},
                   {"activation", writeWord(flow.mlp.activation, activations)}};
    if (!flow.circular.empty()) {
        object["circular"] = flow.circular;
        object["angle_frequencies"] = flow.angleFrequencies;
    }
    return object;
}

FlowSolver readSolver(const JsonField& object) {
    FlowSolver solver;
    solver.method = readWord(object.field("method"), methods);
    if (solver.method == FlowSolver::Method::DormandPrince) {
        require(object, {"method", "absolute_tolerance", "relative_tolerance"});
        solver.absoluteTolerance = object.field("absolute_tolerance").number(1e-12, 1);
        solver.relativeTolerance = object.field("relative_tolerance").number(1e-12, 1);
    }
    else {
        require(object, {"method", "steps"});
        solver.numSteps = readInteger(object, "steps");
    }
    return solver;
}

json writeSolver(const FlowSolver& solver) {
    json object = {{"method", writeWord(solver.method, methods)}};
    if (solver.method == FlowSolver::Method::DormandPrince) {
        object["absolute_tolerance"] = solver.absoluteTolerance;
        object["relative_tolerance"] = solver.relativeTolerance;
    }
    else
        object["steps"] = solver.numSteps;
    return object;
}

FlowTrace readTrace(const JsonField& object) {
    FlowTrace trace;
    trace.method = readWord(object.field("method"), traces);
    if (trace.method == FlowTrace::Method::Exact)
        require(object, {"method"});
    else {
        require(object, {"method", "probes", "noisy_weights"});
        trace.numProbes = readInteger(object, "probes");
        trace.allowNoisyWeights = readFlag(object.field("noisy_weights"));
    }
    return trace;
}

json writeTrace(const FlowTrace& trace) {
    json object = {{"method", writeWord(trace.method, traces)}};
    if (trace.method == FlowTrace::Method::Hutchinson) {
        object["probes"] = trace.numProbes;
        object["noisy_weights"] = trace.allowNoisyWeights;
    }
    return object;
}

} // namespace

std::string ContinuousFlowProposal::encode() const {
    json settings = {{"network", writeNetwork(parameters.flow)},
                     {"time_frequencies", parameters.flow.timeFrequencies},
                     {"solver", writeSolver(parameters.solver)},
                     {"trace", writeTrace(parameters.trace)}};
    if (parameters.coordinates)
        settings["coordinates"] = flowCoordinatesToJson(*parameters.coordinates);
    std::vector<NamedTensor> tensors;
    for (const TensorShape& tensor : parameters.flow.getTensors()) {
        const std::vector<double>& values = parameters.tensors[tensors.size()];
        tensors.push_back({tensor.name, tensor.shape, values, ProposalContents::narrowestType(values)});
    }
    return ProposalContents::encode(*this, settings, tensors);
}

std::shared_ptr<const Proposal> ContinuousFlowProposal::fromContents(const ProposalContents& contents) {
    const JsonField settings = contents.getSettings();
    Parameters parameters;
    if (settings.has("coordinates")) {
        require(settings, {"network", "time_frequencies", "solver", "trace", "coordinates"});
        parameters.coordinates = flowCoordinatesFromJson(settings.field("coordinates"));
        parameters.flow.internal = true;
    }
    else
        require(settings, {"network", "time_frequencies", "solver", "trace"});
    Flow& flow = parameters.flow;
    flow.count = contents.getCount();
    flow.frame = contents.getFrame();
    readNetwork(settings.field("network"), flow);
    flow.timeFrequencies = readInteger(settings, "time_frequencies");
    parameters.solver = readSolver(settings.field("solver"));
    parameters.trace = readTrace(settings.field("trace"));
    try {
        std::vector<std::string> names;
        for (const TensorShape& tensor : flow.getTensors()) {
            parameters.tensors.push_back(contents.getFile().readTensor(tensor.name, tensor.shape));
            names.push_back(tensor.name);
        }
        contents.allowTensors(names);
        return std::make_shared<ContinuousFlowProposal>(std::move(parameters));
    }
    catch (const ShapeError& error) {
        contents.fail(error.what());
    }
}

} // namespace OpenMMScore

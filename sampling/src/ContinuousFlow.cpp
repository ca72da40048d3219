#include "openmmscore/sampling/ContinuousFlow.h"

#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

namespace {

// Beyond these a description is a mistake or an attack: no flow of use is near them.
constexpr int maxLayers = 64, maxWidth = 8192, maxFrequencies = 64;

void requireRange(const std::string& field, int value, int least, int most) {
    if (value < least || value > most)
        throw ShapeError("ContinuousFlow: " + field + " is " + std::to_string(value) + ", expected " +
                         std::to_string(least) + " to " + std::to_string(most));
}

void addDense(std::vector<TensorShape>& tensors, const std::string& name, std::int64_t out, std::int64_t in) {
    tensors.push_back({name + ".weight", {out, in}});
    tensors.push_back({name + ".bias", {out}});
}

void addMlp(std::vector<TensorShape>& tensors, const ContinuousFlowDescription& flow) {
    std::int64_t in = flow.getNumInputs() + flow.getNumTimeFeatures();
    std::vector<int> widths = flow.mlp.hidden;
    widths.push_back(flow.getDimension());
    for (std::size_t i = 0; i < widths.size(); i++) {
        addDense(tensors, "network.layers." + std::to_string(i), widths[i], in);
        in = widths[i];
    }
}

void addEgnn(std::vector<TensorShape>& tensors, const ContinuousFlowDescription& flow) {
    const std::int64_t h = flow.egnn.hidden;
    tensors.push_back({"network.node_features", {flow.count, flow.egnn.nodeFeatures}});
    addDense(tensors, "network.embedding", h, flow.egnn.nodeFeatures + flow.getNumTimeFeatures());
    for (int l = 0; l < flow.egnn.layers; l++) {
        const std::string layer = "network.layers." + std::to_string(l) + ".";
        addDense(tensors, layer + "edge.0", h, 2 * h + 2);
        addDense(tensors, layer + "edge.1", h, h);
        addDense(tensors, layer + "gate", 1, h);
        addDense(tensors, layer + "coordinate.0", h, h);
        tensors.push_back({layer + "coordinate.1.weight", {1, h}});
        addDense(tensors, layer + "node.0", h, 2 * h);
        addDense(tensors, layer + "node.1", h, h);
    }
}

void addTransformer(std::vector<TensorShape>& tensors, const ContinuousFlowDescription& flow) {
    const std::string prefix = "experts.0.";
    for (TensorShape& tensor : expertTensors(describeTransformer(flow), 0))
        tensors.push_back({"network." + tensor.name.substr(prefix.size()), std::move(tensor.shape)});
}

void requireParticles(const ContinuousFlowDescription& flow) {
    if (flow.frame == Proposal::Frame::Vector)
        throw ShapeError("ContinuousFlow: the network is one of particles, but the frame is that of plain "
                         "vectors; choose an MLP");
}

void checkAngles(const ContinuousFlowDescription& flow) {
    if (flow.internal && (flow.frame != Proposal::Frame::Centred || flow.count < 3))
        throw ShapeError("ContinuousFlow: internal coordinates are of three or more particles in the frame "
                         "centred");
    if (flow.internal && flow.network != ContinuousFlowDescription::Network::Mlp)
        throw ShapeError("ContinuousFlow: the network of internal coordinates is an MLP");
    requireRange("angleFrequencies", flow.angleFrequencies, flow.circular.empty() ? 0 : 1,
                 flow.circular.empty() ? 0 : ContinuousFlowDescription::maxAngleFrequencies);
    if (flow.circular.empty())
        return;
    if (flow.network != ContinuousFlowDescription::Network::Mlp ||
        (!flow.internal && flow.frame != Proposal::Frame::Vector))
        throw ShapeError("ContinuousFlow: circular coordinates are of plain vectors or internal coordinates, "
                         "and need an MLP");
    int least = 0;
    for (const int c : flow.circular) {
        requireRange("a circular coordinate (they ascend)", c, least, flow.getDimension() - 1);
        least = c + 1;
    }
}

void checkTransformer(const ContinuousFlowDescription& flow) {
    const GraphTransformerDescription& sizes = flow.graphTransformer;
    requireRange("graphTransformer.hidden", sizes.hidden, 1, maxWidth);
    requireRange("graphTransformer.layers", sizes.layers, 1, maxLayers);
    requireRange("graphTransformer.heads", sizes.heads, 1, 1024);
    requireRange("graphTransformer.headSize", sizes.headSize, 1, 1024);
    requireRange("graphTransformer.feedForward", sizes.feedForward, 1, 8 * maxWidth);
    requireRange("timeFrequencies of a graph transformer", flow.timeFrequencies, 0, 0);
    if (!(sizes.layerNormEpsilon > 0 && sizes.layerNormEpsilon < 1))
        throw ShapeError("ContinuousFlow: graphTransformer.layerNormEpsilon is " +
                         std::to_string(sizes.layerNormEpsilon) + ", expected a number between 0 and 1");
}

} // namespace

ModelDescription describeTransformer(const ContinuousFlowDescription& description) {
    ModelDescription model;
    model.count = description.count;
    ExpertDescription expert;
    expert.architecture = ExpertDescription::Architecture::GraphTransformer;
    expert.graphTransformer = description.graphTransformer;
    expert.graphTransformer.embeddingWidth = 0;
    expert.head = Head::Score;
    model.experts = {expert};
    return model;
}

int ContinuousFlowDescription::getDimension() const {
    return internal ? 3 * count - 6 : FrameCoordinates(count, frame).getDimension();
}

std::vector<bool> ContinuousFlowDescription::whichAreCircular() const {
    std::vector<bool> result(getDimension(), false);
    for (const int c : circular)
        result[c] = true;
    return result;
}

void ContinuousFlowDescription::check() const {
    const FrameCoordinates coordinates(count, frame);
    requireRange("timeFrequencies", timeFrequencies, 0, maxFrequencies);
    checkAngles(*this);
    if (network == Network::Mlp) {
        requireRange("the number of hidden layers", static_cast<int>(mlp.hidden.size()), 1, maxLayers);
        for (const int width : mlp.hidden)
            requireRange("the width of a hidden layer", width, 1, maxWidth);
        return;
    }
    requireParticles(*this);
    if (network == Network::GraphTransformer) {
        checkTransformer(*this);
        return;
    }
    requireRange("egnn.hidden", egnn.hidden, 1, maxWidth);
    requireRange("egnn.layers", egnn.layers, 1, maxLayers);
    requireRange("egnn.nodeFeatures", egnn.nodeFeatures, 1, maxWidth);
    if (!(egnn.coordinateRange > 0 && std::isfinite(egnn.coordinateRange)))
        throw ShapeError("ContinuousFlow: egnn.coordinateRange is " + std::to_string(egnn.coordinateRange) +
                         ", expected a positive number");
}

std::vector<TensorShape> ContinuousFlowDescription::getTensors() const {
    check();
    std::vector<TensorShape> tensors = {{"location", {getDimension()}}, {"scale", {getDimension()}}};
    if (network == Network::Mlp)
        addMlp(tensors, *this);
    else if (network == Network::GraphTransformer)
        addTransformer(tensors, *this);
    else
        addEgnn(tensors, *this);
    return tensors;
}

void computeFlowTimeFeatures(const ContinuousFlowDescription& description, double t, double* features) {
    *features++ = t;
    for (int k = 1; k <= description.timeFrequencies; k++) {
        *features++ = std::cos(k * std::numbers::pi * t);
        *features++ = std::sin(k * std::numbers::pi * t);
    }
}

} // namespace OpenMMScore

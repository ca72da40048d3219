#include "openmmscore/sampling/SplineFlowDescription.h"

#include <algorithm>
#include <cmath>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Description = SplineFlowDescription;

[[noreturn]] void fail(const std::string& what) {
    throw ShapeError("SplineFlow: " + what);
}

void requireRange(const std::string& what, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most)
        fail(what + " is " + std::to_string(value) + ", expected " + std::to_string(least) + " to " +
             std::to_string(most));
}

void requireNumber(const std::string& what, double value, double most) {
    if (!(value > 0 && value <= most))
        fail(what + " is " + std::to_string(value) + ", expected a positive number up to " +
             std::to_string(most));
}

void requireIndices(const std::string& what, const std::vector<int>& indices, int dimension) {
    std::vector<bool> seen(static_cast<std::size_t>(dimension));
    for (int index : indices) {
        requireRange(what + ": a coordinate", index, 0, dimension - 1);
        if (seen[static_cast<std::size_t>(index)])
            fail(what + ": coordinate " + std::to_string(index) + " is there twice");
        seen[static_cast<std::size_t>(index)] = true;
    }
}

/** @return how many tokens a transformer has */
std::int64_t countTokens(const Description::Layer& layer, int dimension) {
    // Of an autoregressive layer all but the last transformed coordinate.
    const bool autoregressive = layer.type == Description::Layer::Type::Autoregressive;
    return dimension - (autoregressive ? 1 : static_cast<std::int64_t>(layer.transformed.size()));
}

void checkTransformer(const Description::Layer& layer, int dimension, const std::string& what) {
    if (layer.hidden.empty())
        fail(what + "has no hidden width, expected one for each block of a transformer");
    requireRange(what + "the number of heads", layer.heads, 1, Description::maxHeads);
    if (layer.hidden[0] % layer.heads != 0)
        fail(what + "a hidden width is " + std::to_string(layer.hidden[0]) + ", expected a multiple of " +
             std::to_string(layer.heads) + " heads");
    requireRange(what + "feed forward", layer.feedForward, 1, Description::maxHidden);
    const std::int64_t tokens =
        countTokens(layer, dimension) + static_cast<std::int64_t>(layer.transformed.size());
    if (tokens * layer.hidden[0] > Description::maxTokenNumbers)
        fail(what + "has " + std::to_string(tokens) + " tokens and queries of width " +
             std::to_string(layer.hidden[0]) + ", expected at most " +
             std::to_string(Description::maxTokenNumbers) + " numbers together");
    // A density keeps these of all tokens and blocks at once.
    const std::int64_t kept = tokens * std::max(4 * layer.hidden[0], layer.feedForward) *
                              static_cast<std::int64_t>(layer.hidden.size());
    if (kept > Description::maxKeptNumbers)
        fail(what + "would keep " + std::to_string(kept) + " numbers of " + std::to_string(tokens) +
             " tokens and queries in " + std::to_string(layer.hidden.size()) + " blocks, expected at most " +
             std::to_string(Description::maxKeptNumbers) +
             " (tokens times feed forward or four widths, times blocks)");
}

void checkLayer(const Description::Layer& layer, int dimension, const std::string& what) {
    if (layer.transformed.empty())
        fail(what + "transforms no coordinate");
    requireIndices(what + "transformed", layer.transformed, dimension);
    requireRange(what + "the number of hidden widths", static_cast<std::int64_t>(layer.hidden.size()), 0,
                 Description::maxWidths);
    using Network = Description::Network;
    for (int width : layer.hidden) {
        requireRange(what + "a hidden width", width, 1, Description::maxHidden);
        if (layer.network != Network::Plain && width != layer.hidden[0])
            fail(what + "hidden widths differ, expected equal ones for a " +
                 (layer.network == Network::Residual ? "residual network" : "transformer"));
    }
    if (layer.network == Network::Residual && layer.hidden.size() % 2 == 0)
        fail(what + "has " + std::to_string(layer.hidden.size()) +
             " hidden widths, expected an odd number (one, and two for each residual block)");
    if (layer.network == Network::Transformer)
        checkTransformer(layer, dimension, what);
}

/** Tensors of the linear maps of a perceptron. */
void appendPerceptron(std::vector<SplineFlowTensor>& tensors, const Description& description, std::size_t l,
                      const std::string& prefix) {
    auto in = static_cast<std::int64_t>(description.getInputCoordinates(l).size());
    const std::int64_t outputs = description.countOutputs(l);
    if (in == 0) {
        tensors.push_back({prefix + "linear.0.bias", {outputs}});
        return;
    }
    const std::vector<int>& hidden = description.layers[l].hidden;
    for (std::size_t j = 0; j <= hidden.size(); j++) {
        const std::int64_t out = j < hidden.size() ? hidden[j] : outputs;
        const std::string name = prefix + "linear." + std::to_string(j);
        tensors.push_back({name + ".weight", {out, in}});
        tensors.push_back({name + ".bias", {out}});
        in = out;
    }
}

void appendTransformer(std::vector<SplineFlowTensor>& tensors, const Description& description, std::size_t l,
                       const std::string& prefix) {
    const Description::Layer& layer = description.layers[l];
    const std::vector<int> inputs = description.getInputCoordinates(l);
    const auto append = [&](const std::string& name, std::vector<std::int64_t> shape) {
        tensors.push_back({prefix + name, std::move(shape)});
    };
    const auto appendMap = [&](const std::string& name, std::int64_t out, std::int64_t in) {
        append(name + ".weight", {out, in});
        append(name + ".bias", {out});
    };
    const auto appendNorm = [&](const std::string& name) {
        append(name + ".weight", {layer.hidden[0]});
        append(name + ".bias", {layer.hidden[0]});
    };
    if (!inputs.empty()) {
        const std::int64_t width = layer.hidden[0];
        append("features", {static_cast<std::int64_t>(inputs.size()), width});
        append("embedding", {countTokens(layer, description.dimension), width});
        append("queries", {static_cast<std::int64_t>(layer.transformed.size()), width});
        for (std::size_t b = 0; b < layer.hidden.size(); b++) {
            const std::string block = "blocks." + std::to_string(b) + ".";
            appendNorm(block + "attention_norm");
            appendMap(block + "attention", 3 * width, width);
            appendMap(block + "projection", width, width);
            appendNorm(block + "feed_forward_norm");
            appendMap(block + "expand", layer.feedForward, width);
            appendMap(block + "contract", width, layer.feedForward);
        }
        appendNorm("norm");
        for (const auto& [kind, word] : {std::pair{Description::Kind::Real, "real"},
                                         {Description::Kind::Circular, "circular"},
                                         {Description::Kind::Box, "box"}})
            if (std::any_of(layer.transformed.begin(), layer.transformed.end(),
                            [&, sought = kind](int i) { return description.getKind(i) == sought; }))
                append("head." + std::string(word) + ".weight", {description.countKnotNumbers(kind), width});
    }
    append("head.bias", {description.countOutputs(l)});
}

void appendLayer(std::vector<SplineFlowTensor>& tensors, const Description& description, std::size_t l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    if (const int shifts = description.countShifts(l); shifts > 0)
        tensors.push_back({prefix + "shift", {shifts}});
    const bool transformer = description.layers[l].network == Description::Network::Transformer;
    (transformer ? appendTransformer : appendPerceptron)(tensors, description, l, prefix);
}

/** @return of each unit on one side of a matrix, the latest transformed coordinate that it knows of or is for
 */
std::vector<int> getDegrees(const Description& description, std::size_t l, std::size_t level) {
    const Description::Layer& layer = description.layers[l];
    const int numTransformed = static_cast<int>(layer.transformed.size());
    if (level > 0 && level <= layer.hidden.size()) {
        // From -1 where there are other coordinates to know of, else from 0; always below the last one's.
        const int lowest = numTransformed < description.dimension ? -1 : 0;
        const int count = std::max(1, numTransformed - 1 - lowest);
        std::vector<int> degrees(static_cast<std::size_t>(layer.hidden[level - 1]));
        for (std::size_t k = 0; k < degrees.size(); k++)
            degrees[k] = static_cast<int>(k) % count + lowest;
        return degrees;
    }
    std::vector<int> position(static_cast<std::size_t>(description.dimension), -1);
    for (int p = 0; p < numTransformed; p++)
        position[static_cast<std::size_t>(layer.transformed[static_cast<std::size_t>(p)])] = p;
    std::vector<int> degrees;
    for (int coordinate :
         level == 0 ? description.getInputCoordinates(l) : description.getOutputCoordinates(l))
        degrees.push_back(position[static_cast<std::size_t>(coordinate)] - (level == 0 ? 0 : 1));
    return degrees;
}

} // namespace

void Description::check() const {
    requireRange("the dimension", dimension, 1, maxDimension);
    requireIndices("circular", circular, dimension);
    requireIndices("box", box, dimension);
    for (const std::vector<int>* list : {&circular, &box})
        if (!std::is_sorted(list->begin(), list->end()))
            fail(std::string(list == &box ? "box" : "circular") + " is not in ascending order");
    for (int index : circular)
        if (std::binary_search(box.begin(), box.end(), index))
            fail("coordinate " + std::to_string(index) + " is both circular and boxed");
    requireRange("the number of bins", bins, 2, maxBins);
    requireNumber("bound", bound, 1e6);
    // Half of the interval at least is left to be shared out.
    requireNumber("minimum width", minimumWidth, 0.5 / bins);
    requireNumber("minimum height", minimumHeight, 0.5 / bins);
    requireNumber("minimum slope", minimumSlope, 0.5);
    requireRange("the number of layers", static_cast<std::int64_t>(layers.size()), 0, maxLayers);
    for (std::size_t l = 0; l < layers.size(); l++)
        checkLayer(layers[l], dimension, "layer " + std::to_string(l) + ": ");
}

Description::Kind Description::getKind(int coordinate) const {
    if (std::binary_search(circular.begin(), circular.end(), coordinate))
        return Kind::Circular;
    return std::binary_search(box.begin(), box.end(), coordinate) ? Kind::Box : Kind::Real;
}

int Description::countKnotNumbers(Kind kind) const {
    if (knots == Knots::SoftClip || kind == Kind::Real)
        return 3 * bins - 1;
    return kind == Kind::Circular ? 3 * bins : 3 * bins + 1;
}

std::vector<int> Description::getInputCoordinates(std::size_t l) const {
    const Layer& layer = layers[l];
    const bool tokens = layer.network == Network::Transformer;
    std::vector<bool> seen(static_cast<std::size_t>(dimension), true);
    if (layer.type == Layer::Type::Coupling || tokens)
        for (int i : layer.transformed)
            seen[static_cast<std::size_t>(i)] = false;
    std::vector<int> result;
    const auto append = [&](int i) {
        result.insert(result.end(), getKind(i) == Kind::Circular && !layer.rawAngles ? 2 : 1, i);
    };
    for (int i = 0; i < dimension; i++)
        if (seen[static_cast<std::size_t>(i)])
            append(i);
    if (tokens && layer.type == Layer::Type::Autoregressive)
        std::for_each(layer.transformed.begin(), layer.transformed.end() - 1, append);
    return result;
}

std::vector<int> Description::getOutputCoordinates(std::size_t l) const {
    std::vector<int> result;
    for (int coordinate : layers[l].transformed)
        result.insert(result.end(), static_cast<std::size_t>(countKnotNumbers(getKind(coordinate))),
                      coordinate);
    return result;
}

std::int64_t Description::countOutputs(std::size_t l) const {
    std::int64_t count = 0;
    for (int coordinate : layers[l].transformed)
        count += countKnotNumbers(getKind(coordinate));
    return count;
}

int Description::countShifts(std::size_t l) const {
    return static_cast<int>(std::count_if(layers[l].transformed.begin(), layers[l].transformed.end(),
                                          [&](int i) { return getKind(i) == Kind::Circular; }));
}

std::vector<SplineFlowTensor> splineFlowTensors(const Description& description) {
    description.check();
    const std::int64_t d = description.dimension;
    std::vector<SplineFlowTensor> tensors = {{"location", {d}}, {"scale", {d}}};
    if (description.trainableBase)
        for (const char* name : {"base.location", "base.log_scale"})
            tensors.push_back({name, {d}});
    for (std::size_t l = 0; l < description.layers.size(); l++)
        appendLayer(tensors, description, l);
    return tensors;
}

std::vector<std::uint8_t> splineFlowMask(const Description& description, std::size_t layer,
                                         std::size_t linear) {
    const std::vector<int> from = getDegrees(description, layer, linear);
    const std::vector<int> to = getDegrees(description, layer, linear + 1);
    const bool all = description.layers[layer].type == Description::Layer::Type::Coupling;
    std::vector<std::uint8_t> mask;
    mask.reserve(from.size() * to.size());
    for (int out : to)
        for (int in : from)
            mask.push_back(all || in <= out);
    return mask;
}

} // namespace OpenMMScore

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

void checkLayer(const Description::Layer& layer, int dimension, const std::string& what) {
    if (layer.transformed.empty())
        fail(what + "transforms no coordinate");
    requireIndices(what + "transformed", layer.transformed, dimension);
    requireRange(what + "the number of hidden widths", static_cast<std::int64_t>(layer.hidden.size()), 0,
                 Description::maxWidths);
    for (int width : layer.hidden) {
        requireRange(what + "a hidden width", width, 1, Description::maxHidden);
        if (layer.residual && width != layer.hidden[0])
            fail(what + "hidden widths differ, expected equal ones for a residual network");
    }
    if (layer.residual && layer.hidden.size() % 2 == 0)
        fail(what + "has " + std::to_string(layer.hidden.size()) +
             " hidden widths, expected an odd number (one, and two for each residual block)");
}

void appendLayer(std::vector<SplineFlowTensor>& tensors, const Description& description, std::size_t l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    if (const int shifts = description.countShifts(l); shifts > 0)
        tensors.push_back({prefix + "shift", {shifts}});
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

/** @return of each unit on one side of a matrix, the latest transformed coordinate that it knows of or is for
 */
std::vector<int> getDegrees(const Description& description, std::size_t l, std::size_t level) {
    const Description::Layer& layer = description.layers[l];
    const int numTransformed = static_cast<int>(layer.transformed.size());
    if (level > 0 && level <= layer.hidden.size()) {
        const bool others = numTransformed < description.dimension;
        std::vector<int> degrees(static_cast<std::size_t>(layer.hidden[level - 1]));
        for (std::size_t k = 0; k < degrees.size(); k++)
            degrees[k] = others ? static_cast<int>(k) % numTransformed - 1
                                : static_cast<int>(k) % std::max(1, numTransformed - 1);
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
    std::vector<bool> seen(static_cast<std::size_t>(dimension), true);
    if (layer.type == Layer::Type::Coupling)
        for (int i : layer.transformed)
            seen[static_cast<std::size_t>(i)] = false;
    std::vector<int> result;
    for (int i = 0; i < dimension; i++)
        if (seen[static_cast<std::size_t>(i)])
            result.insert(result.end(), getKind(i) == Kind::Circular && !layer.rawAngles ? 2 : 1, i);
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

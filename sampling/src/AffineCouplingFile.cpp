// The part of AffineCouplingProposal that reads and writes files.

#include "ProposalContents.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/AffineCouplingProposal.h"

namespace OpenMMScore {

namespace {

using Layer = AffineCouplingProposal::Layer;

constexpr int maxLayers = 64, maxHidden = 8192;

struct LayerTensor {
    std::string name;
    std::vector<double> Layer::*values;
    std::vector<std::int64_t> shape;
};

/** @return names, members and shapes of a layer's tensors */
std::vector<LayerTensor> layerTensors(std::size_t layer, std::size_t dimension, std::int64_t hidden) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    const auto kept = static_cast<std::int64_t>(AffineCouplingProposal::countKept(dimension, layer));
    const std::int64_t changed = static_cast<std::int64_t>(dimension) - kept;
    return {{prefix + "hidden.weight", &Layer::hiddenWeight, {hidden, kept}},
            {prefix + "hidden.bias", &Layer::hiddenBias, {hidden}},
            {prefix + "scale.weight", &Layer::scaleWeight, {changed, hidden}},
            {prefix + "scale.bias", &Layer::scaleBias, {changed}},
            {prefix + "shift.weight", &Layer::shiftWeight, {changed, hidden}},
            {prefix + "shift.bias", &Layer::shiftBias, {changed}}};
}

} // namespace

std::string AffineCouplingProposal::encode() const {
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    std::vector<NamedTensor> tensors = {
        {"location", {coordinates.getDimension()}, parameters.location, DType::Float64},
        {"scale", {coordinates.getDimension()}, parameters.scale, DType::Float64}};
    nlohmann::json hidden = nlohmann::json::array();
    for (std::size_t l = 0; l < parameters.layers.size(); l++) {
        const Layer& layer = parameters.layers[l];
        hidden.push_back(layer.hiddenBias.size());
        for (const auto& [name, values, shape] :
             layerTensors(l, d, static_cast<std::int64_t>(layer.hiddenBias.size())))
            tensors.push_back({name, shape, layer.*values, DType::Float64});
    }
    return ProposalContents::encode(*this, {{"hidden", hidden}}, tensors);
}

std::shared_ptr<const Proposal> AffineCouplingProposal::fromContents(const ProposalContents& contents) {
    const JsonField settings = contents.getSettings();
    static constexpr std::string_view fields[] = {"hidden"};
    settings.requireFields(fields);
    const JsonField hidden = settings.field("hidden");
    const std::size_t numLayers = hidden.arraySize(0, maxLayers);
    const ModelFile& file = contents.getFile();
    std::vector<std::string> names = {"location", "scale"};
    try {
        const FrameCoordinates coordinates(contents.getCount(), contents.getFrame());
        const auto d = static_cast<std::size_t>(coordinates.getDimension());
        Parameters parameters{contents.getCount(), coordinates.getFrame(), {}, {}, {}};
        parameters.location = file.readTensor("location", {coordinates.getDimension()});
        parameters.scale = file.readTensor("scale", {coordinates.getDimension()});
        for (std::size_t l = 0; l < numLayers; l++) {
            Layer layer;
            for (const auto& [name, values, shape] :
                 layerTensors(l, d, hidden.element(l).integer(1, maxHidden))) {
                layer.*values = file.readTensor(name, shape);
                names.push_back(name);
            }
            parameters.layers.push_back(std::move(layer));
        }
        contents.allowTensors(names);
        return std::make_shared<AffineCouplingProposal>(std::move(parameters));
    }
    catch (const ShapeError& error) {
        contents.fail(error.what());
    }
}

} // namespace OpenMMScore

// The JSON of a SplineFlowDescription.

#include <array>
#include <limits>

#include "SplineFlowSettings.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;
using Description = SplineFlowDescription;
using Layer = Description::Layer;

constexpr std::size_t maxWord = 32;

template <class Value>
struct Word {
    const char* word;
    Value value;
};

constexpr std::array types = {Word<Layer::Type>{"coupling", Layer::Type::Coupling},
                              Word<Layer::Type>{"autoregressive", Layer::Type::Autoregressive}};
constexpr std::array activations = {Word<Description::Activation>{"relu", Description::Activation::ReLU},
                                    Word<Description::Activation>{"silu", Description::Activation::SiLU},
                                    Word<Description::Activation>{"tanh", Description::Activation::Tanh}};
constexpr std::array knotRules = {Word<Description::Knots>{"softplus", Description::Knots::Softplus},
                                  Word<Description::Knots>{"soft-clip", Description::Knots::SoftClip}};
constexpr std::array angleInputs = {Word<bool>{"cos-sin", false}, Word<bool>{"raw", true}};
constexpr std::array networks = {
    Word<Description::Network>{"mlp", Description::Network::Plain},
    Word<Description::Network>{"residual", Description::Network::Residual},
    Word<Description::Network>{"transformer", Description::Network::Transformer}};
constexpr std::array bases = {Word<bool>{"standard", false}, Word<bool>{"trainable", true}};

template <class Words, class Value>
const char* wordFor(const Words& words, Value value) {
    for (const auto& each : words)
        if (each.value == value)
            return each.word;
    throw Error("SplineFlow: an enumerator has no word");
}

template <class Words>
auto readWord(const Words& words, const JsonField& field) {
    const std::string text = field.text(maxWord);
    std::string expected;
    for (const auto& each : words) {
        if (text == each.word)
            return each.value;
        expected += (expected.empty() ? "'" : " or '") + std::string(each.word) + "'";
    }
    field.failExpecting(expected);
}

std::vector<int> readIntegers(const JsonField& field, std::size_t most, int largest) {
    std::vector<int> result(field.arraySize(0, most));
    for (std::size_t i = 0; i < result.size(); i++)
        result[i] = static_cast<int>(field.element(i).integer(0, largest));
    return result;
}

Layer readLayer(const JsonField& field, int dimension) {
    std::vector<std::string_view> fields = {"type",    "transformed", "hidden",
                                            "network", "activation",  "angle_inputs"};
    Layer layer;
    layer.network = readWord(networks, field.field("network"));
    if (layer.network == Description::Network::Transformer)
        fields.insert(fields.end(), {"heads", "feed_forward"});
    field.requireFields(fields);
    layer.type = readWord(types, field.field("type"));
    layer.transformed =
        readIntegers(field.field("transformed"), static_cast<std::size_t>(dimension), dimension - 1);
    layer.hidden = readIntegers(field.field("hidden"), Description::maxWidths, Description::maxHidden);
    layer.activation = readWord(activations, field.field("activation"));
    layer.rawAngles = readWord(angleInputs, field.field("angle_inputs"));
    if (layer.network == Description::Network::Transformer) {
        layer.heads = static_cast<int>(field.field("heads").integer(1, Description::maxHeads));
        layer.feedForward = static_cast<int>(field.field("feed_forward").integer(1, Description::maxHidden));
    }
    return layer;
}

json layerToJson(const Layer& layer) {
    json result = {{"type", wordFor(types, layer.type)},
                   {"transformed", layer.transformed},
                   {"hidden", layer.hidden},
                   {"network", wordFor(networks, layer.network)},
                   {"activation", wordFor(activations, layer.activation)},
                   {"angle_inputs", wordFor(angleInputs, layer.rawAngles)}};
    if (layer.network == Description::Network::Transformer)
        result.update({{"heads", layer.heads}, {"feed_forward", layer.feedForward}});
    return result;
}

} // namespace

json splineFlowToJson(const Description& description) {
    json layers = json::array();
    for (const Layer& layer : description.layers)
        layers.push_back(layerToJson(layer));
    return {{"dimension", description.dimension},
            {"circular", description.circular},
            {"box", description.box},
            {"bins", description.bins},
            {"bound", description.bound},
            {"minimum_width", description.minimumWidth},
            {"minimum_height", description.minimumHeight},
            {"minimum_slope", description.minimumSlope},
            {"knots", wordFor(knotRules, description.knots)},
            {"base", wordFor(bases, description.trainableBase)},
            {"layers", layers}};
}

Description splineFlowFromJson(const JsonField& field) {
    static constexpr std::string_view fields[] = {
        "dimension",      "circular",      "box",   "bins", "bound", "minimum_width",
        "minimum_height", "minimum_slope", "knots", "base", "layers"};
    field.requireFields(fields);
    Description result;
    const int d = static_cast<int>(field.field("dimension").integer(1, Description::maxDimension));
    result.dimension = d;
    result.circular = readIntegers(field.field("circular"), static_cast<std::size_t>(d), d - 1);
    result.box = readIntegers(field.field("box"), static_cast<std::size_t>(d), d - 1);
    result.bins = static_cast<int>(field.field("bins").integer(2, Description::maxBins));
    const auto number = [&](const char* name) {
        return field.field(name).number(0, std::numeric_limits<double>::max());
    };
    result.bound = number("bound");
    result.minimumWidth = number("minimum_width");
    result.minimumHeight = number("minimum_height");
    result.minimumSlope = number("minimum_slope");
    result.knots = readWord(knotRules, field.field("knots"));
    result.trainableBase = readWord(bases, field.field("base"));
    const JsonField layers = field.field("layers");
    for (std::size_t l = 0, count = layers.arraySize(0, Description::maxLayers); l < count; l++)
        result.layers.push_back(readLayer(layers.element(l), d));
    try {
        result.check();
    }
    catch (const ShapeError& error) {
        field.fail(error.what());
    }
    return result;
}

std::string writeSplineFlowSettings(const Description& description) {
    description.check();
    return splineFlowToJson(description).dump();
}

Description readSplineFlowSettings(std::string_view text, const std::string& origin) {
    const json document = parseCheckedJson(text, origin);
    return splineFlowFromJson(JsonField(document, origin));
}

} // namespace OpenMMScore

// What a spline flow consists of: shapes of its tensors, masks, and the JSON of its description.

#include <algorithm>

#include <gtest/gtest.h>

#include "../models/ModelFileBytes.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Layer = SplineFlowDescription::Layer;

/** Coordinates 0 and 3 are real, 1 and 4 circular, 2 is boxed. */
SplineFlowDescription fiveCoordinates() {
    SplineFlowDescription description;
    description.dimension = 5;
    description.circular = {1, 4};
    description.box = {2};
    description.bins = 4;
    description.trainableBase = true;
    Layer coupling{Layer::Type::Coupling, {4, 0}, {6, 7}};
    Layer autoregressive{
        Layer::Type::Autoregressive, {3, 1, 2}, {8, 8, 8}, SplineFlowDescription::Network::Residual};
    autoregressive.activation = SplineFlowDescription::Activation::SiLU;
    autoregressive.rawAngles = true;
    Layer free{Layer::Type::Coupling, {0, 1, 2, 3, 4}, {}};
    description.layers = {coupling, autoregressive, free};
    return description;
}

SplineFlowDescription withTransformer() {
    SplineFlowDescription description = fiveCoordinates();
    Layer& layer = description.layers[1];
    layer.network = SplineFlowDescription::Network::Transformer;
    layer.hidden = {6, 6};
    layer.heads = 3;
    layer.feedForward = 7;
    layer.rawAngles = false;
    return description;
}

std::string listTensors(const SplineFlowDescription& description, const std::string& prefix = "") {
    std::string text;
    for (const SplineFlowTensor& tensor : splineFlowTensors(description)) {
        if (!tensor.name.starts_with(prefix))
            continue;
        text += tensor.name.substr(prefix.size());
        for (std::int64_t size : tensor.shape)
            text += " " + std::to_string(size);
        text += "\n";
    }
    return text;
}

void expectWrong(void (*change)(SplineFlowDescription&), const std::string& part) {
    SplineFlowDescription description = fiveCoordinates();
    change(description);
    try {
        description.check();
        ADD_FAILURE() << "accepted, expected: " << part;
    }
    catch (const ShapeError& error) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
}

} // namespace

TEST(SplineFlowDescription, SaysWhatTensorsAFlowHas) {
    // Coupling: inputs cos and sin of 1, 2 and 3; outputs 12 for the circular 4, 11 for the real 0.
    EXPECT_EQ(listTensors(fiveCoordinates()),
              "location 5\nscale 5\nbase.location 5\nbase.log_scale 5\n"
              "layers.0.shift 1\nlayers.0.linear.0.weight 6 4\nlayers.0.linear.0.bias 6\n"
              "layers.0.linear.1.weight 7 6\nlayers.0.linear.1.bias 7\n"
              "layers.0.linear.2.weight 23 7\nlayers.0.linear.2.bias 23\n"
              "layers.1.shift 1\nlayers.1.linear.0.weight 8 5\nlayers.1.linear.0.bias 8\n"
              "layers.1.linear.1.weight 8 8\nlayers.1.linear.1.bias 8\n"
              "layers.1.linear.2.weight 8 8\nlayers.1.linear.2.bias 8\n"
              "layers.1.linear.3.weight 36 8\nlayers.1.linear.3.bias 36\n"
              "layers.2.shift 2\nlayers.2.linear.0.bias 59\n");
}

TEST(SplineFlowDescription, SaysWhatTensorsATransformerHas) {
    // Tokens are those of 0, of the circular 4, and of 3 and the circular 1 that are transformed before 2.
    const SplineFlowDescription description = withTransformer();
    EXPECT_EQ(description.getInputCoordinates(1), (std::vector<int>{0, 4, 4, 3, 1, 1}));
    std::string expected = "shift 1\nfeatures 6 6\nembedding 4 6\nqueries 3 6\n";
    for (const std::string block : {"blocks.0.", "blocks.1."})
        for (const char* tensor :
             {"attention_norm.weight 6", "attention_norm.bias 6", "attention.weight 18 6",
              "attention.bias 18", "projection.weight 6 6", "projection.bias 6", "feed_forward_norm.weight 6",
              "feed_forward_norm.bias 6", "expand.weight 7 6", "expand.bias 7", "contract.weight 6 7",
              "contract.bias 6"})
            expected += block + tensor + "\n";
    expected += "norm.weight 6\nnorm.bias 6\nhead.real.weight 11 6\nhead.circular.weight 12 6\n"
                "head.box.weight 13 6\nhead.bias 36\n";
    EXPECT_EQ(listTensors(description, "layers.1."), expected);
    SplineFlowDescription alone = description;
    alone.layers[1].type = Layer::Type::Coupling;
    alone.layers[1].transformed = {0, 1, 2, 3, 4};
    EXPECT_EQ(listTensors(alone, "layers.1."), "shift 2\nhead.bias 59\n");
}

TEST(SplineFlowDescription, SurvivesJson) {
    const std::string transformer = writeSplineFlowSettings(withTransformer());
    EXPECT_EQ(writeSplineFlowSettings(readSplineFlowSettings(transformer, "here")), transformer);
    EXPECT_EQ(readSplineFlowSettings(transformer, "here").layers[1].heads, 3);
    EXPECT_EQ(readSplineFlowSettings(transformer, "here").layers[1].feedForward, 7);

    const std::string text = writeSplineFlowSettings(fiveCoordinates());
    const SplineFlowDescription again = readSplineFlowSettings(text, "here");
    EXPECT_EQ(writeSplineFlowSettings(again), text);
    EXPECT_EQ(again.layers[1].network, SplineFlowDescription::Network::Residual);
    EXPECT_TRUE(again.layers[1].rawAngles && !again.layers[0].rawAngles);
    EXPECT_EQ(again.layers[1].transformed, (std::vector<int>{3, 1, 2}));
    EXPECT_EQ(again.bound, 5.0);
}

/** Knots of transformed[p] must not see transformed[p], but everything before it. */
TEST(SplineFlowDescription, MasksMakeALayerAutoregressive) {
    for (bool all : {false, true}) {
        SplineFlowDescription description = fiveCoordinates();
        if (all)
            description.layers[1].transformed = {3, 1, 2, 0, 4};
        const std::vector<int>& order = description.layers[1].transformed;
        const std::vector<int> inputs = description.getInputCoordinates(1);
        const std::vector<int> outputs = description.getOutputCoordinates(1);
        std::vector<int> paths = std::vector<int>(inputs.size() * inputs.size());
        for (std::size_t i = 0; i < inputs.size(); i++)
            paths[i * inputs.size() + i] = 1;
        std::size_t width = inputs.size();
        for (std::size_t linear = 0; linear < 4; linear++) {
            const auto mask = splineFlowMask(description, 1, linear);
            const std::size_t out = mask.size() / width;
            std::vector<int> next(out * inputs.size());
            for (std::size_t o = 0; o < out; o++)
                for (std::size_t k = 0; k < width; k++)
                    for (std::size_t i = 0; i < inputs.size(); i++)
                        next[o * inputs.size() + i] |= mask[o * width + k] & paths[k * inputs.size() + i];
            paths = next;
            width = out;
        }
        ASSERT_EQ(width, outputs.size());
        const auto position = [&](int coordinate) {
            const auto found = std::find(order.begin(), order.end(), coordinate);
            return found == order.end() ? -1 : found - order.begin();
        };
        for (std::size_t o = 0; o < width; o++)
            for (std::size_t i = 0; i < inputs.size(); i++)
                EXPECT_EQ(paths[o * inputs.size() + i] != 0, position(inputs[i]) < position(outputs[o]));
    }
}

TEST(SplineFlowDescription, SaysWhatIsWrong) {
    expectWrong([](auto& d) { d.dimension = 0; }, "the dimension is 0, expected 1 to 16384");
    expectWrong([](auto& d) { d.circular = {4, 1}; }, "circular is not in ascending order");
    expectWrong([](auto& d) { d.circular = {1, 1}; }, "circular: coordinate 1 is there twice");
    expectWrong([](auto& d) { d.box = {5}; }, "box: a coordinate is 5, expected 0 to 4");
    expectWrong([](auto& d) { d.box = {4}; }, "coordinate 4 is both circular and boxed");
    expectWrong([](auto& d) { d.bins = 1; }, "the number of bins is 1, expected 2 to 256");
    expectWrong([](auto& d) { d.bound = -1; }, "bound is -1.0");
    expectWrong([](auto& d) { d.minimumWidth = 0.2; }, "minimum width is 0.2");
    expectWrong([](auto& d) { d.layers[0].transformed = {}; }, "layer 0: transforms no coordinate");
    expectWrong(
        [](auto& d) {
            d.layers[1].transformed = {3, 3};
        },
        "layer 1: transformed: coordinate 3 is there twice");
    expectWrong(
        [](auto& d) {
            d.layers[1].hidden = {8, 8};
        },
        "layer 1: has 2 hidden widths, expected an odd");
    expectWrong([](auto& d) { d.layers[1].hidden = {8, 8, 9}; }, "layer 1: hidden widths differ");
    expectWrong([](auto& d) { d.layers[0].hidden = {0}; }, "layer 0: a hidden width is 0");
}

TEST(SplineFlowDescription, SaysWhatIsWrongWithATransformer) {
    const auto expect = [](auto change, const std::string& part) {
        SplineFlowDescription description = withTransformer();
        change(description.layers[1]);
        try {
            description.check();
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    expect([](Layer& l) { l.heads = 4; }, "layer 1: a hidden width is 6, expected a multiple of 4 heads");
    expect([](Layer& l) { l.heads = 0; }, "layer 1: the number of heads is 0, expected 1 to 256");
    expect([](Layer& l) { l.hidden = {}; }, "layer 1: has no hidden width");
    expect(
        [](Layer& l) {
            l.hidden = {6, 9};
        },
        "hidden widths differ, expected equal ones for a transformer");
    expect([](Layer& l) { l.feedForward = 0; }, "layer 1: feed forward is 0, expected 1 to 8192");
    expectWrong(
        [](auto& d) {
            d.dimension = 8192;
            d.layers[1].network = SplineFlowDescription::Network::Transformer;
            d.layers[1].hidden = {64};
        },
        "layer 1: has 8194 tokens and queries of width 64, expected at most 262144 numbers together");
    expectWrong(
        [](auto& d) {
            d.dimension = 8192;
            d.layers[1].network = SplineFlowDescription::Network::Transformer;
            d.layers[1].hidden.assign(32, 8);
            d.layers[1].heads = 1;
            d.layers[1].feedForward = 8192;
        },
        "tokens and queries in 32 blocks, expected at most 4194304");
    const std::string text = writeSplineFlowSettings(withTransformer());
    const auto expectJson = [&](const std::string& from, const std::string& to, const std::string& part) {
        std::string changed = text;
        ASSERT_NE(changed.find(from), std::string::npos) << from;
        changed.replace(changed.find(from), from.size(), to);
        expectRefusal([&] { readSplineFlowSettings(changed, "evil"); }, {"evil", part});
    };
    expectJson("\"heads\":3", "\"heads\":1e9", "heads");
    expectJson("\"heads\":3,", "", "heads: is missing");
    expectJson("\"transformer\"", "\"residual\"", "unknown field");
    expectJson("\"transformer\"", "\"recurrent\"", "expected 'mlp' or 'residual' or 'transformer'");
    expectJson("\"feed_forward\":7", "\"feed_forward\":9000", "feed_forward: is 9000");
}

TEST(SplineFlowDescription, SaysWhatIsWrongWithItsJson) {
    const std::string text = writeSplineFlowSettings(fiveCoordinates());
    const auto expect = [&](const std::string& from, const std::string& to,
                            const std::vector<std::string>& parts) {
        std::string changed = text;
        ASSERT_NE(changed.find(from), std::string::npos) << from;
        changed.replace(changed.find(from), from.size(), to);
        expectRefusal([&] { readSplineFlowSettings(changed, "evil"); }, parts);
    };
    expect("\"relu\"", "\"gelu\"", {"evil", "layers[0].activation", "expected 'relu' or 'silu' or 'tanh'"});
    expect("\"bins\":4", "\"bins\":1e3", {"bins", "expected an integer"});
    expect("\"bins\":4", "\"bins\":4,\"bin\":4", {"unknown field 'bin'"});
    expect("\"dimension\":5", "\"dimension\":99999999", {"dimension: is 99999999"});
    expect("\"dimension\":5", "\"dimension\":4", {"circular[1]: is 4, expected an integer from 0 to 3"});
    expect("\"box\":[2]", "\"box\":[4]", {"coordinate 4 is both circular and boxed"});
}

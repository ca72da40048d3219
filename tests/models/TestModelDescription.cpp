#include <cmath>

#include <gtest/gtest.h>

#include "ModelDocuments.h"
#include "ModelFileBytes.h"
#include "openmmscore/models/NoiseSchedule.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

ModelDescription readModel(const std::string& document) {
    return ModelDescription::fromJson(document, "m.safetensors");
}

void expectRoundTrip(const ModelDescription& model) {
    EXPECT_EQ(ModelDescription::fromJson(model.toJson(), "test"), model) << model.toJson();
}

std::vector<std::string> describeTensors(const ModelDescription& model, int expert) {
    std::vector<std::string> result;
    for (const TensorShape& tensor : expertTensors(model, expert)) {
        std::string text = tensor.name;
        for (std::int64_t length : tensor.shape)
            text += " " + std::to_string(length);
        result.push_back(text);
    }
    return result;
}

} // namespace

TEST(ModelDescription, ReadsEveryFieldOfAVectorModel) {
    ModelDescription model = readModel(vectorDocument);
    EXPECT_EQ(model.title, "wells");
    EXPECT_EQ(model.space, ModelDescription::Space::Vector);
    EXPECT_EQ(model.getNumCoordinates(), 2);
    EXPECT_EQ(model.getNumParticles(), 1);
    EXPECT_EQ(model.lengthScale, 1);
    EXPECT_EQ(model.temperature, 300);
    EXPECT_EQ(model.defaultDiffusionTime, 1e-5);
    EXPECT_EQ(model.schedule.betaMin, 0.1);
    EXPECT_EQ(model.schedule.betaMax, 20);
    ASSERT_EQ(model.experts.size(), 2u);
    EXPECT_EQ(model.experts[0].head, Head::Score);
    EXPECT_EQ(model.experts[0].timeFeatures, TimeFeatures::FourierRescaled);
    EXPECT_EQ(model.experts[0].mlp.hidden, (std::vector<int>{8, 9}));
    EXPECT_EQ(model.experts[1].timeFeatures, TimeFeatures::Linear);
    EXPECT_EQ(model.experts[1].outputSign, -1);
    EXPECT_EQ(model.experts[1].scaling, Scaling::InverseSigma);
    EXPECT_EQ(model.getLowerTime(), 0);
    EXPECT_EQ(model.getUpperTime(), 1);
    EXPECT_EQ(model.particles, (std::vector<ParticleDescription>{{"A", "", 1.0, "WEL", -3}}));
    EXPECT_EQ(model.provenance, R"({"loss":0.5})");
}

TEST(ModelDescription, ReadsEveryFieldOfATransferableModel) {
    ModelDescription model = readModel(particleDocument);
    EXPECT_EQ(model.getNumCoordinates(), 12);
    EXPECT_EQ(model.getNumParticles(), 4);
    EXPECT_EQ(model.schedule.kind, ScheduleDescription::Kind::CosineDdpm);
    EXPECT_EQ(model.schedule.numSteps, 1000);
    EXPECT_EQ(model.features, (std::vector<FeatureDescription>{{"residue", 20}, {"atom", 5}}));
    EXPECT_EQ(model.experts[0].graphTransformer,
              (GraphTransformerDescription{6, 1, 2, 5, 24, 1e-5, Gelu::Erf, 16}));
    EXPECT_EQ(model.bonds, (std::vector<std::pair<int, int>>{{0, 1}, {2, 1}, {2, 3}}));
}

TEST(ModelDescription, SurvivesWritingAndReading) {
    expectRoundTrip(readModel(vectorDocument));
    expectRoundTrip(readModel(particleDocument));
    expectRoundTrip(smallModel());
    ModelDescription model = smallModel();
    model.title = "\xc3\x9cmlaute, \"quotes\" and \\";
    model.lengthScale = 0.1 + 0.2;
    model.temperature = 1.0 / 3;
    model.experts[1].lowerTime = 5e-324;
    model.defaultDiffusionTime = std::nextafter(0.25, 1);
    model.experts[0].graphTransformer.layerNormEpsilon = std::nextafter(1e-6, 1);
    model.schedule.betaMax = std::nextafter(20.0, 0);
    model.particles[0] = {"", "", 1e-9, "", -2147483647 - 1};
    model.provenance = R"({"a":{"big":18446744073709551615,"small":-1,"x":[1.5e-07,null,true]},"b":"c"})";
    expectRoundTrip(model);
}

TEST(ModelDescription, SortsAndTrimsItsProvenance) {
    ModelDescription model = smallModel();
    model.provenance = R"( { "b" : 1, "a" : 2 } )";
    EXPECT_EQ(ModelDescription::fromJson(model.toJson(), "test").provenance, R"({"a":2,"b":1})");
}

TEST(ModelDescription, WritesNothingThatItWouldNotRead) {
    auto refuse = [](auto change, const std::string& part) {
        ModelDescription model = smallModel();
        change(model);
        expectRefusal([&] { model.toJson(); }, {"ModelDescription: ", part});
    };
    refuse([](ModelDescription& m) { m.provenance = ""; }, "provenance: is not valid JSON");
    refuse([](ModelDescription& m) { m.provenance = "[1]"; }, "provenance: is an array");
    refuse([](ModelDescription& m) { m.lengthScale = std::nan(""); }, "length_scale: is null");
    refuse([](ModelDescription& m) { m.title = "\xff"; }, "UTF-8");
    refuse([](ModelDescription& m) { m.experts.clear(); }, "experts: is an array of 0");
    refuse([](ModelDescription& m) { m.experts[0].head = static_cast<Head>(7); }, "enumerator");
}

TEST(ModelDescription, MakesItsSchedule) {
    EXPECT_NE(dynamic_cast<VariancePreserving*>(readModel(vectorDocument).schedule.create().get()), nullptr);
    auto schedule = readModel(particleDocument).schedule.create();
    ASSERT_NE(dynamic_cast<CosineDdpm*>(schedule.get()), nullptr);
    EXPECT_EQ(dynamic_cast<CosineDdpm*>(schedule.get())->getNumSteps(), 1000);
}

TEST(ModelDescription, ListsTheTensorsOfAnMlp) {
    ModelDescription model = readModel(vectorDocument);
    EXPECT_EQ(describeTensors(model, 0),
              (std::vector<std::string>{"experts.0.layers.0.weight 8 9", "experts.0.layers.0.bias 8",
                                        "experts.0.layers.1.weight 9 8", "experts.0.layers.1.bias 9",
                                        "experts.0.layers.2.weight 2 9", "experts.0.layers.2.bias 2"}));
    EXPECT_EQ(describeTensors(model, 1),
              (std::vector<std::string>{"experts.1.layers.0.weight 7 3", "experts.1.layers.0.bias 7",
                                        "experts.1.layers.1.weight 1 7", "experts.1.layers.1.bias 1"}));
}

TEST(ModelDescription, ListsTheTensorsOfAGraphTransformer) {
    const std::string layer = "experts.0.layers.0.";
    EXPECT_EQ(describeTensors(readModel(particleDocument), 0),
              (std::vector<std::string>{"experts.0.feature_embeddings.0.weight 20 16",
                                        "experts.0.feature_embeddings.1.weight 5 16",
                                        "experts.0.edge_embedding.weight 6 3",
                                        "experts.0.edge_embedding.bias 6",
                                        "experts.0.node_embedding.weight 6 36",
                                        "experts.0.node_embedding.bias 6",
                                        layer + "attention_norm.weight 6",
                                        layer + "attention_norm.bias 6",
                                        layer + "attention.query.weight 10 6",
                                        layer + "attention.query.bias 10",
                                        layer + "attention.key.weight 10 6",
                                        layer + "attention.key.bias 10",
                                        layer + "attention.value.weight 10 6",
                                        layer + "attention.value.bias 10",
                                        layer + "attention.edge.weight 10 6",
                                        layer + "attention.edge.bias 10",
                                        layer + "attention.output.weight 6 10",
                                        layer + "attention.output.bias 6",
                                        layer + "attention_gate.weight 1 18",
                                        layer + "feed_forward_norm.weight 6",
                                        layer + "feed_forward_norm.bias 6",
                                        layer + "feed_forward.expand.weight 24 6",
                                        layer + "feed_forward.expand.bias 24",
                                        layer + "feed_forward.contract.weight 6 24",
                                        layer + "feed_forward.contract.bias 6",
                                        layer + "feed_forward_gate.weight 1 18",
                                        "experts.0.readout.weight 1 6",
                                        "experts.0.readout.bias 1"}));
}

TEST(ModelDescription, ReadsTheScoresOfAllParticlesFromAllNodes) {
    ModelDescription model = smallModel();
    model.experts[1].head = Head::Score;
    std::vector<std::string> tensors = describeTensors(model, 1);
    EXPECT_EQ(tensors[2], "experts.1.node_embedding.weight 2 6"); // one-hot identity and four time features
    EXPECT_EQ(tensors[tensors.size() - 2], "experts.1.readout.weight 6 4");
    EXPECT_EQ(tensors.back(), "experts.1.readout.bias 6");
}

TEST(ModelDescription, CountsTheTensorsOfTheLargestModelWithoutOverflow) {
    ModelDescription model = readModel(particleDocument);
    model.count = 4096;
    model.experts[0].head = Head::Score;
    model.experts[0].graphTransformer = {8192, 64, 64, 1024, 65536, 1e-6, Gelu::Tanh, 8192};
    EXPECT_EQ(expertTensors(model, 0)[expertTensors(model, 0).size() - 2].shape,
              (std::vector<std::int64_t>{12288, 33554432}));
}

TEST(ModelDescription, CountsTimeFeatures) {
    EXPECT_EQ(numTimeFeatures(TimeFeatures::Fourier), 4);
    EXPECT_EQ(numTimeFeatures(TimeFeatures::FourierRescaled), 7);
    EXPECT_EQ(numTimeFeatures(TimeFeatures::Linear), 1);
}

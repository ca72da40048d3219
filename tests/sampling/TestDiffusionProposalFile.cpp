// Files of diffusion proposals: a model's tensors with settings around its document.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "../models/ModelFileBytes.h"
#include "DiffusionModels.h"
#include "openmmscore/sampling/DiffusionProposal.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using nlohmann::json;

namespace {

using Frame = Proposal::Frame;

DiffusionProposal::Settings settingsWith(Frame frame) {
    DiffusionProposal::Settings settings;
    settings.numSteps = 7;
    settings.time = 1e-3;
    settings.frame = frame;
    return settings;
}

std::vector<std::shared_ptr<const DiffusionProposal>> examples() {
    std::vector<std::shared_ptr<const DiffusionProposal>> result;
    const auto add = [&](auto model, const auto& settings) {
        result.push_back(std::make_shared<DiffusionProposal>(model, settings));
    };
    add(randomModel(2), settingsWith(Frame::Vector));
    auto settings = settingsWith(Frame::Absolute);
    settings.engine = ProbabilityFlow::Engine::Plain;
    add(randomModel(3, Head::Score), settings);
    ModelDescription description =
        describe(ModelDescription::Space::Particles, 2, {transformerExpert(8, 1, 0, 1)});
    description.features = {{"residue", 3}};
    description.experts[0].graphTransformer.embeddingWidth = 2;
    settings = settingsWith(Frame::Centred);
    settings.features = {2, 0};
    add(makeModel(description, 0.3), settings);
    return result;
}

/** @return the first example's file with another document */
std::string changed(const std::function<void(json&)>& change, int example = 0) {
    const std::string bytes = examples()[static_cast<std::size_t>(example)]->encode();
    const ModelFile file = ModelFile::fromBytes({bytes.begin(), bytes.end()}, "example");
    json document = json::parse(file.getDocument());
    change(document);
    std::vector<NamedTensor> tensors;
    for (const auto& [name, info] : file.getTensors())
        tensors.push_back({name, info.shape, file.readTensor(name, info.shape), info.dtype});
    const Bytes result = ModelFile::encode(document.dump(), tensors);
    return {result.begin(), result.end()};
}

void expectRefused(const std::string& bytes, std::vector<std::string> parts) {
    parts.push_back("evil.safetensors: ");
    expectRefusal([&] { makeProposal(bytes, "evil.safetensors"); }, parts);
}

} // namespace

TEST(DiffusionProposalFile, KeepsEveryBit) {
    for (const auto& each : examples()) {
        const DiffusionProposal& proposal = *each;
        const std::string bytes = proposal.encode();
        const auto again = makeProposal(bytes);
        EXPECT_EQ("diffusion", again->getFamily());
        EXPECT_EQ(proposal.getFrame(), again->getFrame());
        EXPECT_EQ(bytes, again->encode());
        ASSERT_EQ(proposal.getNumCoordinates(), again->getNumCoordinates());
        const auto& own = dynamic_cast<const DiffusionProposal&>(*again).getSettings();
        EXPECT_EQ(proposal.getSettings().numSteps, own.numSteps);
        EXPECT_EQ(proposal.getSettings().time, own.time);
        EXPECT_EQ(proposal.getSettings().engine, own.engine);
        EXPECT_EQ(proposal.getSettings().features, own.features);
        double x[2][9], q[2];
        proposal.sample(5, 3, 1, x[0], &q[0]);
        again->sample(5, 3, 1, x[1], &q[1]);
        EXPECT_EQ(q[0], q[1]);
        EXPECT_TRUE(std::equal(x[0], x[0] + proposal.getNumCoordinates(), x[1]));
    }
}

TEST(DiffusionProposalFile, EveryFlippedBitIsHarmlessOrAnError) {
    const std::string whole = examples()[0]->encode();
    for (std::size_t length = 0; length < whole.size(); length += 13)
        expectRefused(whole.substr(0, length), {""});
    for (std::size_t i = 0; i < 8 * whole.size(); i += 3) {
        std::string damaged = whole;
        damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
        try {
            makeProposal(damaged);
        }
        catch (const ModelFileError&) {
        }
        catch (const std::exception& error) {
            FAIL() << "bit " << i << ": " << error.what();
        }
    }
}

TEST(DiffusionProposalFile, SaysWhatIsWrong) {
    const auto with = [](const char* name, const json& value) {
        return changed([&](json& document) { document["settings"][name] = value; });
    };
    EXPECT_NO_THROW(makeProposal(with("steps", 8)));
    expectRefused(with("steps", 0), {"settings.steps: is 0"});
    expectRefused(with("steps", 1e9), {"settings.steps"});
    expectRefused(with("diffusion_time", 1.0), {"expected an end between diffusion times 0 and 1"});
    expectRefused(with("diffusion_time", -1), {"settings.diffusion_time: is -1"});
    expectRefused(with("precision", "half"),
                  {"settings.precision: is 'half', expected 'float32' or 'float64'"});
    expectRefused(with("features", {0, 1}), {"0 features for each of 2"});
    expectRefused(with("features", {-1}), {"settings.features[0]: is -1"});
    expectRefused(with("model", "a file"), {"settings.model: is 'a file', expected an object"});
    expectRefused(with("colour", 1), {"unknown field 'colour'"});
    expectRefused(changed([](json& d) { d["settings"].erase("model"); }), {"settings.model: is missing"});
    expectRefused(changed([](json& d) { d["settings"]["model"]["format_version"] = 9; }),
                  {"settings.model: format_version: is 9"});
    expectRefused(changed([](json& d) { d["settings"]["model"]["experts"][0]["hidden"] = {5}; }),
                  {"tensor 'experts.0.layers.0.weight'", "has shape"});
    expectRefused(changed([](json& d) {
                      d["settings"]["model"]["experts"][0]["interval"] = {0.4, 0.9};
                  }),
                  {"only answers up to 0.9"});
    expectRefused(changed([](json& d) { d["count"] = 3; }),
                  {"count: is 3, which is not that of a model with 2"});
    expectRefused(changed([](json& d) { d["frame"] = "centred"; }), {"is vector, or absolute"});
    expectRefused(changed([](json& d) { d["frame"] = "absolute"; }), {"count: is 2"});
    expectRefused(changed([](json& d) { d["frame"] = "vector"; }, 2), {"its frame is centred"});
    expectRefused(changed([](json& d) { d["settings"]["features"] = {2, 3}; }, 2), {"\"residue\"", "is 3"});
}

TEST(DiffusionProposalFile, WithATensorTooManyIsRefused) {
    const std::string bytes = examples()[0]->encode();
    const ModelFile file = ModelFile::fromBytes({bytes.begin(), bytes.end()}, "example");
    std::vector<NamedTensor> tensors = {{"extra", {1}, {1}, DType::Float64}};
    for (const auto& [name, info] : file.getTensors())
        tensors.push_back({name, info.shape, file.readTensor(name, info.shape), info.dtype});
    const Bytes more = ModelFile::encode(file.getDocument(), tensors);
    expectRefused({more.begin(), more.end()}, {"tensor 'extra': is superfluous"});
    tensors.erase(tensors.begin(), tensors.begin() + 2);
    const Bytes fewer = ModelFile::encode(file.getDocument(), tensors);
    expectRefused({fewer.begin(), fewer.end()}, {"is missing"});
}

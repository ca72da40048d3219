// Files of continuous flows: damaged or hostile ones end in a sentence.

#include <gtest/gtest.h>

#include "../models/ModelFileBytes.h"
#include "Proposals.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

TEST(ContinuousFlowFile, DamageIsRefused) {
    auto parameters = continuousFlow(4, {10, 8}, Proposal::Frame::Centred);
    parameters.trace = {FlowTrace::Method::Hutchinson, 2, true};
    const std::string whole = ContinuousFlowProposal(parameters).encode();
    for (std::size_t length = 0; length < whole.size(); length += length < 1200 ? 1 : 97)
        EXPECT_THROW(makeProposal(std::string_view(whole).substr(0, length)), ModelFileError) << length;
    for (std::size_t i = 0; i < 8 * 1200; i++) {
        std::string damaged = whole;
        damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
        try {
            makeProposal(damaged);
        }
        catch (const ModelFileError&) {
        }
    }
}

TEST(ContinuousFlowFile, SaysWhatIsWrong) {
    const std::string good = R"({"network":{"kind":"mlp","hidden":[2],"activation":"swish"},)"
                             R"("time_frequencies":0,"solver":{"method":"euler","steps":5},)"
                             R"("trace":{"method":"exact"}})";
    const auto make = [](const std::string& settings) {
        const std::string document = R"({"kind":"proposal","format_version":1,"family":"continuous-flow",)"
                                     R"("count":2,"frame":"vector","provenance":{},"settings":)" +
                                     settings + "}";
        const std::vector<NamedTensor> tensors = {
            {"location", {2}, {0, 0}},
            {"scale", {2}, {1, 1}},
            {"network.layers.0.weight", {2, 3}, std::vector<double>(6, 0.1)},
            {"network.layers.0.bias", {2}, {0, 0}},
            {"network.layers.1.weight", {2, 2}, std::vector<double>(4, 0.1)},
            {"network.layers.1.bias", {2}, {0, 0}}};
        const Bytes bytes = ModelFile::encode(document, tensors);
        return makeProposal(std::string(bytes.begin(), bytes.end()), "evil");
    };
    EXPECT_NO_THROW(make(good));
    const auto expect = [&](const std::string& from, const std::string& to, const std::string& part) {
        std::string settings = good;
        settings.replace(settings.find(from), from.size(), to);
        expectRefusal([&] { make(settings); }, {"evil: ", part});
    };
    expect("\"mlp\"", "\"cnn\"", "settings.network.kind: is 'cnn', expected one of 'mlp'");
    expect("[2]", "[3]", "tensor 'network.layers.0.weight': has shape [2, 3], expected [3, 3]");
    expect("[2]", "[9999999]", "settings.network.hidden[0]: is 9999999");
    expect("[2]", "[]", "settings.network.hidden");
    expect("\"swish\"", "\"relu\"", "settings.network.activation: is 'relu'");
    expect("\"time_frequencies\":0", "\"time_frequencies\":1", "network.layers.0.weight");
    expect("\"euler\"", "\"leapfrog\"", "settings.solver.method: is 'leapfrog'");
    expect("\"steps\":5", "\"steps\":0", "the number of steps is 0");
    expect("\"steps\":5", "\"stepz\":5", "unknown field 'stepz'");
    expect(R"("method":"euler","steps":5)",
           R"("method":"dormand-prince","absolute_tolerance":0,"relative_tolerance":1e-5)",
           "settings.solver.absolute_tolerance: is 0");
    expect("{\"method\":\"exact\"}", "{\"method\":\"hutchinson\",\"probes\":1,\"noisy_weights\":1}",
           "settings.trace.noisy_weights: is 1, expected true or false");
}

// Files of proposals: what is read is what was written, and damaged or hostile files end in a sentence.

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "../models/ModelFileBytes.h"
#include "Proposals.h"
#include "SplineFlows.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Covariance = GaussianMixtureProposal::Covariance;
using Frame = Proposal::Frame;

std::vector<std::shared_ptr<const Proposal>> examples() {
    std::vector<std::shared_ptr<const Proposal>> result;
    for (Frame frame : {Frame::Absolute, Frame::Centred}) {
        for (Covariance covariance : {Covariance::Isotropic, Covariance::Diagonal, Covariance::Full})
            result.push_back(std::make_shared<GaussianMixtureProposal>(mixture(2, 2, covariance, frame)));
        result.push_back(std::make_shared<AffineCouplingProposal>(coupling(2, 3, 2, frame)));
        result.push_back(splineFlow(2, frame, frame == Frame::Absolute));
    }
    return result;
}

/** @return a flow of few bytes, with everything that a layer may have */
std::shared_ptr<const Proposal> smallSplineFlow() {
    SplineFlowDescription description;
    description.dimension = 2;
    description.circular = {1};
    description.bins = 2;
    SplineFlowDescription::Layer layer;
    layer.type = SplineFlowDescription::Layer::Type::Autoregressive;
    layer.transformed = {1, 0};
    layer.hidden = {1};
    description.layers = {layer};
    return std::make_shared<SplineFlowProposal>(2, Frame::Vector, description, anyTensors(description));
}

/** @return a file with this document and these tensors */
std::string file(const std::string& document, const std::vector<NamedTensor>& tensors = {}) {
    const Bytes bytes = ModelFile::encode(document, tensors);
    return {bytes.begin(), bytes.end()};
}

std::string document(const std::string& family, const std::string& settings, int count = 1,
                     const std::string& more = "") {
    return R"({"kind":"proposal","format_version":1,"family":")" + family + R"(","count":)" +
           std::to_string(count) + R"(,"frame":"absolute","settings":)" + settings + R"(,"provenance":{})" +
           more + "}";
}

void expectProposalRefused(const std::string& bytes, std::vector<std::string> parts) {
    parts.push_back("evil.safetensors: ");
    expectRefusal([&] { makeProposal(bytes, "evil.safetensors"); }, parts);
}

const std::string mixtureSettings = R"({"components":1,"covariance":"isotropic"})";

std::vector<NamedTensor> mixtureTensors(double variance = 0.5) {
    return {{"weights", {1}, {1}, DType::Float64},
            {"means", {1, 1, 3}, {0, 0, 0}, DType::Float64},
            {"covariances", {1}, {variance}, DType::Float64}};
}

} // namespace

TEST(ProposalFile, KeepsEveryBitOfEveryFamily) {
    for (const auto& proposal : examples()) {
        SCOPED_TRACE(proposal->getFamily());
        const std::string bytes = proposal->encode();
        const auto again = makeProposal(bytes);
        EXPECT_EQ(again->getFamily(), proposal->getFamily());
        EXPECT_EQ(again->getFrame(), proposal->getFrame());
        ASSERT_EQ(again->getNumParticles(), proposal->getNumParticles());
        double x[2][6], q[2];
        proposal->sample(5, 3, 1, x[0], &q[0]);
        again->sample(5, 3, 1, x[1], &q[1]);
        EXPECT_EQ(q[0], q[1]);
        EXPECT_TRUE(std::equal(x[0], x[0] + 6, x[1]));
    }
}

TEST(ProposalFile, KeepsEveryBitOfWeightsThatDoNotSumToOneExactly) {
    for (int k = 2; k < 200; k++) {
        GaussianMixtureProposal::Parameters p;
        p.count = 1;
        p.frame = Frame::Vector;
        for (int i = 0; i < k; i++)
            p.weights.push_back(0.1 + i % 7 * 0.3);
        p.means.assign(k, 0.0);
        p.covariances.assign(k, 1.0);
        const GaussianMixtureProposal made(p);
        const std::string bytes = made.encode();
        EXPECT_EQ(makeProposal(bytes, "copy")->encode(), bytes) << k;
    }
}

TEST(ProposalFile, IsWrittenAndReadOnDisk) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("proposal-" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + "-" +
                       std::to_string(::getpid()) + ".safetensors");
    writeProposal(*examples()[0], path.string());
    const auto proposal = readProposal(path.string());
    EXPECT_EQ(proposal->encode(), examples()[0]->encode());
    std::filesystem::remove(path);
    expectRefusal([&] { readProposal(path.string()); }, {path.filename().string()});
}

TEST(ProposalFile, RejectsEveryTruncation) {
    const std::string whole = examples()[3]->encode();
    ASSERT_NO_THROW(makeProposal(whole));
    for (std::size_t length = 0; length < whole.size(); length++) {
        SCOPED_TRACE(length);
        expectProposalRefused(whole.substr(0, length), {""});
    }
}

TEST(ProposalFile, EveryFlippedBitIsHarmlessOrAnError) {
    for (const std::string& whole :
         {examples()[0]->encode(), examples()[3]->encode(), smallSplineFlow()->encode()}) {
        for (std::size_t i = 0; i < 8 * whole.size(); i++) {
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
}

TEST(ProposalFile, SaysWhatIsWrongWithTheDocument) {
    expectProposalRefused(file(""), {"no OpenMM-Score proposal"});
    expectProposalRefused(file("[1]"), {"expected an object"});
    expectProposalRefused(file("{"), {"document: is not valid JSON"});
    expectProposalRefused(file(R"({"format_version":1,"title":"x"})"), {"is a model", "load it with Model"});
    expectProposalRefused(file(R"({"kind":"model"})"), {"kind: is 'model', expected 'proposal'"});
    expectProposalRefused(file(R"({"kind":"proposal","format_version":2})"),
                          {"format_version: is 2", "update"});
    expectProposalRefused(file(document("cubist", "{}")), {"family: is 'cubist'", "'gaussian-mixture'"});
    expectProposalRefused(file(document("gaussian-mixture", "{}", 0)), {"count: is 0"});
    expectProposalRefused(file(document("gaussian-mixture", "[]")), {"settings: is an array"});
    expectProposalRefused(file(document("gaussian-mixture", mixtureSettings, 1, R"(,"famly":1)")),
                          {"unknown field 'famly' (did you mean 'family'?)"});
}

TEST(ProposalFile, SaysWhatIsWrongWithAMixture) {
    const auto mix = [](const std::string& settings) { return document("gaussian-mixture", settings); };
    EXPECT_NO_THROW(makeProposal(file(mix(mixtureSettings), mixtureTensors())));
    expectProposalRefused(file(mix(R"({"components":1})"), mixtureTensors()),
                          {"settings.covariance: is missing"});
    expectProposalRefused(file(mix(R"({"components":1,"covariance":"round"})"), mixtureTensors()),
                          {"settings.covariance: is 'round'"});
    expectProposalRefused(file(mix(R"({"components":2,"covariance":"isotropic"})"), mixtureTensors()),
                          {"tensor 'weights': has shape [1], expected [2]"});
    expectProposalRefused(file(mix(mixtureSettings), mixtureTensors(-1)),
                          {"number 0 of covariances is -1.0"});
    std::vector<NamedTensor> tensors = mixtureTensors();
    tensors.push_back({"extra", {1}, {1}, DType::Float64});
    expectProposalRefused(file(mix(mixtureSettings), tensors), {"tensor 'extra': is superfluous"});
    tensors = mixtureTensors();
    tensors.erase(tensors.begin());
    expectProposalRefused(file(mix(mixtureSettings), tensors), {"tensor 'weights': is missing"});
    // Far more than the file holds: refused before anything is allocated for it.
    expectProposalRefused(
        file(document("gaussian-mixture", R"({"components":65536,"covariance":"full"})", 4096)),
        {"tensor 'weights': is missing"});
}

TEST(ProposalFile, SaysWhatIsWrongWithACoupling) {
    const auto flow = [](const std::string& hidden) {
        return file(
            document("affine-coupling", R"({"hidden":)" + hidden + "}"),
            {{"location", {3}, {0, 0, 0}, DType::Float64}, {"scale", {3}, {1, 1, 1}, DType::Float64}});
    };
    EXPECT_NO_THROW(makeProposal(flow("[]")));
    expectProposalRefused(flow("[2]"), {"tensor 'layers.0.hidden.weight': is missing"});
    expectProposalRefused(flow("[0]"), {"settings.hidden[0]: is 0"});
    expectProposalRefused(flow("3"), {"settings.hidden: is 3, expected an array"});
}

TEST(ProposalFile, SaysWhatIsWrongWithASplineFlow) {
    const std::string whole = internalFlow()->encode();
    EXPECT_EQ(makeProposal(whole)->encode(), whole);
    const auto expect = [&](const std::string& from, const std::string& to,
                            const std::vector<std::string>& parts) {
        ModelFile original = ModelFile::fromBytes({whole.begin(), whole.end()}, "whole");
        std::string text = original.getDocument();
        ASSERT_NE(text.find(from), std::string::npos) << from;
        text.replace(text.find(from), from.size(), to);
        std::vector<NamedTensor> tensors;
        for (const auto& [name, info] : original.getTensors())
            tensors.push_back({name, info.shape, original.readTensor(name, info.shape), DType::Float64});
        expectProposalRefused(file(text, tensors), parts);
    };
    expect(R"("kind":"internal")", R"("kind":"external")",
           {"settings.coordinates.kind: is 'external', expected 'frame' or 'internal'"});
    expect("[3,2,1,0]", "[3,2,1]",
           {"settings.coordinates.rows[3]: is an array of 3, expected an array of 4"});
    expect("[3,2,1,0]", "[3,2,1,7]", {"settings.coordinates.rows[3][3]: is 7"});
    expect("[3,2,1,0]", "[3,2,1,3]", {"evil.safetensors: "});
    expect(",[3,2,1,0]", "", {"settings.coordinates.centres: is an array of 1, expected an array of 0"});
    expect(R"("frame":"centred")", R"("frame":"absolute")", {"frame: is not 'centred'"});
    expect(R"("circular":[5])", R"("circular":[])", {"has shape"});
    expect(R"("bins":5)", R"("bins":6)", {"tensor 'layers.0.linear.2.weight': has shape"});
    expect(R"("dimension":6)", R"("dimension":5)", {"settings.flow.circular[0]: is 5"});
    expect(R"("count":4)", R"("count":5)", {"settings.coordinates.rows: there are 4 for 5 particles"});
    expect(R"("hidden":[9,6])", R"("hidden":[9,6,8192])", {"has shape"});
    expect(R"("base":"trainable")", R"("base":"standard")", {"tensor 'base.location': is superfluous"});
    expect(R"("dimension":6)", R"("dimension":16384)", {"tensor 'location': has shape [6]"});
    expectProposalRefused(file(document("spline-flow", "{}")), {"settings.coordinates: is missing"});
}

TEST(ProposalFile, KeepsFloatsAsFloats) {
    const auto flow = splineFlow(1, Frame::Absolute, false);
    SplineFlow::Tensors tensors = flow->getFlow().getTensors();
    for (double& value : tensors["layers.0.linear.0.weight"])
        value = static_cast<double>(static_cast<float>(value));
    const SplineFlowProposal narrow(1, Frame::Absolute, flow->getFlow().getDescription(), tensors);
    const std::string bytes = narrow.encode();
    const ModelFile file = ModelFile::fromBytes({bytes.begin(), bytes.end()}, "flow");
    EXPECT_EQ(file.getTensors().at("layers.0.linear.0.weight").dtype, DType::Float32);
    EXPECT_EQ(file.getTensors().at("layers.1.linear.0.weight").dtype, DType::Float64);
    const auto again = std::dynamic_pointer_cast<const SplineFlowProposal>(makeProposal(bytes));
    EXPECT_EQ(again->getFlow().getTensors(), tensors);
}

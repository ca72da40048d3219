#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ModelFileBytes.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
namespace fs = std::filesystem;

namespace {

/** A directory of its own for a test, removed afterwards. */
class ModelFileOnDisk : public ::testing::Test {
protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "modelfile-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        directory = pattern;
    }
    void TearDown() override { fs::remove_all(directory); }

    std::string path(const std::string& name) const { return (directory / name).string(); }
    std::size_t countFiles() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
    }
    Bytes contents(const std::string& name) const {
        std::ifstream stream(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), {}};
    }

    fs::path directory;
};

const Bytes oldBytes(1000, 'o'), newBytes(100000, 'n');

} // namespace

TEST(ModelFile, KeepsNamesShapesAndValues) {
    std::vector<double> exact = {1.0 / 3, -0.0, 5e-324, std::numeric_limits<double>::max(), 1e-300, 2};
    std::vector<double> single = {0.1f, -1e38f, 1.4e-45f};
    Bytes bytes = ModelFile::encode("the document", {{"single", {3, 1}, single, DType::Float32},
                                                     {"a.b/c d", {2, 3}, exact, DType::Float64},
                                                     {"scalar", {}, {7}, DType::Float32}});
    ModelFile file = ModelFile::fromBytes(bytes, "test");
    EXPECT_EQ(file.getDocument(), "the document");
    EXPECT_EQ(file.getOrigin(), "test");
    EXPECT_EQ(file.getTensors().size(), 3u);
    EXPECT_EQ(file.readTensor("a.b/c d", {2, 3}), exact);
    EXPECT_TRUE(std::signbit(file.readTensor("a.b/c d", {2, 3})[1]));
    EXPECT_EQ(file.readTensor("single", {3, 1}), single);
    EXPECT_EQ(file.readTensor("scalar", {}), std::vector<double>{7});
    EXPECT_EQ(file.getTensors().at("single").dtype, DType::Float32);
    EXPECT_EQ(file.getTensors().at("a.b/c d").getNumElements(), 6u);
    EXPECT_TRUE(file.hasTensor("scalar"));
    EXPECT_FALSE(file.hasTensor("vector"));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), file.getBytes().begin(), file.getBytes().end()));
}

TEST(ModelFile, KeepsDocumentsWithEveryKindOfCharacter) {
    std::string document = "quotes \" \\ newline \n zero \x01 umlaut \xc3\xa4 emoji \xf0\x9f\x98\x80";
    EXPECT_EQ(ModelFile::fromBytes(ModelFile::encode(document, {}), "test").getDocument(), document);
}

TEST(ModelFile, GivesTheSameBytesForTheSameInput) {
    EXPECT_EQ(anyFile(smallModel()), anyFile(smallModel()));
}

TEST(ModelFile, AlignsEveryTensor) {
    Bytes bytes = ModelFile::encode(
        "x", {{"odd", {3}, {1, 2, 3}, DType::Float32}, {"double", {1}, {1}, DType::Float64}});
    std::uint64_t headerLength;
    std::memcpy(&headerLength, bytes.data(), 8);
    EXPECT_EQ(headerLength % 8, 0u);
    EXPECT_EQ(ModelFile::fromBytes(bytes, "test").getTensors().at("double").offset % 8, 0u);
}

TEST(ModelFile, ReadsFilesOfOtherWriters) {
    // Padding, other metadata, no document, tensors in any order, escaped names.
    Bytes bytes = assemble(R"({ "b":{"shape":[2],"data_offsets":[4,12],"dtype":"F32"},
        "\u0061" :{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}, "__metadata__":{"format":"pt"} }      )",
                           12);
    ModelFile file = ModelFile::fromBytes(bytes, "test");
    EXPECT_EQ(file.getDocument(), "");
    EXPECT_EQ(file.readTensor("a", {1, 1}), std::vector<double>(1));
    EXPECT_EQ(file.readTensor("b", {2}), std::vector<double>(2));
    EXPECT_TRUE(ModelFile::fromBytes(assemble("{}"), "test").getTensors().empty());
}

TEST(ModelFile, ComputesTheHashOfTheWholeFile) {
    EXPECT_EQ(ModelFile::fromBytes(assemble("{}"), "test").computeSha256(),
              "411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd");
}

TEST(ModelFile, NamesTheTensorThatIsMissingOrMisshapen) {
    ModelFile file = ModelFile::fromBytes(ModelFile::encode("", {{"w", {2, 1}, {1, 2}}}), "my.safetensors");
    expectRefusal([&] { file.readTensor("v", {2}); }, {"my.safetensors: tensor 'v': is missing"});
    expectRefusal([&] { file.readTensor("w", {1, 2}); }, {"my.safetensors: tensor 'w'", "[2, 1]", "[1, 2]"});
    expectRefusal([&] { file.readTensor("w", {}); }, {"[2, 1]", "[]"});
}

TEST(ModelFile, NamesTheElementThatIsNotFinite) {
    for (double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
        for (DType dtype : {DType::Float32, DType::Float64}) {
            Bytes bytes = ModelFile::encode("", {{"w", {3}, {1, 2, 3}, dtype}});
            float single = static_cast<float>(bad);
            if (dtype == DType::Float32)
                std::memcpy(&bytes[bytes.size() - 8], &single, 4);
            else
                std::memcpy(&bytes[bytes.size() - 16], &bad, 8);
            ModelFile file = ModelFile::fromBytes(bytes, "test");
            expectRefusal([&] { file.readTensor("w", {3}); },
                          {"tensor 'w': element 1 is ", std::isnan(bad) ? "not a number" : "infinite"});
        }
    }
}

TEST(ModelFile, WritesNoFileThatItWouldNotRead) {
    auto refuse = [](const NamedTensor& tensor, const std::string& part) {
        expectRefusal([&] { ModelFile::encode("", {tensor}); }, {part});
    };
    refuse({"", {1}, {1}}, "name");
    refuse({"__metadata__", {1}, {1}}, "name");
    refuse({std::string(1025, 'n'), {1}, {1}}, "name");
    refuse({"w\xff", {1}, {1}}, "UTF-8");
    refuse({"w", {2}, {1}}, "shape [2] does not fit 1 values");
    refuse({"w", {0}, {}}, "shape [0]");
    refuse({"w", {-1, -1}, {1}}, "shape [-1, -1]");
    refuse({"w", {1LL << 62, 1LL << 62}, {}}, "does not fit 0 values");
    refuse({"w", {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1}}, "8 dimensions");
    refuse({"w", {2}, {1, std::nan("")}}, "element 1 is not finite");
    refuse({"w", {2}, {1, 1e39}}, "element 1 is not finite");
    expectRefusal([] { ModelFile::encode("", {{"w", {1}, {1}}, {"w", {1}, {1}}}); }, {"'w'", "twice"});
    expectRefusal(
        [] {
            ModelFile::encode("", {{"w", {1}, {1}}, {"w", {1}, {1}, DType::Float64}});
        },
        {"twice"});
    expectRefusal([] { ModelFile::encode("\xff", {}); }, {"UTF-8"});
    expectRefusal([] { ModelFile::encode(std::string(17 << 20, 'x'), {}); }, {"16 MiB"});
}

TEST_F(ModelFileOnDisk, ReadsWhatWasWritten) {
    Bytes bytes = anyFile(smallModel());
    ModelFile::writeAtomically(path("m.safetensors"), bytes);
    EXPECT_EQ(contents("m.safetensors"), bytes);
    EXPECT_EQ(countFiles(), 1u);
    ModelFile file = ModelFile::read(path("m.safetensors"));
    EXPECT_EQ(file.getOrigin(), path("m.safetensors"));
    EXPECT_EQ(file.computeSha256(), ModelFile::fromBytes(bytes, "").computeSha256());
}

TEST_F(ModelFileOnDisk, SaysWhyAFileCannotBeRead) {
    expectRefusal([&] { ModelFile::read(path("none")); }, {path("none"), "No such file"});
    expectRefusal([&] { ModelFile::read(directory.string()); }, {"is a directory"});
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    expectRefusal([&] { ModelFile::read(path("pipe")); }, {"no regular file"});
    expectRefusal([] { ModelFile::read("/dev/zero"); }, {"no regular file"});
    expectRefusal([] { ModelFile::read(""); }, {"No such file"});
    std::ofstream(path("empty")).close();
    expectRefusal([&] { ModelFile::read(path("empty")); }, {"empty", "0 bytes long"});
}

TEST_F(ModelFileOnDisk, RefusesHugeFilesBeforeReadingThem) {
    // Sparse: it takes no room on the disk, but would in memory.
    std::ofstream(path("movie"), std::ios::binary) << "not a model file at all";
    fs::resize_file(path("movie"), 3ull << 30);
    expectRefusal([&] { ModelFile::read(path("movie")); }, {"header length"});
    fs::resize_file(path("movie"), 5ull << 30);
    expectRefusal([&] { ModelFile::read(path("movie")); }, {"limit"});
}

TEST_F(ModelFileOnDisk, ReplacesAnOlderFile) {
    ModelFile::writeAtomically(path("m"), oldBytes);
    ModelFile::writeAtomically(path("m"), newBytes);
    EXPECT_EQ(contents("m"), newBytes);
    EXPECT_EQ(countFiles(), 1u);
}

TEST_F(ModelFileOnDisk, SaysWhyAFileCannotBeWritten) {
    expectRefusal([&] { ModelFile::writeAtomically(path("no/such/m"), newBytes); },
                  {"no/such/m", "No such file"});
    expectRefusal([&] { ModelFile::writeAtomically(directory.string(), newBytes); }, {"is a directory"});
    expectRefusal([&] { ModelFile::writeAtomically("/dev/null", newBytes); }, {"no regular file"});
    expectRefusal([&] { ModelFile::writeAtomically(path(std::string(300, 'x')), newBytes); }, {"too long"});
    EXPECT_EQ(countFiles(), 0u);
}

TEST_F(ModelFileOnDisk, KeepsTheOlderFileWhenTheDiskIsFull) {
    ModelFile::writeAtomically(path("m"), oldBytes);
    // A limit on the size of files stands in for a full disk; in a child, as it cannot be lifted again.
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        rlimit limit = {newBytes.size() / 2, newBytes.size() / 2};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        try {
            ModelFile::writeAtomically(path("m"), newBytes);
        }
        catch (const ModelFileError& error) {
            ::_exit(std::string(error.what()).find("File too large") == std::string::npos ? 2 : 1);
        }
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 1) << "0: no error; 2: an error without the system's reason";
    EXPECT_EQ(contents("m"), oldBytes);
    EXPECT_EQ(countFiles(), 1u) << "the temporary file is still there";
}

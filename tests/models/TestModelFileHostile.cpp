// Damaged and hostile files: every one must end in a ModelFileError that says what is wrong, never in a
// crash, in another exception or in a model.

#include <algorithm>

#include <gtest/gtest.h>

#include "ModelFileBytes.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

void expectRefused(const Bytes& bytes, const std::vector<std::string>& parts) {
    std::vector<std::string> all = parts;
    all.push_back("evil.safetensors: ");
    expectRefusal([&] { ModelFile::fromBytes(bytes, "evil.safetensors"); }, all);
}

void expectHeaderRefused(const std::string& header, const std::vector<std::string>& parts,
                         std::size_t dataSize = 8) {
    SCOPED_TRACE(header.substr(0, 200));
    expectRefused(assemble(header, dataSize), parts);
}

std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "\"F32\"") {
    return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
           "}";
}

/** @return a copy of the small model's file with one tensor changed or the list of tensors changed */
template <class Change>
Bytes changedFile(Change&& change) {
    ModelDescription model = smallModel();
    std::vector<NamedTensor> tensors = anyTensors(model);
    change(tensors);
    return ModelFile::encode(model.toJson(), tensors);
}

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

} // namespace

TEST(HostileModelFile, RejectsEveryTruncation) {
    const Bytes whole = anyFile(smallModel());
    ASSERT_NO_THROW(readEverything(whole));
    for (std::size_t length = 0; length < whole.size(); length++) {
        SCOPED_TRACE(length);
        expectRefused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)), {""});
    }
}

TEST(HostileModelFile, EveryFlippedBitIsHarmlessOrAnError) {
    const Bytes whole = anyFile(tinyModel());
    std::size_t refused = 0;
    for (std::size_t i = 0; i < 8 * whole.size(); i++) {
        Bytes damaged = whole;
        damaged[i / 8] ^= static_cast<std::uint8_t>(1u << (i % 8));
        try {
            readEverything(damaged);
        }
        catch (const ModelFileError&) {
            refused++;
        }
        catch (const std::exception& error) {
            FAIL() << "bit " << i << ": " << error.what();
        }
    }
    // What remains are bits of weights, titles and other free numbers and texts.
    EXPECT_GT(refused, 4 * whole.size());
}

TEST(HostileModelFile, RejectsAbsurdHeaderLengths) {
    Bytes bytes = assemble("{}", 100);
    for (std::uint64_t length :
         {0ull, 1ull, 103ull, (16ull << 20) + 1, 1ull << 32, 1ull << 63, ~0ull, ~0ull - 7}) {
        std::memcpy(bytes.data(), &length, 8);
        expectRefused(bytes, {"header length: is " + std::to_string(length)});
    }
}

TEST(HostileModelFile, RejectsHeadersThatAreNoJsonObject) {
    for (const char* header : {"[]", " {}", "\xef\xbb\xbf{}", "\"a\"", "12", "null"})
        expectHeaderRefused(header, {"header: does not start with '{'"});
    for (const char* header : {"{,}", "{\"a\"}", "{]", "{}{}", "{} x", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}",
                               "{\"a\":Infinity}", "{/**/}", "{\"a\":1,}", "{\"a\":tru}", "{\"a\n\":1}"})
        expectHeaderRefused(header, {"header: is not valid JSON at byte "});
}

TEST(HostileModelFile, RejectsZeroBytesAfterTheHeader) {
    expectHeaderRefused(std::string("{}\0\0", 4), {"zero byte"});
    expectHeaderRefused(std::string("{}\0{\"a\":1}", 10), {"zero byte"});
}

TEST(HostileModelFile, RejectsInvalidUtf8) {
    for (const char* name : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\\ud800"})
        expectHeaderRefused("{" + entry(name, "[2]", "[0,8]") + "}", {"is not valid JSON"});
}

TEST(HostileModelFile, RejectsDeepJson) {
    expectHeaderRefused("{\"a\":" + nested(32) + "}", {"header: is more than 32 levels deep"});
    expectHeaderRefused("{\"a\":" + nested(1000000) + "}", {"32 levels"});
    expectHeaderRefused("{\"a\":" + std::string(1000000, '['), {"32 levels"});
    expectHeaderRefused("{\"a\":" + nested(31) + "}", {"tensor 'a': is an array"});
}

TEST(HostileModelFile, RejectsHugeJson) {
    std::string header = "{\"a\":[0";
    for (int i = 0; i < 1100000; i++)
        header += ",0";
    expectHeaderRefused(header + "]}", {"more than 1048576 values"});
}

TEST(HostileModelFile, RejectsNumbersThatAreNotFinite) {
    expectHeaderRefused("{" + entry("w", "[1e999]", "[0,8]") + "}",
                        {"header: holds a number that is not finite"});
    expectHeaderRefused("{" + entry("w", "[-1e999]", "[0,8]") + "}", {"not finite"});
}

TEST(HostileModelFile, RejectsRepeatedKeys) {
    const std::string tensor = entry("w", "[1]", "[0,4]");
    expectHeaderRefused("{" + tensor + "," + entry("w", "[1]", "[4,8]") + "}", {"repeats the key 'w'"});
    expectHeaderRefused("{" + tensor + "," + entry("\\u0077", "[1]", "[4,8]") + "}", {"repeats the key 'w'"});
    expectHeaderRefused(R"({"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                        {"repeats the key 'dtype'"});
    expectHeaderRefused(R"({"__metadata__":{"a":"1","a":"2"}})", {"repeats the key 'a'"});
    expectHeaderRefused(R"({"__metadata__":{},"__metadata__":{}})", {"repeats the key '__metadata__'"});
}

TEST(HostileModelFile, RejectsBadMetadata) {
    for (const char* value : {"1", "\"text\"", "[]", "null"})
        expectHeaderRefused(std::string("{\"__metadata__\":") + value + "}",
                            {"__metadata__: is", "object of strings"});
    for (const char* value : {"1", "{}", "[]", "null", "true"})
        expectHeaderRefused(std::string("{\"__metadata__\":{\"key\":") + value + "}}",
                            {"__metadata__: the value of 'key' is not a string"});
}

TEST(HostileModelFile, RejectsBadNames) {
    expectHeaderRefused("{" + entry("", "[2]", "[0,8]") + "}", {"tensor '': the name has 0 bytes"});
    expectHeaderRefused("{" + entry(std::string(1025, 'n'), "[2]", "[0,8]") + "}", {"nnn...'", "1025 bytes"});
    expectHeaderRefused("{" + entry(std::string(15000000, 'n'), "[2]", "[0,8]") + "}", {"15000000 bytes"});
    EXPECT_NO_THROW(
        ModelFile::fromBytes(assemble("{" + entry(std::string(1024, 'n'), "[2]", "[0,8]") + "}", 8), ""));
}

TEST(HostileModelFile, PrintsNoControlCharactersAndNoFloods) {
    const std::string name = "\\u001b[2J\\n\\u0000\\u202e" + std::string(900, 'x');
    try {
        ModelFile::fromBytes(assemble("{" + entry(name, "[2]", "[0,7]") + "}", 8), "evil");
        FAIL();
    }
    catch (const ModelFileError& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find("'\\x1b[2J\\x0a\\x00\\xe2\\x80\\xaexxx"), std::string::npos) << message;
        EXPECT_LT(message.size(), 300u);
        EXPECT_TRUE(
            std::all_of(message.begin(), message.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
    }
}

TEST(HostileModelFile, RejectsOtherElementTypes) {
    for (const char* dtype : {"F16", "BF16", "I64", "BOOL", "f32", "F8_E4M3", ""})
        expectHeaderRefused("{" + entry("w", "[2]", "[0,8]", "\"" + std::string(dtype) + "\"") + "}",
                            {"tensor 'w'.dtype: is '" + std::string(dtype) + "'", "F32", "convert"});
    expectHeaderRefused("{" + entry("w", "[2]", "[0,8]", "32") + "}",
                        {"tensor 'w'.dtype: is 32, expected a string"});
}

TEST(HostileModelFile, RejectsEntriesThatAreNotComplete) {
    expectHeaderRefused(R"({"w":5})", {"tensor 'w': is 5, expected an object"});
    expectHeaderRefused(R"({"w":{"shape":[2],"data_offsets":[0,8]}})", {"tensor 'w'.dtype: is missing"});
    expectHeaderRefused(R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", {"tensor 'w'.shape: is missing"});
    expectHeaderRefused(R"({"w":{"dtype":"F32","shape":[2]}})", {"tensor 'w'.data_offsets: is missing"});
    expectHeaderRefused(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shapes":[2]}})",
                        {"unknown field 'shapes'", "did you mean 'shape'"});
}

TEST(HostileModelFile, RejectsBadShapes) {
    for (const char* length : {"-1", "0", "1.0", "2.0", "\"2\"", "null", "true", "[2]", "9223372036854775808",
                               "18446744073709551615", "18446744073709551616", "1e2"})
        expectHeaderRefused("{" + entry("w", std::string("[") + length + "]", "[0,8]") + "}",
                            {"tensor 'w'.shape[0]: is ", "expected an integer from 1 to"});
    for (const char* shape : {"2", "{}", "null", "\"[2]\"", "[1,1,1,1,1,1,1,1,2]"})
        expectHeaderRefused("{" + entry("w", shape, "[0,8]") + "}",
                            {"tensor 'w'.shape: is ", "an array of 0 to 8"});
}

TEST(HostileModelFile, RejectsShapesThatDoNotFitTheirBytes) {
    // The products of the last four are 2, 0, 2 and 1 modulo 2^64, or 2^32.
    for (const char* shape :
         {"[]", "[1]", "[3]", "[2,2]", "[4294967296,4294967296,2]", "[4294967298]", "[4294967296,4294967296]",
          "[6148914691236517206,3]", "[9223372036854775807,2]"})
        expectHeaderRefused("{" + entry("w", shape, "[0,8]") + "}",
                            {"tensor 'w'.data_offsets: cover 8 bytes", "shape"});
    expectHeaderRefused("{" + entry("w", "[1]", "[0,8]") + "}", {"4-byte"});
    expectHeaderRefused("{" + entry("w", "[2]", "[0,8]", "\"F64\"") + "}", {"8-byte"});
    expectHeaderRefused("{" + entry("w", "[1]", "[0,7]") + "}", {"7 bytes"}, 7);
}

TEST(HostileModelFile, RejectsTensorsWithoutElements) {
    expectHeaderRefused("{" + entry("w", "[0]", "[0,0]") + "}", {"tensor 'w'.shape[0]: is 0"}, 0);
    expectHeaderRefused("{" + entry("w", "[]", "[0,0]") + "}", {"cover 0 bytes"}, 0);
}

TEST(HostileModelFile, RejectsOffsetsOutsideTheData) {
    for (const char* end :
         {"9", "9223372036854775807", "18446744073709551615", "1e30", "-8", "8.0", "\"8\"", "null"})
        expectHeaderRefused("{" + entry("w", "[2]", std::string("[0,") + end + "]") + "}",
                            {"tensor 'w'.data_offsets[1]: is ", "an integer from 0 to 8"});
    for (const char* begin : {"-4", "5", "18446744073709551612", "0.0"})
        expectHeaderRefused("{" + entry("w", "[2]", std::string("[") + begin + ",4]") + "}",
                            {"tensor 'w'.data_offsets[0]: is ", "an integer from 0 to 4"});
    for (const char* offsets : {"[]", "[0]", "[0,4,8]", "8", "{}"})
        expectHeaderRefused("{" + entry("w", "[2]", offsets) + "}",
                            {"tensor 'w'.data_offsets: is ", "an array of 2"});
}

TEST(HostileModelFile, RejectsOverlappingTensors) {
    const std::string a = entry("a", "[2]", "[0,8]");
    for (const char* offsets : {"[4,12]", "[0,8]"})
        expectHeaderRefused("{" + a + "," + entry("b", "[2]", offsets) + "}",
                            {"tensor 'b'", "overlaps tensor 'a'"}, 12);
    expectHeaderRefused("{" + entry("a", "[3]", "[0,12]") + "," + entry("b", "[1]", "[4,8]") + "}",
                        {"overlaps"}, 12);
}

TEST(HostileModelFile, RejectsGapsAndTrailingBytes) {
    expectHeaderRefused("{" + entry("a", "[1]", "[4,8]") + "}", {"tensor 'a'", "gap behind byte 0"});
    expectHeaderRefused("{" + entry("a", "[1]", "[0,4]") + "," + entry("b", "[1]", "[8,12]") + "}",
                        {"tensor 'b'", "gap behind byte 4"}, 12);
    expectHeaderRefused("{" + entry("a", "[1]", "[0,4]") + "}", {"8 bytes", "cover only 4"});
    expectHeaderRefused("{}", {"1 bytes", "cover only 0"}, 1);
}

TEST(HostileModelFile, RejectsMissingSuperfluousAndMisshapenTensors) {
    auto expectModelRefused = [](auto change, const std::vector<std::string>& parts) {
        const Bytes bytes = changedFile(change);
        expectRefusal([&] { readEverything(bytes); }, parts);
    };
    using Tensors = std::vector<NamedTensor>;
    expectModelRefused([](Tensors& t) { t.pop_back(); },
                       {"test: tensor 'experts.1.readout.bias': is missing", "experts[1]", "[1]"});
    expectModelRefused(
        [](Tensors& t) {
            t.push_back({"experts.2.readout.bias", {1}, {0}});
        },
        {"test: tensor 'experts.2.readout.bias': is superfluous"});
    expectModelRefused(
        [](Tensors& t) {
            t.push_back({"optimizer", {1}, {0}});
        },
        {"'optimizer': is superfluous"});
    expectModelRefused([](Tensors& t) { std::swap(t[0].shape[0], t[0].shape[1]); },
                       {"test: tensor 'experts.0.edge_embedding.weight': has shape [3, 2]", "[2, 3]"});
    expectModelRefused([](Tensors& t) { t[1].shape = {2, 1}; }, {"edge_embedding.bias': has shape [2, 1]"});
    expectModelRefused([](Tensors& t) { t.clear(); }, {"is missing"});
}

TEST(HostileModelFile, RejectsWeightsThatAreNotNumbers) {
    Bytes bytes = anyFile(smallModel());
    // The last tensor of the data is the last in the model's list.
    const std::uint8_t quietNan[] = {0, 0, 0xc0, 0x7f};
    std::copy(std::begin(quietNan), std::end(quietNan), bytes.end() - 4);
    expectRefusal([&] { readEverything(bytes); },
                  {"test: tensor 'experts.1.readout.bias': element 0 is not a number"});
}

// Documents that are no description of a model: every one must end in a ModelFileError that names the field.

#include <gtest/gtest.h>

#include "ModelDocuments.h"
#include "ModelFileBytes.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

/** @return the text with one part of it, which must be there, replaced */
std::string replaced(std::string text, const std::string& part, const std::string& by) {
    const std::size_t position = text.find(part);
    EXPECT_NE(position, std::string::npos) << part;
    return position == std::string::npos ? text : text.replace(position, part.size(), by);
}

void expectRefused(const std::string& document, const std::vector<std::string>& parts) {
    expectRefusal([&] { ModelDescription::fromJson(document, "m.safetensors"); }, parts);
}

/** One part of a document, what replaces it, and where and why that is refused. */
struct Damage {
    std::string part, by, where, why = "";
};

void expectEachRefused(const std::string& document, const std::vector<Damage>& damages) {
    for (const Damage& damage : damages) {
        SCOPED_TRACE(damage.by);
        expectRefused(replaced(document, damage.part, damage.by),
                      {"m.safetensors: " + damage.where + ": ", damage.why});
    }
}

} // namespace

TEST(HostileModelDescription, SaysThatAFileIsNoModel) {
    expectRefused("", {"m.safetensors: ", "no OpenMM-Score model"});
    expectRefused("[]", {"m.safetensors: ", "expected an object"});
    expectRefused("{}", {"m.safetensors: format_version: is missing"});
    expectRefused(vectorDocument.substr(0, 300), {"m.safetensors: description: is not valid JSON"});
}

TEST(HostileModelDescription, RefusesNewerVersionsBeforeAnythingElse) {
    expectRefused(R"({"format_version": 2, "brand_new": {}})",
                  {"m.safetensors: format_version: is 2, this release reads up to 1", "update"});
    for (const char* version : {"0", "-1", "1.0", "\"1\"", "null"})
        expectRefused(
            replaced(vectorDocument, "\"format_version\": 1", std::string("\"format_version\": ") + version),
            {"m.safetensors: format_version: is ", "expected an integer"});
}

TEST(HostileModelDescription, SuggestsTheNameThatAMisspeltFieldMeans) {
    expectRefused(replaced(vectorDocument, "\"title\"", "\"tittle\""),
                  {"unknown field 'tittle' (did you mean 'title'?)"});
    expectRefused(replaced(vectorDocument, "\"hidden\"", "\"hiden\""),
                  {"m.safetensors: experts[0]: unknown field 'hiden' (did you mean 'hidden'?)"});
    expectRefused(replaced(vectorDocument, "\"beta_min\"", "\"betaMin\""),
                  {"m.safetensors: schedule: unknown field 'betaMin' (did you mean 'beta_min'?)"});
    expectRefused(replaced(vectorDocument, "\"bonds\"", "\"xyzzy\": 1, \"bonds\""),
                  {"m.safetensors: unknown field 'xyzzy' (known are 'format_version', "});
    // A field of the other architecture is as unknown.
    expectRefused(replaced(vectorDocument, "\"hidden\": [8, 9]", "\"hidden\": [8, 9], \"heads\": 8"),
                  {"experts[0]: unknown field 'heads'"});
}

TEST(HostileModelDescription, NamesTheFieldThatIsMissing) {
    expectRefused(replaced(vectorDocument, "\"count\": 2, ", ""), {"m.safetensors: count: is missing"});
    expectRefused(replaced(vectorDocument, "\"interval\": [0, 0.1], ", ""),
                  {"m.safetensors: experts[1].interval: is missing"});
    expectRefused(replaced(vectorDocument, ", \"provenance\": {\"loss\": 0.5}", ""),
                  {"m.safetensors: provenance: is missing"});
    expectRefused(replaced(particleDocument, "\"steps\": 1000, ", ""),
                  {"m.safetensors: schedule.steps: is missing"});
    expectRefused(replaced(particleDocument, "\"gelu\": \"erf\", ", ""),
                  {"m.safetensors: experts[0].gelu: is missing"});
    expectRefused(replaced(vectorDocument, "\"mass\": 1, ", ""),
                  {"m.safetensors: particles[0].mass: is missing"});
}

TEST(HostileModelDescription, RejectsRepeatedKeysAndDeepDocuments) {
    expectRefused(replaced(vectorDocument, "\"count\": 2", "\"count\": 2, \"count\": 3"),
                  {"repeats the key 'count'"});
    expectRefused(replaced(vectorDocument, "\"loss\": 0.5", "\"loss\": 0.5, \"loss\": 0.4"),
                  {"repeats the key 'loss'"});
    expectRefused(replaced(vectorDocument, "0.5", std::string(40, '[') + std::string(40, ']')),
                  {"32 levels"});
    expectRefused(replaced(vectorDocument, "0.5", "1e999"), {"not finite"});
    expectRefused(vectorDocument + std::string("\0{", 2), {"zero byte"});
}

TEST(HostileModelDescription, ListsTheKnownArchitectures) {
    expectEachRefused(vectorDocument, {{"\"mlp\"", "\"unet\"", "experts[0].architecture",
                                        "is 'unet', expected one of 'mlp', 'graph-transformer'"},
                                       {"\"mlp\"", "5", "experts[0].architecture", "is 5, expected one of"}});
}

TEST(HostileModelDescription, RejectsUnknownWords) {
    expectEachRefused(vectorDocument,
                      {{"\"vector\"", "\"torus\"", "space", "one of 'particles', 'vector'"},
                       {"\"variance-preserving\"", "\"vp\"", "schedule.kind", "'cosine-ddpm'"},
                       {"\"score\"", "\"noise\"", "experts[0].head", "'energy', 'score'"},
                       {"\"linear\"", "\"Linear\"", "experts[1].time_features", "'linear'"},
                       {"\"none\"", "null", "experts[0].output_scaling", "is null"},
                       {"\"inverse-sigma\"", "\"clean-data\"", "experts[1].output_scaling",
                        "for the score head of an mlp"}});
    const auto read = [](const std::string& document) {
        return ModelDescription::fromJson(document, "m.safetensors");
    };
    EXPECT_NO_THROW(read(replaced(vectorDocument, "\"none\"", "\"clean-data\"")));
    const std::string polynomial =
        replaced(vectorDocument, R"("variance-preserving", "beta_min": 0.1, "beta_max": 20.0)",
                 R"("polynomial-ddpm", "steps": 100, "precision": 1e-5)");
    expectRefused(polynomial, {"default_diffusion_time", "a time of the schedule"});
    const std::string fitting =
        replaced(polynomial, "\"default_diffusion_time\": 1e-5", "\"default_diffusion_time\": 0.01");
    EXPECT_NO_THROW(read(fitting));
    EXPECT_EQ(read(fitting), ModelDescription::fromJson(read(fitting).toJson(), "again"));
    expectRefused(replaced(fitting, "1e-5}", "0.5}"), {"schedule.precision: is 0.5"});
    expectRefused(replaced(fitting, "\"precision\": 1e-5", "\"offset\": 1e-5"), {"schedule"});
    expectEachRefused(particleDocument, {{"\"erf\"", "\"relu\"", "experts[0].gelu", "'tanh', 'erf'"}});
}

TEST(HostileModelDescription, RejectsNumbersOfTheWrongKindOrSize) {
    expectEachRefused(vectorDocument,
                      {{"\"count\": 2", "\"count\": 0", "count", "is 0, expected an integer from 1 to 4096"},
                       {"\"count\": 2", "\"count\": 4097", "count"},
                       {"\"count\": 2", "\"count\": 2.0", "count", "is 2.0"},
                       {"\"count\": 2", "\"count\": \"2\"", "count", "is '2'"},
                       {"\"count\": 2", "\"count\": 1e30", "count"},
                       {"\"count\": 2", "\"count\": 18446744073709551615", "count"},
                       {"\"length_scale\": 1", "\"length_scale\": 0", "length_scale"},
                       {"\"length_scale\": 1", "\"length_scale\": \"1\"", "length_scale", "a number"},
                       {"\"temperature\": 300", "\"temperature\": -300", "temperature"},
                       {"\"temperature\": 300", "\"temperature\": 1e300", "temperature"},
                       {"\"beta_min\": 0.1", "\"beta_min\": 0", "schedule.beta_min"},
                       {"\"beta_max\": 20.0", "\"beta_max\": -1", "schedule.beta_max"},
                       {"\"output_sign\": 1", "\"output_sign\": 0", "experts[0].output_sign", "1 or -1"},
                       {"\"output_sign\": -1", "\"output_sign\": -2", "experts[1].output_sign"},
                       {"[8, 9]", "[]", "experts[0].hidden", "is an array of 0"},
                       {"[8, 9]", "8", "experts[0].hidden", "is 8, expected an array"},
                       {"[8, 9]", "[8, 0]", "experts[0].hidden[1]"},
                       {"[8, 9]", "[8193]", "experts[0].hidden[0]"}});
}

TEST(HostileModelDescription, RejectsSizesBeyondReason) {
    expectEachRefused(particleDocument,
                      {{"\"steps\": 1000", "\"steps\": 0", "schedule.steps"},
                       {"\"steps\": 1000", "\"steps\": 1000000000", "schedule.steps"},
                       {"\"offset\": 0.008", "\"offset\": 0", "schedule.offset"},
                       {"\"max_beta\": 0.999", "\"max_beta\": 1", "schedule.max_beta"},
                       {"\"hidden\": 6", "\"hidden\": 8193", "experts[0].hidden"},
                       {"\"hidden\": 6", "\"hidden\": [6]", "experts[0].hidden"},
                       {"\"layers\": 1", "\"layers\": 65", "experts[0].layers"},
                       {"\"heads\": 2", "\"heads\": 0", "experts[0].heads"},
                       {"\"head_size\": 5", "\"head_size\": 1025", "experts[0].head_size"},
                       {"\"feed_forward\": 24", "\"feed_forward\": 65537", "experts[0].feed_forward"},
                       {"1e-5", "0", "experts[0].layer_norm_epsilon"},
                       {"\"num_values\": 20", "\"num_values\": 0", "features[0].num_values"},
                       {"\"num_values\": 20", "\"num_values\": 65537", "features[0].num_values"},
                       {"\"embedding_width\": 16", "\"embedding_width\": -1", "experts[0].embedding_width"}});
    std::string many;
    for (int i = 0; i < 17; i++)
        many += std::string(i == 0 ? "" : ",") + R"({"name":"f)" + std::to_string(i) + R"(","num_values":2})";
    expectEachRefused(vectorDocument,
                      {{"\"features\": []", "\"features\": [" + many + "]", "features", "an array of 17"}});
}

TEST(HostileModelDescription, RejectsFeaturesWithoutOrWithEqualNames) {
    expectEachRefused(particleDocument,
                      {{"\"residue\"", "\"\"", "features[0].name"},
                       {"\"residue\"", "\"atom\"", "features[1].name", "repeats the feature 'atom'"},
                       {"\"residue\"", "7", "features[0].name", "a string"}});
}

TEST(HostileModelDescription, RejectsExpertsThatDoNotFitTheModel) {
    expectEachRefused(particleDocument,
                      {{"\"embedding_width\": 16", "\"embedding_width\": 0", "experts[0].embedding_width",
                        "at least 1, since the model has features"},
                       {"\"particles\", \"count\"", "\"vector\", \"count\"", "experts[0].architecture",
                        "needs the space 'particles'"}});
    expectRefused(replaced(particleDocument,
                           R"({"name": "residue", "num_values": 20}, {"name": "atom", "num_values": 5})", ""),
                  {"experts[0].embedding_width: is 16, expected 0, since the model has no features"});
    expectEachRefused(vectorDocument, {{"\"space\": \"vector\"", "\"space\": \"particles\"",
                                        "experts[0].architecture", "translations"},
                                       {"\"features\": []", R"("features": [{"name": "a", "num_values": 2}])",
                                        "experts[0].architecture", "knows no features"}});
}

TEST(HostileModelDescription, RejectsIntervalsWithGapsOrInTheWrongOrder) {
    expectEachRefused(vectorDocument, {{"[0, 0.1]", "[0, 0.2]", "experts[1].interval", "experts[0] begins"},
                                       {"[0, 0.1]", "[0, 0.05]", "experts[1].interval", "experts[0] begins"},
                                       {"[0, 0.1]", "[0.1, 0.1]", "experts[1].interval", "t0 < t1"},
                                       {"[0.1, 1]", "[1, 0.1]", "experts[0].interval", "t0 < t1"},
                                       {"[0.1, 1]", "[0.1, 1.5]", "experts[0].interval[1]", "from 0 to 1"},
                                       {"[0, 0.1]", "[-0.1, 0.1]", "experts[1].interval[0]"},
                                       {"[0, 0.1]", "[0.1]", "experts[1].interval", "an array of 2"},
                                       {"[0, 0.1]", "0.1", "experts[1].interval", "an array of 2"},
                                       {"[0, 0.1]", "[\"0\", 0.1]", "experts[1].interval[0]", "a number"}});
}

TEST(HostileModelDescription, RejectsDefaultTimesThatTheModelDoesNotHave) {
    const std::string field = "\"default_diffusion_time\": ";
    expectEachRefused(vectorDocument,
                      {{"1e-5", "2", "default_diffusion_time"}, {"1e-5", "-1", "default_diffusion_time"}});
    expectRefused(
        replaced(replaced(particleDocument, "[0, 1]", "[0.1, 1]"), field + "0.02", field + "0.05"),
        {"default_diffusion_time: is 0.05, expected a time that one of the experts' intervals holds"});
    expectEachRefused(particleDocument, {{field + "0.02", field + "0.0205", "default_diffusion_time",
                                          "a time of the schedule"}});
}

TEST(HostileModelDescription, RejectsParticlesThatOpenMMCouldNotUse) {
    expectEachRefused(
        vectorDocument,
        {{"\"mass\": 1", "\"mass\": 0", "particles[0].mass"},
         {"\"mass\": 1", "\"mass\": \"1\"", "particles[0].mass"},
         {"\"element\": \"\"", "\"element\": \"C1\"", "particles[0].element", "chemical symbol"},
         {"\"element\": \"\"", "\"element\": \"Carbon\"", "particles[0].element"},
         {"\"name\": \"A\"", "\"name\": \"A\\n\"", "particles[0].name", "control characters"},
         {"\"name\": \"A\"", "\"name\": 1", "particles[0].name", "a string"},
         {"\"residue_index\": -3", "\"residue_index\": 2147483648", "particles[0].residue_index"},
         {"\"count\": 2", "\"count\": 4", "particles", "has 1 entries, expected none or 2"}});
    expectRefused(replaced(vectorDocument, "\"A\"", "\"" + std::string(65, 'A') + "\""),
                  {"particles[0].name: is 65 bytes long"});
}

TEST(HostileModelDescription, RejectsImpossibleBonds) {
    expectEachRefused(particleDocument,
                      {{"[[0, 1]", "[[0, 4]", "bonds[0][1]", "is 4, expected an integer from 0 to 3"},
                       {"[[0, 1]", "[[-1, 1]", "bonds[0][0]"},
                       {"[[0, 1]", "[[1, 1]", "bonds[0]", "to itself"},
                       {"[2, 3]", "[1, 0]", "bonds[2]", "repeats the bond between particles 1 and 0"},
                       {"[[0, 1]", "[[0, 1, 2]", "bonds[0]", "an array of 2"},
                       {"[[0, 1]", "[[0.0, 1]", "bonds[0][0]"},
                       {"[[0, 1]", "[{}", "bonds[0]", "is an object"}});
}

TEST(HostileModelDescription, RejectsOtherValuesOfTheWrongKind) {
    expectEachRefused(vectorDocument, {{"\"wells\"", "1", "title", "a string"},
                                       {"\"wells\"", "\"two\\nlines\"", "title", "control characters"},
                                       {"\"features\": []", "\"features\": {}", "features", "is an object"},
                                       {"\"bonds\": []", "\"bonds\": null", "bonds", "is null"},
                                       {"{\"loss\": 0.5}", "\"none\"", "provenance", "an object"},
                                       {"{\"loss\": 0.5}", "[]", "provenance", "an object"}});
    expectRefused(replaced(vectorDocument, "\"wells\"", "\"" + std::string(1001, 'x') + "\""),
                  {"title: is 1001 bytes long"});
    expectRefused(
        replaced(replaced(vectorDocument, "\"experts\": [", "\"experts\": {\"a\": ["), "[7]}],", "[7]}]},"),
        {"experts: is an object, expected an array of 1 to 16"});
}

// ModelDescription::fromJson(): the document is checked field by field as it is read.

#include <algorithm>
#include <limits>
#include <set>

#include "CheckedJson.h"
#include "FileText.h"
#include "ModelDescriptionNames.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;
using Names = std::vector<std::string_view>;
using Architecture = ExpertDescription::Architecture;

// Generous beside any published model, small enough that no product of sizes overflows and that a damaged
// number is seen for what it is.
constexpr int maxCount = 4096, maxFeatures = 16, maxFeatureValues = 65536, maxExperts = 16;
constexpr int maxWidth = 8192, maxLayers = 64, maxHeads = 64, maxHeadSize = 1024, maxFeedForward = 65536;
constexpr int maxSteps = 100000;
constexpr double smallest = 1e-9, largest = 1e9;
constexpr std::size_t maxTitle = 1000, maxName = 64;

template <class Value, std::size_t size>
Value readWord(const JsonField& field, const Word<Value> (&words)[size]) {
    Names known;
    for (const auto& [word, value] : words) {
        if (field.json().is_string() && field.json().get_ref<const std::string&>() == word)
            return value;
        known.push_back(word);
    }
    field.failExpecting("one of " + listNames(known));
}

int readInt(const JsonField& field, int least, int most) {
    return static_cast<int>(field.integer(least, most));
}

double readPositive(const JsonField& field) {
    return field.number(smallest, largest);
}

/** Before everything else, because a newer document may look quite different. */
void checkVersion(const JsonField& root) {
    JsonField field = root.field("format_version");
    std::int64_t version = field.integer(1, std::numeric_limits<std::int64_t>::max());
    if (version > ModelDescription::currentVersion)
        field.fail("is " + std::to_string(version) + ", this release reads up to " +
                   std::to_string(ModelDescription::currentVersion) + " (update OpenMM-Score)");
}

ScheduleDescription readSchedule(const JsonField& field) {
    ScheduleDescription schedule;
    schedule.kind = readWord(field.field("kind"), scheduleWords);
    if (schedule.kind == ScheduleDescription::Kind::VariancePreserving) {
        field.requireFields(Names{"kind", "beta_min", "beta_max"});
        schedule.betaMin = readPositive(field.field("beta_min"));
        schedule.betaMax = readPositive(field.field("beta_max"));
    }
    else if (schedule.kind == ScheduleDescription::Kind::PolynomialDdpm) {
        field.requireFields(Names{"kind", "steps", "precision"});
        schedule.numSteps = readInt(field.field("steps"), 1, maxSteps);
        schedule.precision = field.field("precision").number(smallest, 0.1);
    }
    else {
        field.requireFields(Names{"kind", "steps", "offset", "max_beta"});
        schedule.numSteps = readInt(field.field("steps"), 1, maxSteps);
        schedule.offset = field.field("offset").number(smallest, 1);
        schedule.maxBeta = field.field("max_beta").number(smallest, 1 - smallest);
    }
    return schedule;
}

FeatureDescription readFeature(const JsonField& field) {
    field.requireFields(Names{"name", "num_values"});
    FeatureDescription feature;
    feature.name = field.field("name").text(maxName);
    if (feature.name.empty())
        field.field("name").failExpecting("a name");
    feature.numValues = readInt(field.field("num_values"), 1, maxFeatureValues);
    return feature;
}

std::vector<FeatureDescription> readFeatures(const JsonField& field) {
    std::vector<FeatureDescription> features;
    std::set<std::string> names;
    for (std::size_t i = 0, size = field.arraySize(0, maxFeatures); i < size; i++) {
        features.push_back(readFeature(field.element(i)));
        if (!names.insert(features.back().name).second)
            field.element(i).field("name").fail("repeats the feature " + inQuotes(features.back().name));
    }
    return features;
}

MlpDescription readMlp(const JsonField& expert) {
    MlpDescription mlp;
    JsonField hidden = expert.field("hidden");
    for (std::size_t i = 0, size = hidden.arraySize(1, maxLayers); i < size; i++)
        mlp.hidden.push_back(readInt(hidden.element(i), 1, maxWidth));
    return mlp;
}

GraphTransformerDescription readGraphTransformer(const JsonField& expert) {
    GraphTransformerDescription sizes;
    sizes.hidden = readInt(expert.field("hidden"), 1, maxWidth);
    sizes.layers = readInt(expert.field("layers"), 1, maxLayers);
    sizes.heads = readInt(expert.field("heads"), 1, maxHeads);
    sizes.headSize = readInt(expert.field("head_size"), 1, maxHeadSize);
    sizes.feedForward = readInt(expert.field("feed_forward"), 1, maxFeedForward);
    sizes.layerNormEpsilon = expert.field("layer_norm_epsilon").number(1e-15, 1);
    sizes.gelu = readWord(expert.field("gelu"), geluWords);
    sizes.embeddingWidth = readInt(expert.field("embedding_width"), 0, maxWidth);
    return sizes;
}

void readInterval(const JsonField& field, ExpertDescription& expert) {
    field.arraySize(2, 2);
    expert.lowerTime = field.element(0).number(0, 1);
    expert.upperTime = field.element(1).number(0, 1);
    if (!(expert.lowerTime < expert.upperTime))
        field.fail("ends at or before its start, expected [t0, t1] with t0 < t1");
}

ExpertDescription readExpert(const JsonField& field) {
    ExpertDescription expert;
    // Which fields there are depends on the architecture, so an unknown one is reported first.
    expert.architecture = readWord(field.field("architecture"), architectureWords);
    Names names = {"architecture", "interval",       "head",  "time_features",
                   "output_sign",  "output_scaling", "hidden"};
    const bool isMlp = expert.architecture == Architecture::Mlp;
    if (!isMlp)
        names.insert(names.end(), {"layers", "heads", "head_size", "feed_forward", "layer_norm_epsilon",
                                   "gelu", "embedding_width"});
    field.requireFields(names);
    readInterval(field.field("interval"), expert);
    expert.head = readWord(field.field("head"), headWords);
    expert.timeFeatures = readWord(field.field("time_features"), timeFeatureWords);
    expert.outputSign = readInt(field.field("output_sign"), -1, 1);
    if (expert.outputSign == 0)
        field.field("output_sign").failExpecting("1 or -1");
    expert.scaling = readWord(field.field("output_scaling"), scalingWords);
    if (isMlp)
        expert.mlp = readMlp(field);
    else
        expert.graphTransformer = readGraphTransformer(field);
    return expert;
}

/** Check what an expert and the model say of each other. */
void checkExpert(const JsonField& field, const ModelDescription& model, const ExpertDescription& expert) {
    if (expert.scaling == Scaling::CleanData &&
        (expert.architecture != Architecture::Mlp || expert.head != Head::Score))
        field.field("output_scaling").fail("is 'clean-data', which is for the score head of an mlp");
    if (expert.architecture == Architecture::Mlp) {
        if (!model.features.empty())
            field.field("architecture").fail("is 'mlp', which knows no features, but the model has some");
        if (model.space == ModelDescription::Space::Particles)
            field.field("architecture")
                .fail("is 'mlp', which is not invariant to translations, but space is 'particles' (only a "
                      "'vector' model can have one)");
        return;
    }
    if (model.space == ModelDescription::Space::Vector)
        field.field("architecture").fail("is 'graph-transformer', which needs the space 'particles'");
    if (model.features.empty() != (expert.graphTransformer.embeddingWidth == 0))
        field.field("embedding_width")
            .failExpecting(model.features.empty() ? "0, since the model has no features"
                                                  : "at least 1, since the model has features");
}

std::vector<ExpertDescription> readExperts(const JsonField& field, const ModelDescription& model) {
    std::vector<ExpertDescription> experts;
    for (std::size_t k = 0, size = field.arraySize(1, maxExperts); k < size; k++) {
        experts.push_back(readExpert(field.element(k)));
        checkExpert(field.element(k), model, experts.back());
        if (k > 0 && experts[k].upperTime != experts[k - 1].lowerTime)
            field.element(k)
                .field("interval")
                .fail("does not end where the interval of experts[" + std::to_string(k - 1) +
                      "] begins (experts are listed by descending times)");
    }
    return experts;
}

ParticleDescription readParticle(const JsonField& field) {
    field.requireFields(Names{"name", "element", "mass", "residue", "residue_index"});
    ParticleDescription particle;
    particle.name = field.field("name").text(maxName);
    particle.element = field.field("element").text(3);
    auto isLetter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
    if (!std::all_of(particle.element.begin(), particle.element.end(), isLetter))
        field.field("element").failExpecting("a chemical symbol or ''");
    particle.mass = readPositive(field.field("mass"));
    particle.residue = field.field("residue").text(maxName);
    particle.residueIndex = readInt(field.field("residue_index"), std::numeric_limits<int>::min(),
                                    std::numeric_limits<int>::max());
    return particle;
}

std::vector<ParticleDescription> readParticles(const JsonField& field, int numParticles) {
    std::vector<ParticleDescription> particles;
    std::size_t size = field.arraySize(0, std::numeric_limits<int>::max());
    if (size != 0 && size != static_cast<std::size_t>(numParticles))
        field.fail("has " + std::to_string(size) + " entries, expected none or " +
                   std::to_string(numParticles));
    for (std::size_t i = 0; i < size; i++)
        particles.push_back(readParticle(field.element(i)));
    return particles;
}

std::vector<std::pair<int, int>> readBonds(const JsonField& field, int numParticles) {
    std::vector<std::pair<int, int>> bonds;
    std::set<std::pair<int, int>> seen;
    for (std::size_t i = 0, size = field.arraySize(0, std::numeric_limits<int>::max()); i < size; i++) {
        JsonField bond = field.element(i);
        bond.arraySize(2, 2);
        int first = readInt(bond.element(0), 0, numParticles - 1);
        int second = readInt(bond.element(1), 0, numParticles - 1);
        if (first == second)
            bond.fail("joins particle " + std::to_string(first) + " to itself");
        if (!seen.insert(std::minmax({first, second})).second)
            bond.fail("repeats the bond between particles " + std::to_string(first) + " and " +
                      std::to_string(second));
        bonds.emplace_back(first, second);
    }
    return bonds;
}

double readDefaultTime(const JsonField& field, const ModelDescription& model) {
    double t = field.number(0, 1);
    if (t < model.getLowerTime() || t > model.getUpperTime())
        field.failExpecting("a time that one of the experts' intervals holds");
    if (!model.schedule.create()->covers(t))
        field.failExpecting("a time of the schedule");
    return t;
}

} // namespace

ModelDescription ModelDescription::fromJson(const std::string& document, const std::string& origin) {
    if (document.empty())
        throw ModelFileError(origin +
                             ": holds no description of a model (key 'openmmscore' of __metadata__), so it "
                             "is a safetensors file, but no OpenMM-Score model");
    const json parsed = parseCheckedJson(document, origin + ": description");
    JsonField root(parsed, origin);
    checkVersion(root);
    root.requireFields(Names{"format_version", "title", "space", "count", "length_scale", "temperature",
                             "default_diffusion_time", "schedule", "features", "experts", "particles",
                             "bonds", "provenance"});
    ModelDescription model;
    model.title = root.field("title").text(maxTitle);
    model.space = readWord(root.field("space"), spaceWords);
    model.count = readInt(root.field("count"), 1, maxCount);
    model.lengthScale = readPositive(root.field("length_scale"));
    model.temperature = readPositive(root.field("temperature"));
    model.schedule = readSchedule(root.field("schedule"));
    model.features = readFeatures(root.field("features"));
    model.experts = readExperts(root.field("experts"), model);
    model.defaultDiffusionTime = readDefaultTime(root.field("default_diffusion_time"), model);
    model.particles = readParticles(root.field("particles"), model.getNumParticles());
    model.bonds = readBonds(root.field("bonds"), model.getNumParticles());
    JsonField provenance = root.field("provenance");
    if (!provenance.json().is_object())
        provenance.failExpecting("an object");
    model.provenance = provenance.json().dump();
    return model;
}

} // namespace OpenMMScore

// ModelDescription::toJson().

#include "CheckedJson.h"
#include "ModelDescriptionNames.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;

template <class Value, std::size_t size>
json word(Value value, const Word<Value> (&words)[size]) {
    for (const auto& [text, known] : words)
        if (known == value)
            return text;
    throw ModelFileError("ModelDescription: holds an enumerator that is none");
}

json write(const ScheduleDescription& schedule) {
    json result = {{"kind", word(schedule.kind, scheduleWords)}};
    if (schedule.kind == ScheduleDescription::Kind::VariancePreserving) {
        result["beta_min"] = schedule.betaMin;
        result["beta_max"] = schedule.betaMax;
    }
    else if (schedule.kind == ScheduleDescription::Kind::PolynomialDdpm) {
        result["steps"] = schedule.numSteps;
        result["precision"] = schedule.precision;
    }
    else {
        result["steps"] = schedule.numSteps;
        result["offset"] = schedule.offset;
        result["max_beta"] = schedule.maxBeta;
    }
    return result;
}

json write(const ExpertDescription& expert) {
    json result = {{"architecture", word(expert.architecture, architectureWords)},
                   {"interval", json::array({expert.lowerTime, expert.upperTime})},
                   {"head", word(expert.head, headWords)},
                   {"time_features", word(expert.timeFeatures, timeFeatureWords)},
                   {"output_sign", expert.outputSign},
                   {"output_scaling", word(expert.scaling, scalingWords)}};
    if (expert.architecture == ExpertDescription::Architecture::Mlp) {
        result["hidden"] = expert.mlp.hidden;
        return result;
    }
    const GraphTransformerDescription& sizes = expert.graphTransformer;
    result["hidden"] = sizes.hidden;
    result["layers"] = sizes.layers;
    result["heads"] = sizes.heads;
    result["head_size"] = sizes.headSize;
    result["feed_forward"] = sizes.feedForward;
    result["layer_norm_epsilon"] = sizes.layerNormEpsilon;
    result["gelu"] = word(sizes.gelu, geluWords);
    result["embedding_width"] = sizes.embeddingWidth;
    return result;
}

json write(const FeatureDescription& feature) {
    return {{"name", feature.name}, {"num_values", feature.numValues}};
}

json write(const ParticleDescription& particle) {
    return {{"name", particle.name},
            {"element", particle.element},
            {"mass", particle.mass},
            {"residue", particle.residue},
            {"residue_index", particle.residueIndex}};
}

template <class Item>
json writeAll(const std::vector<Item>& items) {
    json result = json::array();
    for (const Item& item : items)
        result.push_back(write(item));
    return result;
}

} // namespace

std::string ModelDescription::toJson() const {
    const std::string origin = "ModelDescription";
    json bondList = json::array();
    for (const auto& [first, second] : bonds)
        bondList.push_back(json::array({first, second}));
    const json document = {{"format_version", currentVersion},
                           {"title", title},
                           {"space", word(space, spaceWords)},
                           {"count", count},
                           {"length_scale", lengthScale},
                           {"temperature", temperature},
                           {"default_diffusion_time", defaultDiffusionTime},
                           {"schedule", write(schedule)},
                           {"features", writeAll(features)},
                           {"experts", writeAll(experts)},
                           {"particles", writeAll(particles)},
                           {"bonds", bondList},
                           {"provenance", parseCheckedJson(provenance, origin + ": provenance")}};
    std::string text;
    try {
        text = document.dump();
    }
    catch (const json::exception&) {
        throw ModelFileError(origin + ": a title or name in it is not valid UTF-8");
    }
    // A description that cannot be read again should fail now, not at its first use.
    fromJson(text, origin);
    return text;
}

} // namespace OpenMMScore

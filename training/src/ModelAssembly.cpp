#include "ModelAssembly.h"

#include <nlohmann/json.hpp>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

namespace {

void checkBelongs(const ModelDescription& expert, const ModelDescription& model, std::size_t index,
                  const std::string& path) {
    const auto refuse = [&](const std::string& what) {
        throw Error(path + ": this expert was trained with " + what +
                    " than the configuration says (train it again with --stage " + std::to_string(index) +
                    " --overwrite)");
    };
    if (expert.experts.size() != 1 || expert.experts[0] != model.experts[index])
        refuse("another network or interval");
    if (expert.space != model.space || expert.count != model.count)
        refuse("other coordinates");
    if (expert.lengthScale != model.lengthScale)
        refuse("another length scale");
    if (expert.schedule != model.schedule)
        refuse("another noise schedule");
    if (expert.features != model.features)
        refuse("other features");
}

} // namespace

void writeMixture(const ModelDescription& model, const std::vector<std::string>& experts,
                  const std::string& path) {
    std::vector<NamedTensor> tensors;
    nlohmann::ordered_json provenance = nlohmann::ordered_json::object();
    std::int64_t steps = 0;
    double seconds = 0.0;
    for (std::size_t k = 0; k < experts.size(); k++) {
        const ModelFile file = ModelFile::read(experts[k]);
        const ModelDescription expert = ModelDescription::fromJson(file.getDocument(), experts[k]);
        checkBelongs(expert, model, k, experts[k]);
        const std::vector<TensorShape> from = expertTensors(expert, 0), to = expertTensors(model, int(k));
        for (std::size_t i = 0; i < to.size(); i++)
            tensors.push_back({to[i].name, to[i].shape, file.readTensor(from[i].name, from[i].shape),
                               file.getTensors().at(from[i].name).dtype});
        nlohmann::ordered_json account = nlohmann::ordered_json::parse(expert.provenance);
        for (const char* key : {"program", "libtorch", "data"}) {
            if (k > 0 && account[key] != provenance[key] && std::string(key) == "data")
                throw Error(experts[k] + ": this expert was trained with other data than the one before it");
            provenance[key] = account[key];
            account.erase(key);
        }
        steps += account.value("steps", std::int64_t(0));
        seconds += account.value("wall_time_seconds", 0.0);
        provenance["stages"].push_back(account);
    }
    provenance["steps"] = steps;
    provenance["wall_time_seconds"] = seconds;
    ModelDescription mixture = model;
    mixture.provenance = provenance.dump();
    ModelFile::writeAtomically(path, ModelFile::encode(mixture.toJson(), tensors));
}

} // namespace OpenMMScore

#include "Checkpoint.h"

#include <ATen/ops/from_blob.h>
#include <nlohmann/json.hpp>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

namespace {

constexpr const char* kind = "openmmscore-train checkpoint 2";

NamedTensor named(const std::string& name, const at::Tensor& tensor) {
    const at::Tensor values = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* data = values.data_ptr<double>();
    return {name,
            {values.numel()},
            std::vector<double>(data, data + values.numel()),
            tensor.scalar_type() == at::kDouble ? DType::Float64 : DType::Float32};
}

} // namespace

void Checkpoint::write(const std::string& path) const {
    nlohmann::json document = {{"kind", kind},
                               {"step", step},
                               {"skipped", skipped},
                               {"skipped_in_row", skippedInRow},
                               {"elapsed_seconds", elapsedSeconds},
                               {"loss_sum", {lossSum.main, lossSum.penalty}},
                               {"loss_count", lossCount},
                               {"updates", optimizer.updates},
                               {"config", nlohmann::json::parse(config)},
                               {"data_sha256", dataSha256}};
    std::vector<NamedTensor> tensors = {named("parameters", parameters), named("average", average),
                                        named("first_moment", optimizer.firstMoment),
                                        named("second_moment", optimizer.secondMoment)};
    if (best.average.defined()) {
        document["best"] = {
            {"loss", best.loss}, {"step", best.step}, {"validations_since", best.validationsSince}};
        tensors.push_back(named("best_average", best.average));
    }
    ModelFile::writeAtomically(path, ModelFile::encode(document.dump(), tensors));
}

Checkpoint Checkpoint::read(const std::string& path, const Checkpoint& run, const at::Tensor& parameters) {
    const ModelFile file = ModelFile::read(path);
    const auto tensor = [&](const char* name) {
        std::vector<double> values = file.readTensor(name, {parameters.numel()});
        return at::from_blob(values.data(), {parameters.numel()}, at::kDouble)
            .to(parameters.options(), false, true);
    };
    Checkpoint result;
    bool hasBest = false;
    try {
        const nlohmann::json document = nlohmann::json::parse(file.getDocument());
        if (document.at("kind") != kind)
            throw Error(path + ": this is not a checkpoint of openmmscore-train");
        document.at("step").get_to(result.step);
        document.at("skipped").get_to(result.skipped);
        document.at("skipped_in_row").get_to(result.skippedInRow);
        document.at("elapsed_seconds").get_to(result.elapsedSeconds);
        document.at("loss_sum").at(0).get_to(result.lossSum.main);
        document.at("loss_sum").at(1).get_to(result.lossSum.penalty);
        document.at("loss_count").get_to(result.lossCount);
        document.at("updates").get_to(result.optimizer.updates);
        document.at("data_sha256").get_to(result.dataSha256);
        result.config = document.at("config").dump();
        hasBest = document.contains("best");
        if (hasBest) {
            const nlohmann::json& best = document["best"];
            best.at("loss").get_to(result.best.loss);
            best.at("step").get_to(result.best.step);
            best.at("validations_since").get_to(result.best.validationsSince);
        }
    }
    catch (const nlohmann::json::exception&) {
        throw Error(path + ": this is not a checkpoint of openmmscore-train, or it is damaged");
    }
    // Of another network, what differs in its description says more than the sizes of tensors.
    result.checkContinues(path, run);
    result.parameters = tensor("parameters");
    result.average = tensor("average");
    result.optimizer.firstMoment = tensor("first_moment");
    result.optimizer.secondMoment = tensor("second_moment");
    if (hasBest)
        result.best.average = tensor("best_average");
    return result;
}

void Checkpoint::checkContinues(const std::string& path, const Checkpoint& run) const {
    if (dataSha256 != run.dataSha256)
        throw Error(path + ": the checkpoint was made with other data (SHA-256 " + dataSha256.substr(0, 12) +
                    "..., now " + run.dataSha256.substr(0, 12) + "...), so the run cannot be continued");
    const nlohmann::json before = nlohmann::json::parse(config).flatten();
    const nlohmann::json now = nlohmann::json::parse(run.config).flatten();
    const auto valueOf = [](const nlohmann::json& settings, const std::string& key) {
        return settings.contains(key) ? settings[key].dump() : std::string("nothing said");
    };
    nlohmann::json keys = now;
    keys.update(before);
    for (const auto& item : keys.items()) {
        const std::string& key = item.key();
        // A run may be made longer or shorter; its learning rates then follow the new length.
        if (key != "/training/steps" && key != "/training/early_stopping" &&
            valueOf(before, key) != valueOf(now, key))
            throw Error(path + ": the checkpoint was made with " + key.substr(1) + " = " +
                        valueOf(before, key) + ", the configuration says " + valueOf(now, key) +
                        "; restore that, or begin anew with --overwrite");
    }
}

} // namespace OpenMMScore

// The part of DiffusionProposal that reads and writes files: a model's file with settings around it.

#include "ProposalContents.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/DiffusionProposal.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;
using Engine = ProbabilityFlow::Engine;

constexpr int maxSteps = 100000, maxFeatureValue = 65535;
constexpr std::size_t maxFeatures = 16 * 4096, maxWord = 64;

Engine readEngine(const JsonField& field) {
    const std::string word = field.text(maxWord);
    if (word != "float32" && word != "float64")
        field.failExpecting("'float32' or 'float64'");
    return word == "float32" ? Engine::Fast : Engine::Plain;
}

/** The model that settings and tensors describe, as if it had come out of its own file. */
std::shared_ptr<const ScoreModel> readModel(const ModelFile& file, const json& settings) {
    const std::string document = settings["model"].dump();
    const std::string origin = file.getOrigin() + ": settings.model";
    const ModelDescription description = ModelDescription::fromJson(document, origin);
    checkTensors(description, file);
    std::vector<NamedTensor> tensors;
    for (const auto& [name, info] : file.getTensors())
        tensors.push_back({name, info.shape, file.readTensor(name, info.shape), info.dtype});
    return ScoreModel::fromBytes(ModelFile::encode(document, tensors), file.getOrigin());
}

void checkCount(const ProposalContents& contents, const ModelDescription& model) {
    const bool absolute = contents.getFrame() == Proposal::Frame::Absolute;
    if ((absolute ? 3 : 1) * contents.getCount() != model.count)
        contents.fail("count: is " + std::to_string(contents.getCount()) +
                      ", which is not that of a model with " + std::to_string(model.count) +
                      (model.space == ModelDescription::Space::Particles ? " particles" : " numbers"));
}

} // namespace

std::string DiffusionProposal::encode() const {
    const ModelFile& file = model->getFile();
    std::vector<NamedTensor> tensors;
    for (const auto& [name, info] : file.getTensors())
        tensors.push_back({name, info.shape, file.readTensor(name, info.shape), info.dtype});
    const json own = {{"steps", settings.numSteps},
                      {"diffusion_time", settings.time},
                      {"precision", settings.engine == Engine::Fast ? "float32" : "float64"},
                      {"features", settings.features},
                      {"model", json::parse(file.getDocument())}};
    return ProposalContents::encode(*this, own, tensors);
}

std::shared_ptr<const Proposal> DiffusionProposal::fromContents(const ProposalContents& contents) {
    const JsonField field = contents.getSettings();
    static constexpr std::string_view fields[] = {"steps", "diffusion_time", "precision", "features",
                                                  "model"};
    field.requireFields(fields);
    Settings settings;
    settings.numSteps = static_cast<int>(field.field("steps").integer(1, maxSteps));
    settings.time = field.field("diffusion_time").number(0, 1);
    settings.engine = readEngine(field.field("precision"));
    settings.frame = contents.getFrame();
    const JsonField features = field.field("features");
    for (std::size_t i = 0, size = features.arraySize(0, maxFeatures); i < size; i++)
        settings.features.push_back(static_cast<int>(features.element(i).integer(0, maxFeatureValue)));
    if (!field.field("model").json().is_object())
        field.field("model").failExpecting("an object");
    try {
        auto model = readModel(contents.getFile(), field.json());
        checkCount(contents, model->getDescription());
        return std::make_shared<DiffusionProposal>(std::move(model), std::move(settings));
    }
    catch (const ModelFileError&) {
        throw;
    }
    catch (const Error& error) {
        // Which names the file already.
        throw ModelFileError(error.what());
    }
}

} // namespace OpenMMScore

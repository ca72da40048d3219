// The part of GaussianMixtureProposal that reads and writes files.

#include <utility>

#include "ProposalContents.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"

namespace OpenMMScore {

namespace {

using Covariance = GaussianMixtureProposal::Covariance;

constexpr std::pair<std::string_view, Covariance> covarianceWords[] = {
    {"isotropic", Covariance::Isotropic}, {"diagonal", Covariance::Diagonal}, {"full", Covariance::Full}};
constexpr std::int64_t maxComponents = 65536;

std::vector<std::int64_t> covarianceShape(Covariance covariance, std::int64_t components,
                                          std::int64_t width) {
    if (covariance == Covariance::Isotropic)
        return {components};
    if (covariance == Covariance::Diagonal)
        return {components, width};
    return {components, width, width};
}

std::vector<std::int64_t> meanShape(const FrameCoordinates& coordinates, std::int64_t components) {
    if (coordinates.getFrame() == Proposal::Frame::Vector)
        return {components, coordinates.getNumCoordinates()};
    return {components, coordinates.getNumParticles(), 3};
}

Covariance readCovariance(const JsonField& field) {
    const std::string found = field.text(64);
    for (const auto& [word, covariance] : covarianceWords)
        if (word == found)
            return covariance;
    field.failExpecting("'isotropic', 'diagonal' or 'full'");
}

} // namespace

std::string GaussianMixtureProposal::encode() const {
    const auto components = static_cast<std::int64_t>(parameters.weights.size());
    nlohmann::json settings = {{"components", components}};
    for (const auto& [word, covariance] : covarianceWords)
        if (covariance == parameters.covariance)
            settings["covariance"] = word;
    const std::int64_t width = coordinates.getNumCoordinates();
    return ProposalContents::encode(
        *this, settings,
        {{"weights", {components}, parameters.weights, DType::Float64},
         {"means", meanShape(coordinates, components), parameters.means, DType::Float64},
         {"covariances", covarianceShape(parameters.covariance, components, width), parameters.covariances,
          DType::Float64}});
}

std::shared_ptr<const Proposal> GaussianMixtureProposal::fromContents(const ProposalContents& contents) {
    const JsonField settings = contents.getSettings();
    static constexpr std::string_view fields[] = {"components", "covariance"};
    settings.requireFields(fields);
    const std::int64_t components = settings.field("components").integer(1, maxComponents);
    contents.allowTensors({"weights", "means", "covariances"});

    Parameters parameters;
    parameters.count = contents.getCount();
    parameters.frame = contents.getFrame();
    parameters.covariance = readCovariance(settings.field("covariance"));
    const ModelFile& file = contents.getFile();
    try {
        const FrameCoordinates coordinates(parameters.count, parameters.frame);
        parameters.weights = file.readTensor("weights", {components});
        parameters.means = file.readTensor("means", meanShape(coordinates, components));
        parameters.covariances =
            file.readTensor("covariances", covarianceShape(parameters.covariance, components,
                                                           coordinates.getNumCoordinates()));
        return std::make_shared<GaussianMixtureProposal>(std::move(parameters));
    }
    catch (const ShapeError& error) {
        contents.fail(error.what());
    }
}

} // namespace OpenMMScore

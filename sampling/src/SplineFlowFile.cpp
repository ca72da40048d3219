// The part of SplineFlowProposal that reads and writes files.

#include "FlowCoordinatesSettings.h"
#include "ProposalContents.h"
#include "SplineFlowSettings.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/SplineFlowProposal.h"

namespace OpenMMScore {

namespace {

constexpr std::size_t maxWord = 32;

/** @return the internal coordinates of a proposal, if it has some */
std::optional<FlowCoordinates> readCoordinates(const JsonField& field) {
    if (!field.has("kind"))
        field.failExpecting("an object with a 'kind'");
    const std::string kind = field.field("kind").text(maxWord);
    if (kind == "internal")
        return flowCoordinatesFromJson(field);
    if (kind != "frame")
        field.field("kind").failExpecting("'frame' or 'internal'");
    static constexpr std::string_view fields[] = {"kind"};
    field.requireFields(fields);
    return {};
}

void checkInternal(const ProposalContents& contents, const FlowCoordinates& internal) {
    if (contents.getFrame() != Proposal::Frame::Centred)
        contents.fail("frame: is not 'centred', as internal coordinates need it");
    if (contents.getCount() != internal.getNumParticles())
        contents.fail("settings.coordinates.rows: there are " + std::to_string(internal.getNumParticles()) +
                      " for " + std::to_string(contents.getCount()) + " particles");
}

} // namespace

std::string SplineFlowProposal::encode() const {
    std::vector<NamedTensor> tensors;
    for (const auto& [name, shape] : splineFlowTensors(flow.getDescription())) {
        const std::vector<double>& values = flow.getTensors().at(name);
        tensors.push_back({name, shape, values, ProposalContents::narrowestType(values)});
    }
    const nlohmann::json settings = {
        {"coordinates", internal ? flowCoordinatesToJson(*internal) : nlohmann::json{{"kind", "frame"}}},
        {"flow", splineFlowToJson(flow.getDescription())}};
    return ProposalContents::encode(*this, settings, tensors);
}

std::shared_ptr<const Proposal> SplineFlowProposal::fromContents(const ProposalContents& contents) {
    const JsonField settings = contents.getSettings();
    static constexpr std::string_view fields[] = {"coordinates", "flow"};
    settings.requireFields(fields);
    std::optional<FlowCoordinates> internal = readCoordinates(settings.field("coordinates"));
    if (internal)
        checkInternal(contents, *internal);
    SplineFlowDescription description = splineFlowFromJson(settings.field("flow"));
    SplineFlow::Tensors tensors;
    std::vector<std::string> names;
    for (const auto& [name, shape] : splineFlowTensors(description)) {
        tensors[name] = contents.getFile().readTensor(name, shape);
        names.push_back(name);
    }
    contents.allowTensors(names);
    try {
        if (internal)
            return std::make_shared<SplineFlowProposal>(std::move(*internal), std::move(description),
                                                        std::move(tensors));
        return std::make_shared<SplineFlowProposal>(contents.getCount(), contents.getFrame(),
                                                    std::move(description), std::move(tensors));
    }
    catch (const ShapeError& error) {
        contents.fail(error.what());
    }
}

} // namespace OpenMMScore

#include "openmmscore/sampling/ProposalFile.h"

#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "FileText.h"
#include "ProposalContents.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/AffineCouplingProposal.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/DiffusionProposal.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"
#include "openmmscore/sampling/SplineFlowProposal.h"

namespace OpenMMScore {

namespace {

struct Family {
    std::string_view name;
    std::shared_ptr<const Proposal> (*make)(const ProposalContents&);
};

constexpr Family families[] = {
    {"gaussian-mixture", GaussianMixtureProposal::fromContents},
    {"affine-coupling", AffineCouplingProposal::fromContents},
    {"continuous-flow", ContinuousFlowProposal::fromContents},
    {"spline-flow", SplineFlowProposal::fromContents},
    {"diffusion", DiffusionProposal::fromContents},
};

std::shared_ptr<const Proposal> make(ModelFile file) {
    const ProposalContents contents(std::move(file));
    std::vector<std::string_view> known;
    for (const Family& family : families) {
        if (family.name == contents.getFamily())
            return family.make(contents);
        known.push_back(family.name);
    }
    contents.fail("family: is " + inQuotes(contents.getFamily()) + ", expected one of " + listNames(known) +
                  " (is the file from a newer release?)");
}

} // namespace

std::shared_ptr<const Proposal> makeProposal(std::string_view bytes, const std::string& origin) {
    return make(ModelFile::fromBytes({bytes.begin(), bytes.end()}, origin));
}

std::shared_ptr<const Proposal> readProposal(const std::string& path) {
    return make(ModelFile::read(path));
}

void writeProposal(const Proposal& proposal, const std::string& path, const std::string& provenance) {
    const std::string bytes = proposal.encode();
    if (provenance.empty()) {
        ModelFile::writeAtomically(path, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
        return;
    }
    const ModelFile file = ModelFile::fromBytes({bytes.begin(), bytes.end()}, path);
    nlohmann::json document = nlohmann::json::parse(file.getDocument());
    document["provenance"] = nlohmann::json::parse(provenance);
    std::vector<NamedTensor> tensors;
    for (const auto& [name, info] : file.getTensors())
        tensors.push_back({name, info.shape, file.readTensor(name, info.shape), info.dtype});
    ModelFile::writeAtomically(path, ModelFile::encode(document.dump(), tensors));
}

} // namespace OpenMMScore

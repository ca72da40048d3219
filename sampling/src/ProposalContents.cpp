#include "ProposalContents.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "FileText.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;

constexpr const char* kind = "proposal";
/** In the order of Proposal::Frame. */
constexpr const char* frames[] = {"absolute", "centred", "vector"};
constexpr int maxCount = 4096;
constexpr std::size_t maxWord = 64;

void checkKind(const JsonField& root) {
    if (!root.has("kind"))
        root.fail("is a model with an energy or score, not a proposal; load it with Model");
    if (const std::string found = root.field("kind").text(maxWord); found != kind)
        root.field("kind").failExpecting("'proposal'");
}

/** Before the other fields, because a newer document may look quite different. */
void checkVersion(const JsonField& field) {
    const std::int64_t version = field.integer(1, std::numeric_limits<std::int64_t>::max());
    if (version > ProposalContents::currentVersion)
        field.fail("is " + std::to_string(version) + ", this release reads up to " +
                   std::to_string(ProposalContents::currentVersion) + " (update OpenMM-Score)");
}

Proposal::Frame readFrame(const JsonField& field) {
    const std::string word = field.text(maxWord);
    for (std::size_t k = 0; k < std::size(frames); k++)
        if (word == frames[k])
            return static_cast<Proposal::Frame>(k);
    field.failExpecting("'absolute', 'centred' or 'vector'");
}

} // namespace

ProposalContents::ProposalContents(ModelFile given) : file(std::move(given)) {
    if (file.getDocument().empty())
        fail("is a safetensors file, but no OpenMM-Score proposal (its metadata lack the key 'openmmscore')");
    document = parseCheckedJson(file.getDocument(), file.getOrigin() + ": document");
    const JsonField root(document, file.getOrigin());
    if (!document.is_object())
        root.failExpecting("an object");
    checkKind(root);
    checkVersion(root.field("format_version"));
    static constexpr std::string_view fields[] = {"kind",  "format_version", "family",    "count",
                                                  "frame", "settings",       "provenance"};
    root.requireFields(fields);
    family = root.field("family").text(maxWord);
    count = static_cast<int>(root.field("count").integer(1, maxCount));
    frame = readFrame(root.field("frame"));
    for (const char* name : {"settings", "provenance"})
        if (!document[name].is_object())
            root.field(name).failExpecting("an object");
}

void ProposalContents::allowTensors(const std::vector<std::string>& names) const {
    for (const auto& [name, info] : file.getTensors())
        if (std::find(names.begin(), names.end(), name) == names.end())
            fail("tensor " + inQuotes(name) + ": is superfluous, a " + family + " has none of that name");
}

void ProposalContents::fail(const std::string& what) const {
    throw ModelFileError(file.getOrigin() + ": " + what);
}

std::string ProposalContents::encode(const Proposal& proposal, const json& settings,
                                     const std::vector<NamedTensor>& tensors) {
    const json document = {{"kind", kind},
                           {"format_version", currentVersion},
                           {"family", proposal.getFamily()},
                           {"count", proposal.getFrame() == Proposal::Frame::Vector
                                         ? proposal.getNumCoordinates()
                                         : proposal.getNumParticles()},
                           {"frame", frames[static_cast<int>(proposal.getFrame())]},
                           {"settings", settings},
                           {"provenance", json::object()}};
    const std::vector<std::uint8_t> bytes = ModelFile::encode(document.dump(), tensors);
    return {bytes.begin(), bytes.end()};
}

DType ProposalContents::narrowestType(const std::vector<double>& values) {
    // Compared before they are narrowed: out of range that would be undefined.
    const bool narrow = std::all_of(values.begin(), values.end(), [](double value) {
        return std::abs(value) < 1e38 && static_cast<double>(static_cast<float>(value)) == value;
    });
    return narrow ? DType::Float32 : DType::Float64;
}

} // namespace OpenMMScore

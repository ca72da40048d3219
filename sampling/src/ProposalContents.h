#ifndef OPENMMSCORE_SAMPLING_PROPOSALCONTENTS_H_
#define OPENMMSCORE_SAMPLING_PROPOSALCONTENTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "CheckedJson.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * A proposal file whose container and document have been checked, as far as they are alike for all families;
 * a family reads its own settings and tensors from here. encode() is the way back.
 */
class ProposalContents {
public:
    static constexpr int currentVersion = 1;

    /** @throws ModelFileError  if the document is none of a proposal */
    explicit ProposalContents(ModelFile file);

    const ModelFile& getFile() const { return file; }
    const std::string& getFamily() const { return family; }
    /** @return N, or d in the frame Vector */
    int getCount() const { return count; }
    Proposal::Frame getFrame() const { return frame; }
    /** @return the family's own object in the document */
    JsonField getSettings() const { return {document["settings"], file.getOrigin(), "settings"}; }
    /** @throws ModelFileError  if the file holds a tensor that is not among these; reading finds missing ones
     */
    void allowTensors(const std::vector<std::string>& names) const;
    /** Fail with a sentence that names the file. */
    [[noreturn]] void fail(const std::string& what) const;

    /** @return the bytes of a file for a proposal, with settings and tensors of its family */
    static std::string encode(const Proposal& proposal, const nlohmann::json& settings,
                              const std::vector<NamedTensor>& tensors);
    /** @return the smaller type if it holds every number exactly */
    static DType narrowestType(const std::vector<double>& values);

private:
    ModelFile file;
    nlohmann::json document;
    std::string family;
    int count = 0;
    Proposal::Frame frame = Proposal::Frame::Absolute;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PROPOSALCONTENTS_H_

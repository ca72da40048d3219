#ifndef OPENMMSCORE_SAMPLING_PROPOSALFILE_H_
#define OPENMMSCORE_SAMPLING_PROPOSALFILE_H_

#include <memory>
#include <string>
#include <string_view>

#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * Make a proposal from the bytes of a file, as Proposal::encode() gives them (docs/model-format.md). Nothing
 * from the file is executed, and nothing is allocated before its size has been checked.
 *
 * @param origin  what to call the bytes in messages
 * @return one that gives the same samples and densities as the one that was encoded, bit by bit
 * @throws ModelFileError  if the bytes are damaged, of an unknown family or a newer version, or their numbers
 *                         do not make a proposal; the sentence names the origin, and the field or tensor
 */
std::shared_ptr<const Proposal> makeProposal(std::string_view bytes, const std::string& origin = "proposal");

/** makeProposal() from a file. @throws ModelFileError  also if the file cannot be read */
std::shared_ptr<const Proposal> readProposal(const std::string& path);

/**
 * Write Proposal::encode() to a file, atomically (ModelFile::writeAtomically()).
 *
 * @param provenance  an account of where the proposal comes from, a JSON object; "" for none
 * @throws ModelFileError  if that fails; a file that was there before is then untouched
 */
void writeProposal(const Proposal& proposal, const std::string& path, const std::string& provenance = "");

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PROPOSALFILE_H_

// Whatever the bytes are, loading them gives a proposal that works or a ModelFileError: no crash, no other
// exception.

#include <string>
#include <string_view>
#include <vector>

#include "Attempt.h"
#include "openmmscore/sampling/Proposal.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;

namespace {

void draw(const Proposal& proposal) {
    const std::int64_t count = 3;
    std::vector<double> positions(count * proposal.getNumCoordinates()), density(count);
    proposal.sample(1, 0, count, positions.data(), density.data());
    proposal.logDensity(count, positions.data(), density.data());
    if (proposal.hasGradient())
        proposal.logDensityGradient(count, std::vector<double>(positions).data(), positions.data());
}

void readAndDraw(const std::uint8_t* data, std::size_t size) {
    const auto proposal = makeProposal({reinterpret_cast<const char*>(data), size}, "fuzz");
    // A proposal that was accepted must survive being written, or a pickled one would change.
    const std::string bytes = proposal->encode();
    if (makeProposal(bytes, "fuzz again")->encode() != bytes)
        std::abort();
    // Trajectories of any velocities may take 10000 steps each and more, which is no fault but slow.
    const std::string family = proposal->getFamily();
    if (proposal->getNumCoordinates() <= 32 && family != "continuous-flow" && family != "diffusion")
        draw(*proposal);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    attempt(readAndDraw, data, size);
    return 0;
}

#ifndef OPENMMSCORE_MODELS_MODELFILELIMITS_H_
#define OPENMMSCORE_MODELS_MODELFILELIMITS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace OpenMMScore {

/** What a container may hold at most; reader and writer share them (docs/model-format.md). */
struct ModelFileLimits {
    static constexpr std::size_t lengthBytes = 8;
    static constexpr std::size_t headerBytes = std::size_t(16) << 20;
    static constexpr std::size_t fileBytes = std::size_t(4) << 30;
    static constexpr std::size_t nameBytes = 1024;
    static constexpr std::size_t rank = 8;
    /** The one name in the header that is no tensor. */
    static constexpr const char* metadataName = "__metadata__";
};

/**
 * Check the header length against the limit and the file's size, so that a reader need not load a file that
 * cannot be a model file.
 *
 * @param start  the first bytes of the file: 8, or all if there are less
 * @return the header's length
 */
std::size_t checkHeaderLength(const std::uint8_t* start, std::size_t fileSize, const std::string& origin);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_MODELFILELIMITS_H_

#ifndef OPENMMSCORE_SERIALIZATION_BASE64_H_
#define OPENMMSCORE_SERIALIZATION_BASE64_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace OpenMMScore {

/** @return the bytes in base64 (RFC 4648), padded, on one line */
std::string encodeBase64(std::span<const std::uint8_t> bytes);
/** @throws OpenMMException  if the text is not base64 as encodeBase64() writes it */
std::vector<std::uint8_t> decodeBase64(const std::string& text);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SERIALIZATION_BASE64_H_

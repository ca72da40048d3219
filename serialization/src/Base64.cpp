#include "openmmscore/serialization/Base64.h"

#include <limits>

#include <openmm/OpenMMException.h>
#include <openssl/evp.h>

namespace OpenMMScore {

std::string encodeBase64(std::span<const std::uint8_t> bytes) {
    if (bytes.size() > std::numeric_limits<int>::max() / 2)
        throw OpenMM::OpenMMException("ScoreForce: a model of more than 1 GiB cannot be embedded in XML");
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0'); // OpenSSL ends it with a zero
    int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                 static_cast<int>(bytes.size()));
    text.resize(length);
    return text;
}

std::vector<std::uint8_t> decodeBase64(const std::string& text) {
    std::vector<std::uint8_t> bytes(text.size() / 4 * 3);
    int length = -1;
    if (text.size() % 4 == 0 && text.size() <= std::numeric_limits<int>::max())
        length = EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()));
    if (length != static_cast<int>(bytes.size()))
        throw OpenMM::OpenMMException("ScoreForce: the embedded model is not valid base64");
    // OpenSSL counts padding as zero bytes.
    for (std::size_t i = text.size(); i > 0 && text[i - 1] == '=' && !bytes.empty(); i--)
        bytes.pop_back();
    return bytes;
}

} // namespace OpenMMScore

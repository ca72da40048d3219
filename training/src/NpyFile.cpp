#include "NpyFile.h"

#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include <c10/util/Half.h>
#include <openssl/evp.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are taken from the file as they lie there");

std::string readBytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file || !std::filesystem::is_regular_file(path))
        throw Error(path +
                    ": the data file cannot be opened (paths are taken relative to the configuration)");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/** What the header, a Python dictionary such as {'descr': '<f4', 'fortran_order': False, 'shape': (9, 5, 3),
 * }, says. */
struct Header {
    std::size_t itemSize = 0;
    std::vector<std::int64_t> shape;
    std::size_t numValues = 1;
};

Header parseHeader(const std::string& text, const std::string& path) {
    std::smatch match;
    Header header;
    if (!std::regex_search(text, match, std::regex("'descr'\\s*:\\s*'([^']*)'")))
        throw Error(path + ": the header names no element type, the file is damaged");
    if (match[1] != "<f2" && match[1] != "<f4" && match[1] != "<f8")
        throw Error(path + ": elements are of type " + match[1].str() +
                    ", expected float32 (<f4), float64 (<f8) or float16 (<f2) (convert with "
                    "array.astype(\"float32\"))");
    header.itemSize = match[1].str()[2] - '0';
    if (!std::regex_search(text, std::regex("'fortran_order'\\s*:\\s*False")))
        throw Error(path + ": the array is not in C order (save numpy.ascontiguousarray(array))");
    if (!std::regex_search(text, match, std::regex("'shape'\\s*:\\s*\\(([0-9, ]*)\\)")))
        throw Error(path + ": the header names no shape, the file is damaged");
    const std::string sizes = match[1];
    const std::regex digits("[0-9]+");
    for (std::sregex_iterator it(sizes.begin(), sizes.end(), digits), end; it != end; ++it) {
        if (it->length() > 12)
            throw Error(path + ": the header's shape (" + sizes + ") is absurd, the file is damaged");
        header.shape.push_back(std::stoll(it->str()));
        if (__builtin_mul_overflow(header.numValues, static_cast<std::size_t>(header.shape.back()),
                                   &header.numValues))
            throw Error(path + ": the header's shape (" + sizes + ") is absurd, the file is damaged");
    }
    return header;
}

template <class T>
std::vector<double> widen(const char* bytes, std::size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), bytes, count * sizeof(T));
    return {values.begin(), values.end()};
}

} // namespace

std::string sha256Of(const std::string& bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (!EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr))
        throw Error("SHA-256 could not be computed");
    std::string result;
    for (unsigned int i = 0; i < length; i++) {
        constexpr char digits[] = "0123456789abcdef";
        result += digits[digest[i] >> 4];
        result += digits[digest[i] & 15];
    }
    return result;
}

NpyFile NpyFile::read(const std::string& path) {
    const std::string bytes = readBytes(path);
    if (bytes.size() < 12 || bytes.compare(0, 6, "\x93NUMPY", 6) != 0)
        throw Error(path + ": this is not a .npy file, it does not begin with NumPy's signature");
    const int version = static_cast<unsigned char>(bytes[6]);
    if (version < 1 || version > 3)
        throw Error(path + ": version " + std::to_string(version) + " of the .npy format is not known");
    const std::size_t lengthSize = version == 1 ? 2 : 4, start = 8 + lengthSize;
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + 8, lengthSize);
    if (length > bytes.size() - start)
        throw Error(path + ": the file ends inside its header, it is truncated");
    const Header header = parseHeader(bytes.substr(start, length), path);
    const std::size_t available = bytes.size() - start - length;
    if (header.numValues > available / header.itemSize || header.numValues * header.itemSize != available)
        throw Error(path + ": the header announces " + std::to_string(header.numValues) + " numbers of " +
                    std::to_string(header.itemSize) + " bytes, " + std::to_string(available) +
                    " bytes follow; the file is truncated or damaged");
    const char* data = bytes.data() + start + length;
    return {header.shape,
            header.itemSize == 2   ? widen<c10::Half>(data, header.numValues)
            : header.itemSize == 4 ? widen<float>(data, header.numValues)
                                   : widen<double>(data, header.numValues),
            sha256Of(bytes)};
}

} // namespace OpenMMScore

#include "openmmscore/models/ModelFile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include <openssl/evp.h>

#include "CheckedJson.h"
#include "FileText.h"
#include "ModelFileLimits.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in the file");

namespace {

using nlohmann::json;

std::size_t elementSize(DType dtype) {
    return dtype == DType::Float32 ? sizeof(float) : sizeof(double);
}

DType readDType(const JsonField& field) {
    std::string name = field.text(ModelFileLimits::nameBytes);
    if (name != "F32" && name != "F64")
        field.failExpecting("'F32' or 'F64' (convert the tensor to one of these)");
    return name == "F32" ? DType::Float32 : DType::Float64;
}

/** @return whether the product of the shape is the number of elements, without computing a product that
 * overflows */
bool hasElements(const std::vector<std::int64_t>& shape, std::size_t numElements) {
    for (std::int64_t length : shape) {
        if (numElements % static_cast<std::uint64_t>(length) != 0)
            return false;
        numElements /= static_cast<std::uint64_t>(length);
    }
    return numElements == 1;
}

/** Read what the header says of one tensor, and check it against the size of the data section. */
TensorInfo readTensorInfo(const JsonField& entry, std::size_t dataSize) {
    static constexpr std::string_view fields[] = {"dtype", "shape", "data_offsets"};
    entry.requireFields(fields);
    TensorInfo info;
    info.dtype = readDType(entry.field("dtype"));
    JsonField shape = entry.field("shape"), offsets = entry.field("data_offsets");
    std::size_t rank = shape.arraySize(0, ModelFileLimits::rank);
    for (std::size_t i = 0; i < rank; i++)
        info.shape.push_back(shape.element(i).integer(1, std::numeric_limits<std::int64_t>::max()));

    offsets.arraySize(2, 2);
    std::int64_t end = offsets.element(1).integer(0, static_cast<std::int64_t>(dataSize));
    std::int64_t begin = offsets.element(0).integer(0, end);
    info.offset = static_cast<std::size_t>(begin);
    info.numBytes = static_cast<std::size_t>(end - begin);
    std::size_t size = elementSize(info.dtype);
    if (info.numBytes == 0 || info.numBytes % size != 0 || !hasElements(info.shape, info.numBytes / size))
        offsets.fail("cover " + std::to_string(info.numBytes) + " bytes, which is not what shape " +
                     shapeText(info.shape) + " of " + std::to_string(size) + "-byte numbers needs");
    return info;
}

/** Check that the tensors cover the data section exactly once. */
void checkCoverage(const std::map<std::string, TensorInfo>& tensors, std::size_t dataSize,
                   const std::string& origin) {
    std::vector<const std::pair<const std::string, TensorInfo>*> sorted;
    sorted.reserve(tensors.size());
    for (const auto& item : tensors)
        sorted.push_back(&item);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](auto* a, auto* b) { return a->second.offset < b->second.offset; });
    std::size_t end = 0;
    const std::string* previous = nullptr;
    for (const auto* item : sorted) {
        const auto& [name, info] = *item;
        if (info.offset != end)
            throw ModelFileError(origin + ": tensor " + inQuotes(name) + ": starts at byte " +
                                 std::to_string(info.offset) + " of the data, " +
                                 (info.offset > end ? "leaves a gap behind "
                                                    : "overlaps tensor " + inQuotes(*previous) + " before ") +
                                 "byte " + std::to_string(end));
        end += info.numBytes;
        previous = &name;
    }
    if (end != dataSize)
        throw ModelFileError(origin + ": the data section has " + std::to_string(dataSize) +
                             " bytes, the tensors cover only " + std::to_string(end) +
                             " (something was appended, or the header is damaged)");
}

/** @return our document; empty if the metadata do not hold it */
std::string readMetadata(const JsonField& metadata) {
    if (!metadata.json().is_object())
        metadata.failExpecting("an object of strings");
    for (const auto& item : metadata.json().items())
        if (!item.value().is_string())
            metadata.fail("the value of " + inQuotes(item.key()) + " is not a string");
    auto found = metadata.json().find(ModelFile::metadataKey);
    return found == metadata.json().end() ? "" : found->get<std::string>();
}

template <class Stored>
std::vector<double> widen(const std::uint8_t* source, std::size_t count) {
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; i++) {
        Stored value;
        std::memcpy(&value, source + i * sizeof(Stored), sizeof(Stored));
        values[i] = value;
    }
    return values;
}

} // namespace

std::size_t TensorInfo::getNumElements() const {
    std::size_t product = 1;
    for (std::int64_t length : shape)
        product *= static_cast<std::size_t>(length);
    return product;
}

std::size_t checkHeaderLength(const std::uint8_t* start, std::size_t fileSize, const std::string& origin) {
    constexpr std::size_t prefix = ModelFileLimits::lengthBytes;
    if (fileSize < prefix)
        throw ModelFileError(origin + ": is " + std::to_string(fileSize) +
                             " bytes long, too short for a safetensors file (truncated?)");
    if (fileSize > ModelFileLimits::fileBytes)
        throw ModelFileError(origin + ": is " + std::to_string(fileSize) + " bytes long, the limit is " +
                             std::to_string(ModelFileLimits::fileBytes));
    std::uint64_t length;
    std::memcpy(&length, start, prefix);
    const std::string claim = origin + ": header length: is " + std::to_string(length) + ", ";
    if (length < 2 || length > ModelFileLimits::headerBytes)
        throw ModelFileError(claim + "expected 2 to " + std::to_string(ModelFileLimits::headerBytes) +
                             " (no safetensors file, or damaged)");
    if (length > fileSize - prefix)
        throw ModelFileError(claim + "but the file ends " + std::to_string(fileSize - prefix) +
                             " bytes later (truncated?)");
    return static_cast<std::size_t>(length);
}

ModelFile ModelFile::fromBytes(std::vector<std::uint8_t> bytes, const std::string& origin) {
    const std::size_t headerLength = checkHeaderLength(bytes.data(), bytes.size(), origin);
    ModelFile file;
    file.origin = origin;
    file.dataStart = ModelFileLimits::lengthBytes + headerLength;
    const std::size_t dataSize = bytes.size() - file.dataStart;
    const char* start = reinterpret_cast<const char*>(bytes.data()) + ModelFileLimits::lengthBytes;
    if (*start != '{')
        throw ModelFileError(origin + ": header: does not start with '{' (no safetensors file, or damaged)");

    const json header = parseCheckedJson({start, headerLength}, origin + ": header");
    for (const auto& item : header.items()) {
        if (item.key() == ModelFileLimits::metadataName) {
            file.document = readMetadata({item.value(), origin, ModelFileLimits::metadataName});
            continue;
        }
        JsonField entry(item.value(), origin, "tensor " + inQuotes(item.key()));
        if (item.key().empty() || item.key().size() > ModelFileLimits::nameBytes)
            entry.fail("the name has " + std::to_string(item.key().size()) + " bytes, expected 1 to " +
                       std::to_string(ModelFileLimits::nameBytes));
        file.tensors.emplace(item.key(), readTensorInfo(entry, dataSize));
    }
    checkCoverage(file.tensors, dataSize, origin);
    file.bytes = std::move(bytes);
    return file;
}

std::vector<double> ModelFile::readTensor(const std::string& name,
                                          const std::vector<std::int64_t>& shape) const {
    const std::string where = origin + ": tensor " + inQuotes(name) + ": ";
    auto found = tensors.find(name);
    if (found == tensors.end())
        throw ModelFileError(where + "is missing");
    const TensorInfo& info = found->second;
    if (info.shape != shape)
        throw ModelFileError(where + "has shape " + shapeText(info.shape) + ", expected " + shapeText(shape));
    const std::uint8_t* source = bytes.data() + dataStart + info.offset;
    std::vector<double> values = info.dtype == DType::Float32 ? widen<float>(source, info.getNumElements())
                                                              : widen<double>(source, info.getNumElements());
    auto bad = std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
    if (bad != values.end())
        throw ModelFileError(where + "element " + std::to_string(bad - values.begin()) + " is " +
                             (std::isnan(*bad) ? "not a number" : "infinite") +
                             " (did the training diverge?)");
    return values;
}

std::string ModelFile::computeSha256() const {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr) != 1)
        throw Error(origin + ": libcrypto could not compute SHA-256");
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < length; i++)
        text.append({digits[digest[i] >> 4], digits[digest[i] & 15]});
    return text;
}

} // namespace OpenMMScore

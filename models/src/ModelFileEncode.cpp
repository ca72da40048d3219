// The part of ModelFile that makes a file's bytes.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <nlohmann/json.hpp>

#include "FileText.h"
#include "ModelFileLimits.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

namespace {

using nlohmann::json;

/** @return the bytes of one tensor, checked */
std::vector<std::uint8_t> encodeValues(const NamedTensor& tensor) {
    const std::string where = "tensor " + inQuotes(tensor.name) + ": ";
    if (tensor.name.empty() || tensor.name.size() > ModelFileLimits::nameBytes ||
        tensor.name == ModelFileLimits::metadataName)
        throw ModelFileError(where + "cannot have this name (1 to " +
                             std::to_string(ModelFileLimits::nameBytes) + " bytes, not the metadata's)");
    // As a double, because the product of a wrong shape may overflow; exact wherever it equals a real size.
    double product = tensor.shape.size() <= ModelFileLimits::rank ? 1 : -1;
    for (std::int64_t length : tensor.shape)
        product = length > 0 ? product * static_cast<double>(length) : -1;
    if (product != static_cast<double>(tensor.values.size()))
        throw ModelFileError(where + "shape " + shapeText(tensor.shape) + " does not fit " +
                             std::to_string(tensor.values.size()) +
                             " values (1 to 8 dimensions, each at least 1)");

    const bool isSingle = tensor.dtype == DType::Float32;
    const std::size_t size = isSingle ? sizeof(float) : sizeof(double);
    const double largest = isSingle ? std::numeric_limits<float>::max() : std::numeric_limits<double>::max();
    std::vector<std::uint8_t> bytes(tensor.values.size() * size);
    for (std::size_t i = 0; i < tensor.values.size(); i++) {
        const double value = tensor.values[i];
        if (!(std::abs(value) <= largest))
            throw ModelFileError(where + "element " + std::to_string(i) +
                                 " is not finite in the tensor's precision");
        if (isSingle) {
            const auto narrow = static_cast<float>(value);
            std::memcpy(&bytes[i * size], &narrow, size);
        }
        else
            std::memcpy(&bytes[i * size], &value, size);
    }
    return bytes;
}

} // namespace

std::vector<std::uint8_t> ModelFile::encode(const std::string& document,
                                            const std::vector<NamedTensor>& tensors) {
    json header = json::object();
    if (!document.empty())
        header[ModelFileLimits::metadataName] = {{metadataKey, document}};
    std::vector<std::uint8_t> data;
    // Doubles first, so that every tensor is aligned in a file that is mapped into memory.
    for (DType dtype : {DType::Float64, DType::Float32}) {
        for (const NamedTensor& tensor : tensors) {
            if (tensor.dtype != dtype)
                continue;
            std::vector<std::uint8_t> values = encodeValues(tensor);
            if (header.contains(tensor.name))
                throw ModelFileError("tensor " + inQuotes(tensor.name) + ": the name is used twice");
            header[tensor.name] = {{"dtype", dtype == DType::Float32 ? "F32" : "F64"},
                                   {"shape", tensor.shape},
                                   {"data_offsets", {data.size(), data.size() + values.size()}}};
            data.insert(data.end(), values.begin(), values.end());
        }
    }

    std::string text;
    try {
        text = header.dump();
    }
    catch (const json::exception&) {
        throw ModelFileError("encode: the document or a tensor's name is not valid UTF-8");
    }
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = text.size();
    const std::size_t dataStart = ModelFileLimits::lengthBytes + text.size();
    if (length > ModelFileLimits::headerBytes || dataStart + data.size() > ModelFileLimits::fileBytes)
        throw ModelFileError("encode: a header of " + std::to_string(length) + " bytes and data of " +
                             std::to_string(data.size()) +
                             " bytes exceed the format's limits (16 MiB, 4 GiB)");
    std::vector<std::uint8_t> bytes(dataStart + data.size());
    std::memcpy(bytes.data(), &length, ModelFileLimits::lengthBytes);
    std::copy(text.begin(), text.end(), bytes.begin() + ModelFileLimits::lengthBytes);
    std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(dataStart));
    return bytes;
}

} // namespace OpenMMScore

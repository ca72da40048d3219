#ifndef OPENMMSCORE_MODELS_MODELFILE_H_
#define OPENMMSCORE_MODELS_MODELFILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace OpenMMScore {

/** The element types that a model file may hold. */
enum class DType { Float32, Float64 };

/** Where one tensor lies in a model file. */
struct TensorInfo {
    DType dtype = DType::Float32;
    std::vector<std::int64_t> shape;
    /** First byte and number of bytes, counted from the start of the data section. */
    std::size_t offset = 0;
    std::size_t numBytes = 0;

    /** @return the product of the shape; 1 for a scalar */
    std::size_t getNumElements() const;
};

/** A tensor on its way into a file; row-major. */
struct NamedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::vector<double> values;
    DType dtype = DType::Float32;
};

/**
 * The bytes of a model file: the safetensors container (8-byte little-endian header length, JSON
 * header, data) with one JSON document of ours in its metadata, under the key "openmmscore".
 * docs/model-format.md draws it.
 *
 * This class knows the container only: names, shapes, bytes. What the document and the tensors mean
 * is ModelDescription's and ScoreModel's. Everything in the header is checked against the file's size
 * before anything is allocated for it; nothing from the file is ever executed.
 */
class ModelFile {
public:
    /** The metadata key under which the document lies. */
    static constexpr const char* metadataKey = "openmmscore";

    /**
     * Read and check a file.
     *
     * @throws ModelFileError  if the file cannot be read or is damaged; the sentence names the file,
     *                         and the field or tensor
     */
    static ModelFile read(const std::string& path);
    /**
     * Check a file that is already in memory.
     *
     * @param bytes   the whole file; kept
     * @param origin  what to call it in messages
     * @throws ModelFileError  as read() does
     */
    static ModelFile fromBytes(std::vector<std::uint8_t> bytes, const std::string& origin);
    /**
     * Put a document and its tensors together into the bytes of a file. The same input always gives
     * the same bytes.
     *
     * @param document  the JSON document
     * @throws ModelFileError  if a name is empty or repeated, a shape does not fit its values, or a value
     *                         is not finite
     */
    static std::vector<std::uint8_t> encode(const std::string& document,
                                            const std::vector<NamedTensor>& tensors);
    /**
     * Write bytes to a file through a temporary file beside it and a rename, so that a full disk or an
     * interruption never leaves half a file under that name.
     *
     * @throws ModelFileError  if that fails; a file that was there before is then untouched
     */
    static void writeAtomically(const std::string& path, std::span<const std::uint8_t> bytes);

    const std::string& getOrigin() const { return origin; }
    /** @return the JSON document under metadataKey, not yet parsed; empty if there is none */
    const std::string& getDocument() const { return document; }
    const std::map<std::string, TensorInfo>& getTensors() const { return tensors; }
    bool hasTensor(const std::string& name) const { return tensors.count(name) != 0; }
    /**
     * Read one tensor.
     *
     * @param shape  the shape it must have
     * @return its values in row-major order; float32 values are widened exactly
     * @throws ModelFileError  if it is missing, has another shape, or holds a value that is not finite
     */
    std::vector<double> readTensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
    /** @return the whole file, as it lies on disk */
    std::span<const std::uint8_t> getBytes() const { return bytes; }
    /** @return the SHA-256 of the whole file, 64 lower-case hexadecimal digits */
    std::string computeSha256() const;

private:
    std::string origin;
    std::string document;
    std::map<std::string, TensorInfo> tensors;
    std::vector<std::uint8_t> bytes;
    std::size_t dataStart = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_MODELFILE_H_

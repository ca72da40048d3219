// Whatever the bytes are, loading them gives a model or a ModelFileError: no crash, no other exception.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "Attempt.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"

using namespace OpenMMScore;

namespace {

ModelDescription readDescription(const std::string& document) {
    ModelDescription model = ModelDescription::fromJson(document, "fuzz");
    // A description that was accepted must survive being written, or a converted model would change.
    if (!(ModelDescription::fromJson(model.toJson(), "fuzz again") == model))
        std::abort();
    return model;
}

void readFile(const std::uint8_t* data, std::size_t size) {
    ModelFile file = ModelFile::fromBytes({data, data + size}, "fuzz");
    for (const auto& [name, info] : file.getTensors())
        file.readTensor(name, info.shape);
    checkTensors(readDescription(file.getDocument()), file);
}

/** The document by itself: a fuzzer seldom finds its way through the quotes around it in a file. */
void readDocument(const std::uint8_t* data, std::size_t size) {
    ModelDescription model = readDescription({reinterpret_cast<const char*>(data), size});
    for (int k = 0; k < static_cast<int>(model.experts.size()); k++)
        expertTensors(model, k);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    attempt(readFile, data, size);
    attempt(readDocument, data, size);
    return 0;
}

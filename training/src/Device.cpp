#include "Device.h"

#include <cstdlib>

#include <ATen/Context.h>
#include <dlfcn.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** GPUs add up in the same order in every run, so that a continued run equals an unbroken one. */
void fixOrderOfSums() {
    // cuBLAS looks for this when it is first used.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
}

} // namespace

c10::Device openDevice(const std::string& name, int index) {
    if (name == "cpu")
        return c10::Device(c10::kCPU);
    if (name != "cuda")
        return c10::Device(name);
    // The CUDA half of LibTorch registers itself when its library is opened; a run on the CPU never needs it.
    if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
        throw Error("training.device is \"cuda\", but LibTorch's CUDA library cannot be opened: " +
                    std::string(dlerror()) +
                    " (install torch with its dependencies, or use device = \"cpu\")");
    if (!at::hasCUDA() || at::getNumGPUs() < 1)
        throw Error("training.device is \"cuda\", but LibTorch finds no CUDA device (use device = \"cpu\")");
    fixOrderOfSums();
    return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index % static_cast<int>(at::getNumGPUs())));
}

} // namespace OpenMMScore

#include "Device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

c10::Device openDevice(const std::string& name, int index) {
    if (name == "cpu")
        return c10::Device(c10::kCPU);
    // The CUDA half of LibTorch registers itself when its library is opened; a run on the CPU never needs it.
    if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
        throw Error("training.device is \"cuda\", but LibTorch's CUDA library cannot be opened: " +
                    std::string(dlerror()) +
                    " (install torch with its dependencies, or use device = \"cpu\")");
    if (!at::hasCUDA() || at::getNumGPUs() < 1)
        throw Error("training.device is \"cuda\", but LibTorch finds no CUDA device (use device = \"cpu\")");
    return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index % static_cast<int>(at::getNumGPUs())));
}

} // namespace OpenMMScore

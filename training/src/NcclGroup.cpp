#define USE_C10D_NCCL

#include "NcclGroup.h"

#include <stdexcept>
#include <string>

#include <torch/csrc/cuda/nccl.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace {

/** The options of the group contain NCCL's, whose layout is another in other versions. */
void checkVersion() {
    const std::uint64_t found = torch::cuda::nccl::version();
    const std::uint64_t major = found >> 32, minor = found >> 16 & 0xffff;
    if (major != NCCL_MAJOR || minor != NCCL_MINOR)
        throw std::runtime_error("it was built with the headers of NCCL " + std::to_string(NCCL_MAJOR) + "." +
                                 std::to_string(NCCL_MINOR) + ", but LibTorch runs NCCL " +
                                 std::to_string(major) + "." + std::to_string(minor) +
                                 " (install openmmscore anew beside this torch)");
}

} // namespace

extern "C" void openmmscoreMakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                         std::chrono::milliseconds timeout,
                                         c10::intrusive_ptr<c10d::Backend>& group) {
    checkVersion();
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, std::move(options));
}

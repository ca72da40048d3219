// In place of the module openmmscore-nccl, for machines without a GPU: a group that is Gloo's, or none at
// all.
#define USE_C10D_GLOO

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "NcclGroup.h"

extern "C" void openmmscoreMakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                         std::chrono::milliseconds timeout,
                                         c10::intrusive_ptr<c10d::Backend>& group) {
    group = c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, rank, size, c10d::ProcessGroupGloo::Options::create_default(timeout));
}

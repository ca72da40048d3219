#ifndef OPENMMSCORE_TRAINING_NCCLGROUP_H_
#define OPENMMSCORE_TRAINING_NCCLGROUP_H_

#include <chrono>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

/**
 * The one function of the module openmmscore-nccl: make LibTorch's NCCL group, whose code lies in LibTorch's
 * CUDA library. It is a module of its own so that a program which never sees a GPU needs nothing of CUDA.
 *
 * @param store    where the processes meet
 * @param rank     this process
 * @param size     the number of processes
 * @param timeout  how long to wait for the others
 * @param group    set to the new group
 * @throws std::exception  if there is no GPU, or NCCL does not start
 */
extern "C" __attribute__((visibility("default"))) void
openmmscoreMakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                         std::chrono::milliseconds timeout, c10::intrusive_ptr<c10d::Backend>& group);

#endif // OPENMMSCORE_TRAINING_NCCLGROUP_H_

#ifndef OPENMMSCORE_TRAINING_PROCESSGROUP_H_
#define OPENMMSCORE_TRAINING_PROCESSGROUP_H_

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

namespace OpenMMScore {

/**
 * The processes that share the batches of one run. Each takes a part of every batch; sums make all of them do
 * the same with the whole.
 */
class ProcessGroup {
public:
    /**
     * Meet the others, as torchrun says in RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK and
     * LOCAL_WORLD_SIZE; without RANK this process is alone. Processes talk by LibTorch's Gloo group, and may
     * use NCCL's for tensors on GPUs, see useGpus().
     *
     * @throws Error  if a variable is missing or makes no sense, or the others cannot be met
     */
    static std::unique_ptr<ProcessGroup> fromEnvironment();
    virtual ~ProcessGroup() = default;

    int getRank() const { return rank; }
    int getSize() const { return size; }
    /** Among the processes on this machine, and their number. */
    int getLocalRank() const { return localRank; }
    int getLocalSize() const { return localSize; }
    /** Whether this is the process that writes files and tells of progress. */
    bool isFirst() const { return rank == 0; }
    /** @return the first of this process's samples among count; those of rank getSize() would begin at count
     */
    std::int64_t firstOf(std::int64_t count, int ofRank) const { return count * ofRank / size; }
    /** Replace a tensor by the sum over all processes, bit for bit the same in each. */
    virtual void sum(at::Tensor& tensor) const = 0;
    /**
     * Sum tensors that lie on GPUs by NCCL from now on. All processes must call this, after their devices
     * were opened; if one of them cannot, none will, and sums go through the memory of the processor as
     * before.
     *
     * @return what hindered it; empty if nothing
     */
    virtual std::string useGpus() = 0;

protected:
    int rank = 0, size = 1, localRank = 0, localSize = 1;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_PROCESSGROUP_H_

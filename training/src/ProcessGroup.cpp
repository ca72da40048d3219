#define USE_C10D_GLOO

#include "ProcessGroup.h"

#include <cstdlib>
#include <string>

#include <ATen/ops/full.h>
#include <dlfcn.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "NcclGroup.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** How long to wait for processes that may still be reading their data. */
constexpr std::chrono::minutes patience(10);

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    if (!value || !*value)
        throw Error(std::string("RANK is set, as for one of several processes, but ") + name +
                    " is not (start them by torchrun)");
    return value;
}

int integer(const char* name, int lowest, int highest) {
    const std::string text = variable(name);
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (*end || value < lowest || value > highest)
        throw Error(std::string(name) + " is \"" + text + "\", expected an integer between " +
                    std::to_string(lowest) + " and " + std::to_string(highest));
    return static_cast<int>(value);
}

class Alone : public ProcessGroup {
public:
    void sum(at::Tensor&) const override {}
    std::string useGpus() override { return ""; }
};

using Backend = c10::intrusive_ptr<c10d::Backend>;

std::string firstLine(const std::exception& error) {
    const std::string text = error.what();
    return text.substr(0, text.find('\n'));
}

/** Sums over processes by LibTorch's groups: Gloo's, and for tensors on GPUs NCCL's where there is one. */
class Several : public ProcessGroup {
public:
    Several() {
        size = integer("WORLD_SIZE", 1, 1 << 20);
        rank = integer("RANK", 0, size - 1);
        localRank = std::getenv("LOCAL_RANK") ? integer("LOCAL_RANK", 0, size - 1) : rank;
        localSize = std::getenv("LOCAL_WORLD_SIZE") ? integer("LOCAL_WORLD_SIZE", 1, size) : size;
        connect(variable("MASTER_ADDR"), integer("MASTER_PORT", 1, 65535));
    }
    void sum(at::Tensor& tensor) const override {
        if (tensor.is_cuda() && nccl) {
            std::vector<at::Tensor> tensors = {tensor};
            allReduce(*nccl, tensors);
            return;
        }
        // Gloo sums in the memory of the processor, wherever the tensor lies.
        std::vector<at::Tensor> tensors = {tensor.to(at::kCPU).contiguous()};
        allReduce(*gloo, tensors);
        if (!tensors[0].is_same(tensor))
            tensor.copy_(tensors[0]);
    }
    std::string useGpus() override {
        void* module = dlopen("libopenmmscore-nccl.so", RTLD_NOW);
        std::string problem = module ? "" : dlerror();
        // All of them or none: a process that waited in another group would wait for ever.
        at::Tensor without = at::full({1}, module ? 0.0 : 1.0, at::kDouble);
        sum(without);
        const auto count = static_cast<int>(without.item<double>());
        if (count == 0)
            nccl = openNccl(module);
        else if (problem.empty())
            problem = std::to_string(count) + " of the other processes cannot open it";
        return count == 0
                   ? ""
                   : "NCCL is not used, so that sums go through the memory of the processor: " + problem;
    }

private:
    void allReduce(c10d::Backend& group, std::vector<at::Tensor>& tensors) const {
        try {
            group.allreduce(tensors)->wait();
        }
        catch (const std::exception& error) {
            throw Error("rank " + std::to_string(rank) + " of " + std::to_string(size) +
                        " lost the other processes: " + firstLine(error));
        }
    }
    void connect(const std::string& address, int port) {
        c10d::TCPStoreOptions options;
        options.port = static_cast<std::uint16_t>(port);
        // torchrun's own agent may already hold the store that all meet at.
        const char* agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
        options.isServer = rank == 0 && !(agent && std::string(agent) == "True");
        options.numWorkers = static_cast<std::size_t>(size);
        options.timeout = patience;
        options.waitWorkers = false;
        try {
            const auto all = c10::make_intrusive<c10d::TCPStore>(address, options);
            // After a restart by torchrun, what was agreed upon before must not be found.
            const char* restarts = std::getenv("TORCHELASTIC_RESTART_COUNT");
            store = c10::make_intrusive<c10d::PrefixStore>(
                std::string("openmmscore-train/") + (restarts ? restarts : "0"), all);
            gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
                store, rank, size, c10d::ProcessGroupGloo::Options::create_default(patience));
        }
        catch (const std::exception& error) {
            throw Error("rank " + std::to_string(rank) + " of " + std::to_string(size) +
                        " cannot meet the other processes at " + address + ":" + std::to_string(port) + ": " +
                        firstLine(error));
        }
    }
    Backend openNccl(void* module) const {
        Backend group;
        try {
            const auto make = reinterpret_cast<decltype(&openmmscoreMakeNcclGroup)>(
                dlsym(module, "openmmscoreMakeNcclGroup"));
            if (!make)
                throw Error(dlerror());
            make(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank, size, patience, group);
        }
        catch (const std::exception& error) {
            throw Error("rank " + std::to_string(rank) + " of " + std::to_string(size) +
                        " cannot sum over GPUs by NCCL: " + firstLine(error));
        }
        return group;
    }

    c10::intrusive_ptr<c10d::Store> store;
    Backend gloo, nccl;
};

} // namespace

std::unique_ptr<ProcessGroup> ProcessGroup::fromEnvironment() {
    if (!std::getenv("RANK"))
        return std::make_unique<Alone>();
    return std::make_unique<Several>();
}

} // namespace OpenMMScore

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "FlowRuns.h"
#include "ProcessGroup.h"
#include "StandInDevice.h"

namespace OpenMMScore::testing {

namespace {

/** A port that nobody listens at. */
int freePort() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(listener, reinterpret_cast<sockaddr*>(&address), length);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    close(listener);
    return ntohs(address.sin_port);
}

/** What a process does; it returns a complaint. */
using Task = std::function<std::string()>;

/** Fork a process for one rank, which ends with 0 if the task has no complaint. */
pid_t startRank(int rank, const Task& task) {
    const pid_t process = fork();
    if (process != 0)
        return process;
    alarm(60);
    setenv("RANK", std::to_string(rank).c_str(), 1);
    const std::string complaint = task();
    if (!complaint.empty())
        std::fprintf(stderr, "rank %d: %s\n", rank, complaint.c_str());
    _exit(complaint.empty() ? 0 : 1);
}

/** Run a task in two new processes: in this one LibTorch would start threads, which no fork survives. */
void inTwoProcesses(const Task& task) {
    setenv("WORLD_SIZE", "2", 1);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", std::to_string(freePort()).c_str(), 1);
    unsetenv("LOCAL_RANK");
    const pid_t processes[] = {startRank(0, task), startRank(1, task)};
    for (const pid_t process : processes) {
        int status = 0;
        waitpid(process, &status, 0);
        EXPECT_EQ(status, 0);
    }
}

void inTwoGroups(const std::function<std::string(ProcessGroup&)>& task) {
    inTwoProcesses([&] { return task(*ProcessGroup::fromEnvironment()); });
}

/** 1 + 2, on the processor, which is no matter of NCCL; @return a complaint */
std::string sumOverRanks(const ProcessGroup& group) {
    at::Tensor tensor = at::full({3}, group.getRank() + 1.0, at::kDouble);
    group.sum(tensor);
    return tensor.eq(3.0).all().item<bool>() ? "" : "the sum is wrong";
}

/** useGpus(), without any file that could be opened. */
std::string useGpusInVain(ProcessGroup& group) {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit none = {0, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    const std::string problem = group.useGpus();
    setrlimit(RLIMIT_NOFILE, &limit);
    return problem;
}

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

} // namespace

// The module that is found here is StandInNcclGroup.cpp's, which makes a Gloo group.

TEST(ProcessGroup, OpensTheModuleOfNccl) {
    inTwoGroups([](ProcessGroup& group) { return group.useGpus() + sumOverRanks(group); });
}

TEST(ProcessGroup, LeavesNcclAloneUnlessAllHaveIt) {
    inTwoGroups([](ProcessGroup& group) {
        const bool second = group.getRank() == 1;
        const std::string problem = second ? useGpusInVain(group) : group.useGpus();
        const char* own = second ? "cannot open shared object" : "1 of the other processes cannot open it";
        if (!contains(problem, "through the memory of the processor: ") || !contains(problem, own))
            return "unexpected: " + problem;
        return sumOverRanks(group);
    });
}

TEST_F(ProposalTraining, TwoProcessesOnAnotherDeviceEqualOneOnTheProcessor) {
    const auto run = [&](const std::string& output, const std::string& device) {
        TrainingConfig settings = config(matchingRun("vector"), output);
        settings.training.doublePrecision = true;
        settings.training.device = device;
        return settings;
    };
    const TrainingConfig one = run("one", "cpu"), two = run("two", "standin");
    const auto complaint = [&](const TrainingConfig& settings) {
        openStandInDevice();
        return messageOf([&] { train(settings); });
    };
    inTwoProcesses([&] {
        if (std::string(std::getenv("RANK")) == "1")
            return std::string();
        unsetenv("RANK");
        return complaint(one);
    });
    inTwoProcesses([&] { return complaint(two); });
    const std::vector<double> expected = numbers("one/proposal.safetensors"),
                              found = numbers("two/proposal.safetensors");
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); i++)
        ASSERT_NEAR(found[i], expected[i], 1e-9 * std::max(1.0, std::abs(expected[i]))) << i;
}

TEST(ProcessGroup, AloneNeedsNoNccl) {
    unsetenv("RANK");
    EXPECT_EQ(ProcessGroup::fromEnvironment()->useGpus(), "");
}

} // namespace OpenMMScore::testing

#include "WorkerPool.h"

#include <string>
#include <system_error>

#include <ATen/Parallel.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

WorkerPool::WorkerPool(int numThreads) {
    at::set_num_threads(1);
    try {
        for (int i = 1; i < numThreads; i++)
            threads.emplace_back([this] { work(); });
    }
    catch (const std::system_error&) {
        const std::size_t started = threads.size();
        finish();
        throw Error("training.threads is " + std::to_string(numThreads) + ", of which only " +
                    std::to_string(started) + " could be started");
    }
}

WorkerPool::~WorkerPool() {
    finish();
}

void WorkerPool::finish() {
    {
        std::lock_guard lock(mutex);
        stopping = true;
    }
    wake.notify_all();
    for (std::thread& thread : threads)
        thread.join();
}

/** Take and do tasks until none is left; the lock is held on entry and on return. */
void WorkerPool::drain(std::unique_lock<std::mutex>& lock) {
    while (next < end) {
        const std::int64_t index = next++;
        running++;
        lock.unlock();
        std::exception_ptr thrown;
        try {
            (*task)(index);
        }
        catch (...) {
            thrown = std::current_exception();
        }
        lock.lock();
        if (thrown && !error)
            error = thrown;
        running--;
    }
    if (running == 0)
        done.notify_all();
}

void WorkerPool::work() {
    // The number of threads that a matrix product takes is a matter of the thread that asks for it.
    at::set_num_threads(1);
    std::unique_lock lock(mutex);
    for (;;) {
        wake.wait(lock, [this] { return stopping || next < end; });
        if (stopping)
            return;
        drain(lock);
    }
}

void WorkerPool::run(std::int64_t count, const std::function<void(std::int64_t)>& newTask) {
    std::unique_lock lock(mutex);
    task = &newTask;
    next = 0;
    end = count;
    error = nullptr;
    if (count > 1)
        wake.notify_all();
    drain(lock);
    done.wait(lock, [this] { return next == end && running == 0; });
    if (error)
        std::rethrow_exception(error);
}

} // namespace OpenMMScore

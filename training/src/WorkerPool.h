#ifndef OPENMMSCORE_TRAINING_WORKERPOOL_H_
#define OPENMMSCORE_TRAINING_WORKERPOOL_H_

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace OpenMMScore {

/** Threads that wait for loops to share, each with serial LibTorch operations; the calling thread is one of
 * them. */
class WorkerPool {
public:
    /** @throws Error  if the system has not that many threads to give */
    explicit WorkerPool(int numThreads);
    ~WorkerPool();
    int getNumThreads() const { return static_cast<int>(threads.size()) + 1; }
    /** Call task(0) ... task(count-1), each once, in no particular order. The first exception is passed on.
     */
    void run(std::int64_t count, const std::function<void(std::int64_t)>& task);

private:
    void work();
    void finish();
    void drain(std::unique_lock<std::mutex>& lock);

    std::mutex mutex;
    std::condition_variable wake, done;
    const std::function<void(std::int64_t)>* task = nullptr;
    std::int64_t next = 0, end = 0, running = 0;
    std::exception_ptr error;
    bool stopping = false;
    std::vector<std::thread> threads;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_WORKERPOOL_H_

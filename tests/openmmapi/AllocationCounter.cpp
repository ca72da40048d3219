// Replaces operator new. In a file of its own, so that the compiler cannot pair it with inlined code.
#include "AllocationCounter.h"

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<long> numAllocations{0};

// The address sanitizer needs its own.
#ifndef __SANITIZE_ADDRESS__
void* operator new(std::size_t size) {
    numAllocations++;
    if (void* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif

long OpenMMScore::testing::countAllocations() {
    return numAllocations;
}

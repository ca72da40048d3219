#ifndef OPENMMSCORE_TESTS_FUZZ_ATTEMPT_H_
#define OPENMMSCORE_TESTS_FUZZ_ATTEMPT_H_

#include <cstdint>
#include <cstdlib>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

/** Read bytes that may be anything. Only a ModelFileError may come out of it. */
template <class Read>
void attempt(Read read, const std::uint8_t* data, std::size_t size) {
    try {
        read(data, size);
    }
    catch (const ModelFileError& error) {
        // Messages are for people: short, and without anything that could steer a terminal.
        const std::string message = error.what();
        if (message.size() > 1000)
            std::abort();
        for (char c : message)
            if (c < 0x20 || c > 0x7e)
                std::abort();
    }
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_TESTS_FUZZ_ATTEMPT_H_

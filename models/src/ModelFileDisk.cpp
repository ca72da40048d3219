// The part of ModelFile that talks to the operating system.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ModelFileLimits.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore {

namespace {

[[noreturn]] void failWithErrno(const std::string& path, const char* what, int error = errno) {
    throw ModelFileError(path + ": " + what + ": " + std::strerror(error));
}

/** Closes a file descriptor, whatever happens. */
class Descriptor {
public:
    explicit Descriptor(int number) : number(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number >= 0)
            ::close(number);
    }
    int get() const { return number; }
    /** Close now; some file systems report only here that they could not write. */
    bool close() {
        int closing = number;
        number = -1;
        return ::close(closing) == 0;
    }

private:
    int number;
};

void readFully(int file, std::uint8_t* target, std::size_t size, const std::string& path) {
    while (size > 0) {
        ssize_t count = ::read(file, target, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            failWithErrno(path, "cannot read the file");
        if (count == 0)
            throw ModelFileError(path + ": became shorter while it was read");
        target += count;
        size -= static_cast<std::size_t>(count);
    }
}

bool writeFully(int file, std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
        ssize_t count = ::write(file, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return true;
}

/** A file beside the target, which takes its name or vanishes. */
class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& target) : target(target), file(open()) {}
    ~TemporaryFile() {
        if (!renamed)
            ::unlink(path.c_str());
    }

    void write(std::span<const std::uint8_t> bytes) {
        // fsync before the rename, or a power failure could leave the new name with no contents.
        if (!writeFully(file.get(), bytes) || ::fsync(file.get()) != 0 || !file.close())
            failWithErrno(target, "cannot write it (a file that was there before is untouched)");
    }

    void rename() {
        if (::rename(path.c_str(), target.c_str()) != 0)
            failWithErrno(target, "cannot give this name to the finished file");
        renamed = true;
    }

private:
    int open() {
        // Not mkstemp: its files are private, ours should have the permissions that the user's umask says.
        static std::atomic<unsigned> counter = 0;
        while (true) {
            path = target + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
            int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (number >= 0)
                return number;
            if (errno != EEXIST)
                failWithErrno(target, "cannot create a file in its directory");
        }
    }

    const std::string& target;
    std::string path;
    Descriptor file;
    bool renamed = false;
};

} // namespace

ModelFile ModelFile::read(const std::string& path) {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0)
        failWithErrno(path, "cannot open the file");
    struct stat status;
    if (::fstat(file.get(), &status) != 0)
        failWithErrno(path, "cannot examine the file");
    if (!S_ISREG(status.st_mode))
        throw ModelFileError(path + ": is " + (S_ISDIR(status.st_mode) ? "a directory" : "no regular file") +
                             ", expected a file");

    // The first bytes alone tell apart most files that are something else, however large they are.
    const auto size = static_cast<std::size_t>(status.st_size);
    std::uint8_t start[ModelFileLimits::lengthBytes] = {};
    readFully(file.get(), start, std::min(size, sizeof start), path);
    checkHeaderLength(start, size, path);
    try {
        std::vector<std::uint8_t> bytes(size);
        std::memcpy(bytes.data(), start, sizeof start);
        readFully(file.get(), bytes.data() + sizeof start, size - sizeof start, path);
        return fromBytes(std::move(bytes), path);
    }
    catch (const std::bad_alloc&) {
        throw ModelFileError(path + ": has " + std::to_string(size) + " bytes, more than the memory holds");
    }
}

void ModelFile::writeAtomically(const std::string& path, std::span<const std::uint8_t> bytes) {
    struct stat status;
    // A rename would replace a device or a pipe by a plain file.
    if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
        throw ModelFileError(path + ": is " + (S_ISDIR(status.st_mode) ? "a directory" : "no regular file") +
                             ", cannot write a file there");
    TemporaryFile file(path);
    file.write(bytes);
    file.rename();
}

} // namespace OpenMMScore

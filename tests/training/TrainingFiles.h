#ifndef OPENMMSCORE_TESTS_TRAINING_TRAININGFILES_H_
#define OPENMMSCORE_TESTS_TRAINING_TRAININGFILES_H_

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace OpenMMScore::testing {

/** A folder of a test's own, removed with it. */
class TemporaryFolder {
public:
    TemporaryFolder() {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        std::string name = std::string(info->test_suite_name()) + "." + info->name();
        for (char& c : name)
            c = c == '/' ? '_' : c;
        folder = std::filesystem::temp_directory_path() / ("openmmscore-" + name);
        std::filesystem::remove_all(folder);
        std::filesystem::create_directories(folder);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(folder); }
    std::string path(const std::string& name) const { return (folder / name).string(); }
    std::string write(const std::string& name, const std::string& content) const {
        std::ofstream(path(name), std::ios::binary) << content;
        return path(name);
    }
    std::string read(const std::string& name) const {
        std::ifstream file(path(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }

private:
    std::filesystem::path folder;
};

/** The bytes of a .npy file of version 1. */
inline std::string npyBytes(const std::vector<std::int64_t>& shape, const std::vector<float>& values,
                            const std::string& descr = "<f4", const std::string& order = "False") {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': (";
    for (std::int64_t size : shape)
        header += std::to_string(size) + ", ";
    header += "), }";
    while ((10 + header.size() + 1) % 64 != 0)
        header += ' ';
    header += '\n';
    std::string bytes = "\x93NUMPY\x01";
    bytes += '\0';
    bytes += static_cast<char>(header.size() & 255);
    bytes += static_cast<char>(header.size() >> 8);
    bytes += header;
    bytes.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
    return bytes;
}

/** Frames of a crooked chain that wobbles: [frames, particles, 3]. */
inline std::vector<float> wobblingChain(int frames, int particles) {
    std::vector<float> values;
    unsigned state = 1;
    const auto next = [&] {
        state = 1664525u * state + 1013904223u;
        return float(state >> 8) / float(1 << 24) - 0.5f;
    };
    for (int f = 0; f < frames; f++)
        for (int i = 0; i < particles; i++)
            for (int k = 0; k < 3; k++)
                values.push_back(0.1f * float(k == 0 ? i : (i + k) % 2) + 0.02f * next() + float(f % 7));
    return values;
}

/** A short run of a small network on the file chain.npy. */
inline std::string smallRun(const std::string& more = "", const std::string& training = "") {
    return "seed = 5\n" + more +
           "\n[data]\nfile = \"chain.npy\"\ntemperature = 300\n"
           "[model]\narchitecture = \"graph-transformer\"\nhidden = 8\nlayers = 1\nheads = 2\nhead_size = 4\n"
           "[training]\nsteps = 12\nbatch_size = 40\nlearning_rate = 1e-3\nema_decay = 0.9\n" +
           training +
           "[output]\ndirectory = \"out\"\ncheckpoint_interval = 5\nvalidation_interval = 4\nlog_interval = "
           "2\n"
           "validation_samples = 32\n";
}

/** What a call throws, as text; empty if nothing. */
template <class F>
std::string messageOf(F&& call) {
    try {
        call();
    }
    catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_TRAININGFILES_H_

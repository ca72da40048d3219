// How fast the fused engine evaluates energies and scores: one JSON object per line and case.
//
//     BenchEvaluator [--threads n] [--molecules r,r,...] [--system name] [--target AVX2] [--seconds s]
//
// The rate of OpenBLAS's single-precision matrix product, if there is one, is measured in turns with the
// evaluations, so that both see the same clock frequency and neighbours. "fraction" is the engine's rate over
// it, counting matrix products of the folded network only (FastEvaluator::getOperationsPerMolecule()). The
// best of many short runs counts. With one thread, time is the thread's own processor time, which other
// programs disturb less; with more it is the clock's.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "../tests/TestModels.h"
#include "InstructionSets.h"
// After the choice of targets.
#include <hwy/highway.h>

#include "openmmscore/models/FastEvaluator.h"
#ifdef OPENMMSCORE_HAVE_OPENBLAS
#include <cblas.h>
#endif

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

struct Options {
    int threads = 1;
    std::vector<int> molecules = {1, 10, 100, 1000};
    std::string system, target;
    double seconds = 1;
};

struct System {
    std::string name;
    ModelDescription description;
};

std::vector<System> systems() {
    constexpr auto particles = ModelDescription::Space::Particles;
    constexpr auto vector = ModelDescription::Space::Vector;
    // The published networks for molecular dynamics.
    return {{"mueller-brown", describe(vector, 2, {mlpExpert({64, 64, 64}, 0, 1)})},
            {"double-well", describe(vector, 2, {mlpExpert({92, 92, 92}, 0, 1)})},
            {"alanine-5", describe(particles, 5, {transformerExpert(96, 2, 0, 1)})},
            {"chignolin-10", describe(particles, 10, {transformerExpert(128, 3, 0, 1)})},
            {"bba-28", describe(particles, 28, {transformerExpert(128, 3, 0, 1)})},
            {"protein-g-56", describe(particles, 56, {transformerExpert(128, 3, 0, 1)})}};
}

double now(bool ownTime) {
    timespec t;
    clock_gettime(ownTime ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double secondsOf(bool ownTime, const std::function<void()>& work) {
    const double start = now(ownTime);
    work();
    return now(ownTime) - start;
}

/** @return operations per second of one product of two 512 x 512 matrices, or 0 without OpenBLAS */
double measureSgemm() {
#ifdef OPENMMSCORE_HAVE_OPENBLAS
    constexpr int n = 512;
    static std::vector<float> a(n * n, 0.5f), b(n * n, 0.25f), c(n * n);
    openblas_set_num_threads(1);
    const double seconds = secondsOf(true, [&] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(), n, b.data(), n, 0,
                    c.data(), n);
    });
    return 2.0 * n * n * n / seconds;
#else
    return 0;
#endif
}

/** Evaluate all molecules once, cut among threads. */
void evaluate(Evaluator& evaluator, int threads, const std::vector<double>& z, std::vector<double>& energies,
              std::vector<double>& scores) {
    const int molecules = evaluator.getNumMolecules(), width = evaluator.getNumCoordinates();
    auto part = [&](int k) {
        const int first = molecules * k / threads, last = molecules * (k + 1) / threads;
        evaluator.evaluate(k, first, last - first, z.data() + first * width, energies.data() + first,
                           scores.data() + first * width);
    };
    std::vector<std::thread> workers;
    for (int k = 1; k < threads; k++)
        workers.emplace_back(part, k);
    part(0);
    for (std::thread& worker : workers)
        worker.join();
}

void benchmark(const System& system, int molecules, const Options& options) {
    const auto model = makeModel(system.description);
    const auto evaluator = createFastEvaluator(*model, 1e-5, {}, molecules, options.threads);
    const auto& fast = dynamic_cast<const FastEvaluator&>(*evaluator);
    const int width = evaluator->getNumCoordinates();
    std::vector<double> z(molecules * width), energies(molecules), scores(z.size());
    for (std::size_t k = 0; k < z.size(); k++)
        z[k] = std::sin(1.3 * static_cast<double>(k));

    const bool ownTime = options.threads == 1;
    auto run = [&] { evaluate(*evaluator, options.threads, z, energies, scores); };
    run();
    const int repeats = std::max(1, static_cast<int>(5e-3 / secondsOf(ownTime, run)));
    double best = 1e30, sgemm = 0;
    for (const double end = now(false) + options.seconds; now(false) < end;) {
        for (int i = 0; i < 5; i++)
            sgemm = std::max(sgemm, measureSgemm());
        best = std::min(best, secondsOf(ownTime, [&] {
                                  for (int r = 0; r < repeats; r++)
                                      run();
                              }) / repeats);
    }
    const double rate = molecules / best, operations = fast.getOperationsPerMolecule();
    std::printf("{\"system\": \"%s\", \"molecules\": %d, \"threads\": %d, \"evaluations_per_s\": %.0f, "
                "\"mflop_per_evaluation\": %.4g, \"gflops\": %.4g",
                system.name.c_str(), molecules, options.threads, rate, 1e-6 * operations,
                1e-9 * rate * operations);
    if (sgemm > 0)
        std::printf(", \"sgemm_gflops\": %.4g, \"fraction\": %.3f", 1e-9 * sgemm,
                    rate * operations / (sgemm * options.threads));
    std::printf(", \"weight_bytes\": %zu, \"thread_bytes_per_molecule\": %.0f}\n", fast.getNumWeightBytes(),
                static_cast<double>(fast.getNumThreadBytes()) * options.threads / molecules);
    std::fflush(stdout);
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--threads")
            options.threads = std::stoi(value);
        else if (name == "--seconds")
            options.seconds = std::stod(value);
        else if (name == "--system")
            options.system = value;
        else if (name == "--target")
            options.target = value;
        else if (name == "--molecules") {
            options.molecules.clear();
            std::istringstream list(value);
            for (std::string item; std::getline(list, item, ',');)
                options.molecules.push_back(std::stoi(item));
        }
    }
    return options;
}

void chooseTarget(const std::string& name) {
    for (int64_t target : hwy::SupportedAndGeneratedTargets())
        if (name == hwy::TargetName(target)) {
            hwy::SetSupportedTargetsForTest(target);
            hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        }
}

} // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    chooseTarget(options.target);
    for (const System& system : systems())
        if (options.system.empty() || options.system == system.name)
            for (int molecules : options.molecules)
                benchmark(system, molecules, options);
}

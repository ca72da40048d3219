// What the exact divergence of a graph transformer's score costs beside differences of fourth order, which
// need 12 N + 1 scores: milliseconds of one core's own processor time for one sample, the best of some, a
// line for each network.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include "../tests/TestModels.h"
#include "openmmscore/models/FastEvaluator.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

struct Sizes {
    int particles, hidden, layers, heads, headSize;
    Head head;
};

/** Triangle of the examples, alanine dipeptide and chignolin as published, and all atoms of the former. */
constexpr Sizes networks[] = {{3, 32, 2, 4, 8, Head::Score},
                              {5, 96, 2, 8, 64, Head::Energy},
                              {10, 128, 3, 8, 64, Head::Energy},
                              {22, 64, 3, 4, 16, Head::Score},
                              {22, 96, 2, 8, 64, Head::Energy}};

double milliseconds(const std::function<void()>& work) {
    const auto now = [] {
        timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
    };
    double best = 1e30;
    for (int repeat = 0; repeat < 8; repeat++) {
        const double start = now();
        work();
        best = std::min(best, now() - start);
    }
    return best;
}

void benchmark(const Sizes& own) {
    ExpertDescription expert = transformerExpert(own.hidden, own.layers, 0, 1, own.head);
    expert.graphTransformer.heads = own.heads;
    expert.graphTransformer.headSize = own.headSize;
    const auto model = makeModel(describe(ModelDescription::Space::Particles, own.particles, {expert}), 0.5);
    const int width = 3 * own.particles, stencil = 4 * width + 1;
    std::vector<double> z(static_cast<std::size_t>(stencil) * width), scores(z.size());
    for (std::size_t k = 0; k < z.size(); k++)
        z[k] = std::sin(1.3 * static_cast<double>(k));
    const auto fast = createFastEvaluator(*model, 0.3, {}, stencil, 1);
    const auto plain = model->createEvaluator(0.3, {}, 1);
    double divergence = 0;
    const double exact =
        milliseconds([&] { plain->evaluateDivergence(0, 0, 1, z.data(), scores.data(), &divergence); });
    const double single =
        milliseconds([&] { fast->evaluate(0, 0, stencil, z.data(), nullptr, scores.data()); });
    const double twofold =
        stencil * milliseconds([&] { plain->evaluate(0, 0, 1, z.data(), nullptr, scores.data()); });
    std::printf("{\"particles\": %d, \"hidden\": %d, \"layers\": %d, \"heads\": %d, \"head_size\": %d, "
                "\"head\": \"%s\", \"exact_ms\": %.3g, \"float32_differences_ms\": %.3g, "
                "\"float64_differences_ms\": %.3g}\n",
                own.particles, own.hidden, own.layers, own.heads, own.headSize,
                own.head == Head::Energy ? "energy" : "score", exact, single, twofold);
    std::fflush(stdout);
}

} // namespace

int main() {
    for (const Sizes& each : networks)
        benchmark(each);
}

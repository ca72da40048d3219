// What the fused engine promises beside its numbers: a molecule's result does not depend on the molecules
// beside it, on its place or on the thread, bit for bit; and nothing is allocated while it works.
#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include <gtest/gtest.h>

#include "FusedModels.h"

namespace {
std::atomic<long> allocations{0};

void* allocate(std::size_t size, std::size_t alignment) {
    allocations++;
    void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (p == nullptr)
        throw std::bad_alloc();
    return p;
}
} // namespace

void* operator new(std::size_t size) {
    return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new[](std::size_t size) {
    return allocate(size, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate(size, std::size_t(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return allocate(size, std::size_t(alignment));
}
// The sanitizers' own versions of these would not end in ours.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return operator new(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return operator new[](size);
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete[](void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

std::vector<std::shared_ptr<const ScoreModel>> models() {
    return {modelOf({5, 96, 2, 1}), modelOf({10, 128, 2, 1}), modelOf({3, 24, 3, 1, 3, 10}),
            modelOf({28, 40, 2, 1}),
            makeModel(describe(ModelDescription::Space::Vector, 2, {mlpExpert({92, 92, 92}, 0, 1)}))};
}

TEST(FusedDeterminism, AMoleculeAloneEqualsTheSameAmongMany) {
    constexpr int many = 37;
    for (const auto& model : models()) {
        const int width = model->getDescription().getNumCoordinates();
        const std::vector<double> z = waves(many, width);
        const auto fast = createFastEvaluator(*model, 1e-5, {}, many, 1);
        forEachInstructionSet([&](const std::string& name) {
            SCOPED_TRACE(name + ", " + std::to_string(width) + " coordinates");
            const Results together = evaluateAll(*fast, z);
            for (int batch : {1, 2, 5, 16})
                for (int first = 0; first + batch <= many; first += batch) {
                    Results own = {std::vector<double>(batch), std::vector<double>(batch * width)};
                    fast->evaluate(0, first, batch, &z[first * width], own.energies.data(),
                                   own.scores.data());
                    ASSERT_TRUE(
                        std::equal(own.energies.begin(), own.energies.end(), &together.energies[first]));
                    ASSERT_TRUE(
                        std::equal(own.scores.begin(), own.scores.end(), &together.scores[first * width]));
                }
        });
    }
}

TEST(FusedDeterminism, ASpoiltMoleculeHarmsNoOther) {
    for (const auto& model : models()) {
        const int width = model->getDescription().getNumCoordinates(), batch = 9;
        const std::vector<double> z = waves(batch, width);
        std::vector<double> spoilt = z;
        spoilt[4 * width + 1] = std::nan("");
        const auto fast = createFastEvaluator(*model, 1e-5, {}, batch, 1);
        const Results expected = evaluateAll(*fast, z), found = evaluateAll(*fast, spoilt),
                      after = evaluateAll(*fast, z);
        EXPECT_EQ(expected.scores, after.scores);
        for (int m = 0; m < batch; m++) {
            if (m == 4)
                EXPECT_TRUE(std::isnan(found.energies[m]));
            else
                EXPECT_EQ(expected.energies[m], found.energies[m]);
            for (int i = m * width; m != 4 && i < (m + 1) * width; i++)
                EXPECT_EQ(expected.scores[i], found.scores[i]);
        }
    }
}

TEST(FusedDeterminism, FeaturesOfNeighboursDoNotMatter) {
    const TransformerCase c{6, 40, 2, 1};
    ModelDescription description = describe(ModelDescription::Space::Particles, c.beads, {expertOf(c)});
    description.experts[0].graphTransformer.embeddingWidth = 4;
    description.features = {{"residue", 5}};
    const auto model = makeModel(description);
    constexpr int batch = 20;
    std::vector<int> mixed, equal;
    std::vector<double> z;
    for (int m = 0; m < batch; m++)
        for (int i = 0; i < c.beads; i++) {
            mixed.push_back(m % 2 == 0 ? i % 5 : m % 5);
            equal.push_back(i % 5);
        }
    z = waves(batch, 18);
    const Results a = evaluateAll(*createFastEvaluator(*model, 0.5, mixed, batch, 1), z);
    const Results b = evaluateAll(*createFastEvaluator(*model, 0.5, equal, batch, 1), z);
    for (int m = 0; m < batch; m += 2)
        EXPECT_EQ(b.energies[m], a.energies[m]);
    EXPECT_NE(b.energies[1], a.energies[1]);
}

TEST(FusedDeterminism, ThreadsGetTheSameNumbers) {
    constexpr int molecules = 60, threads = 4;
    for (const auto& model : models()) {
        const int width = model->getDescription().getNumCoordinates();
        const std::vector<double> z = waves(molecules, width);
        const auto fast = createFastEvaluator(*model, 1e-5, {}, molecules, threads);
        const Results expected = evaluateAll(*fast, z);
        Results found = {std::vector<double>(molecules), std::vector<double>(z.size())};
        std::vector<std::thread> workers;
        for (int k = 0; k < threads; k++)
            workers.emplace_back([&, k] {
                const int size = molecules / threads, first = k * size;
                for (int repeat = 0; repeat < 5; repeat++)
                    fast->evaluate(k, first, size, &z[first * width], &found.energies[first],
                                   &found.scores[first * width]);
            });
        for (std::thread& worker : workers)
            worker.join();
        EXPECT_EQ(expected.energies, found.energies);
        EXPECT_EQ(expected.scores, found.scores);
    }
}

TEST(FusedDeterminism, NothingIsAllocatedAfterTheFirstCall) {
    for (const auto& model : models()) {
        const std::vector<double> z = waves(30, model->getDescription().getNumCoordinates());
        const auto fast = createFastEvaluator(*model, 1e-5, {}, 30, 1);
        Results results = evaluateAll(*fast, z);
        const long before = allocations;
        for (int count : {30, 1, 17})
            fast->evaluate(0, 0, count, z.data(), results.energies.data(), results.scores.data());
        EXPECT_EQ(before, allocations);
    }
    EXPECT_GT(allocations, 0);
}

TEST(FusedDeterminism, MemoryStaysWithinFourTimesTheWeights) {
    const auto model = modelOf({5, 96, 2, 1});
    std::size_t weightBytes = 0;
    for (const auto& tensor : model->getExpertTensors(0))
        weightBytes += sizeof(float) * tensor.size();
    for (int molecules : {1, 100}) {
        const auto fast = createFastEvaluator(*model, 1e-5, {}, molecules, 1);
        const auto& evaluator = dynamic_cast<const FastEvaluator&>(*fast);
        EXPECT_LE(evaluator.getNumWeightBytes() + evaluator.getNumThreadBytes(),
                  4 * weightBytes + 65536 * molecules);
    }
}

} // namespace

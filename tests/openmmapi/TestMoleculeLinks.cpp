#include "openmmscore/internal/MoleculeLinks.h"

#include <gtest/gtest.h>

using namespace OpenMMScore;

namespace {

std::vector<std::pair<int, int>> linksOf(int count, std::vector<std::pair<int, int>> bonds) {
    ModelDescription model;
    model.count = count;
    model.bonds = std::move(bonds);
    std::vector<std::pair<int, int>> pairs;
    for (const MoleculeLink& link : moleculeLinks(model))
        pairs.emplace_back(link.neighbour, link.particle);
    return pairs;
}

using Pairs = std::vector<std::pair<int, int>>;

TEST(MoleculeLinks, WithoutBondsFormAChain) {
    EXPECT_EQ(linksOf(4, {}), (Pairs{{0, 1}, {1, 2}, {2, 3}}));
}

TEST(MoleculeLinks, OneParticleHasNone) {
    EXPECT_TRUE(linksOf(1, {}).empty());
}

TEST(MoleculeLinks, FollowABranchedMoleculeFromItsFirstParticle) {
    EXPECT_EQ(linksOf(5, {{4, 2}, {2, 0}, {2, 1}, {3, 4}}), (Pairs{{0, 2}, {2, 4}, {2, 1}, {4, 3}}));
}

TEST(MoleculeLinks, LeaveOutWhatClosesARing) {
    EXPECT_EQ(linksOf(3, {{0, 1}, {1, 2}, {2, 0}}), (Pairs{{0, 1}, {0, 2}}));
}

TEST(MoleculeLinks, JoinWhatNoBondJoins) {
    EXPECT_EQ(linksOf(5, {{0, 1}, {3, 4}}), (Pairs{{0, 1}, {1, 2}, {2, 3}, {3, 4}}));
}

TEST(MoleculeLinks, CoverTheParticlesOfAVector) {
    ModelDescription model;
    model.space = ModelDescription::Space::Vector;
    model.count = 7;
    EXPECT_EQ(moleculeLinks(model).size(), 2u);
}

} // namespace

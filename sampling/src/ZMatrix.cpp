#include "openmmscore/sampling/ZMatrix.h"

#include <algorithm>
#include <deque>
#include <string>
#include <tuple>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Graph = std::vector<std::vector<int>>;

template <typename T>
decltype(auto) at(T& values, int i) {
    return values[static_cast<std::size_t>(i)];
}

Graph makeGraph(int numAtoms, const std::vector<std::array<int, 2>>& bonds) {
    Graph graph(static_cast<std::size_t>(numAtoms));
    for (const auto& [a, b] : bonds) {
        for (int atom : {a, b})
            if (atom < 0 || atom >= numAtoms)
                throw ShapeError("makeZMatrix: a bond has atom " + std::to_string(atom) + ", expected 0 to " +
                                 std::to_string(numAtoms - 1));
        if (a == b)
            throw ShapeError("makeZMatrix: atom " + std::to_string(a) + " is bonded to itself");
        at(graph, a).push_back(b);
        at(graph, b).push_back(a);
    }
    for (std::vector<int>& neighbours : graph) {
        std::sort(neighbours.begin(), neighbours.end());
        neighbours.erase(std::unique(neighbours.begin(), neighbours.end()), neighbours.end());
    }
    return graph;
}

struct Tree {
    /** Atoms in the order in which they were reached. */
    std::vector<int> order;
    /** -1 for the root and what was not reached. */
    std::vector<int> parent, depth;
};

/** Search breadth first, among the atoms that may be used. Neighbours are taken in the graph's order. */
Tree search(const Graph& graph, int root, const std::vector<bool>& usable) {
    Tree tree{{root}, std::vector<int>(graph.size(), -1), std::vector<int>(graph.size(), -1)};
    at(tree.depth, root) = 0;
    for (std::size_t done = 0; done < tree.order.size(); done++) {
        const int atom = tree.order[done];
        for (int next : at(graph, atom)) {
            if (at(tree.depth, next) >= 0 || !at(usable, next))
                continue;
            at(tree.depth, next) = at(tree.depth, atom) + 1;
            at(tree.parent, next) = atom;
            tree.order.push_back(next);
        }
    }
    return tree;
}

/** @return a shortest path between two atoms that are far apart: the longest chain, if there are no rings */
std::vector<int> findChain(const Graph& graph, const std::vector<bool>& usable) {
    const auto start = std::find(usable.begin(), usable.end(), true);
    if (start == usable.end())
        return {};
    const auto farthest = [](const Tree& tree) {
        return *std::max_element(tree.order.begin(), tree.order.end(), [&](int a, int b) {
            return std::tuple(at(tree.depth, a), -a) < std::tuple(at(tree.depth, b), -b);
        });
    };
    const int end = farthest(search(graph, static_cast<int>(start - usable.begin()), usable));
    const Tree tree = search(graph, end, usable);
    std::vector<int> chain;
    for (int atom = farthest(tree); atom >= 0; atom = at(tree.parent, atom))
        chain.push_back(atom);
    if (chain.front() > chain.back())
        std::reverse(chain.begin(), chain.end());
    return chain;
}

std::vector<bool> findHeavy(const Graph& graph, const std::vector<double>& masses) {
    std::vector<bool> heavy(graph.size());
    for (std::size_t i = 0; i < heavy.size(); i++)
        heavy[i] = masses.empty() ? graph[i].size() > 1 : masses[i] > 3.5;
    return heavy;
}

/** Put the chain first among each atom's neighbours, then those with the larger branch. */
void sortNeighbours(Graph& graph, const std::vector<int>& chain) {
    const Tree tree = search(graph, chain.front(), std::vector<bool>(graph.size(), true));
    std::vector<int> branch(graph.size(), 1);
    for (auto atom = tree.order.rbegin(); atom != tree.order.rend(); ++atom)
        if (at(tree.parent, *atom) >= 0)
            at(branch, at(tree.parent, *atom)) += at(branch, *atom);
    std::vector<bool> inChain(graph.size(), false);
    for (int atom : chain)
        at(inChain, atom) = true;
    const auto key = [&](int i) { return std::tuple(!at(inChain, i), -at(branch, i), i); };
    for (std::vector<int>& neighbours : graph)
        std::sort(neighbours.begin(), neighbours.end(), [&](int a, int b) { return key(a) < key(b); });
}

/** The atoms in an order in which parents come first: the start of the chain, heavy atoms, light ones. */
std::vector<int> orderRows(const Tree& tree, const std::vector<int>& chain, const std::vector<bool>& heavy) {
    std::vector<int> order = tree.order;
    const auto rank = [&](int atom) {
        for (int i = 0; i < 3; i++)
            if (at(chain, i) == atom)
                return i;
        return at(heavy, atom) ? 3 : 4;
    };
    // A light atom with something behind it, as in a borane, goes with the heavy ones.
    std::vector<bool> light(order.size(), true);
    for (auto atom = order.rbegin(); atom != order.rend(); ++atom)
        if ((at(heavy, *atom) || !at(light, *atom)) && at(tree.parent, *atom) >= 0)
            at(light, at(tree.parent, *atom)) = false;
    const auto key = [&](int atom) { return at(light, atom) ? rank(atom) : std::min(rank(atom), 3); };
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) < key(b); });
    return order;
}

} // namespace

std::vector<ZMatrixRow> makeZMatrix(int numAtoms, const std::vector<std::array<int, 2>>& bonds,
                                    const std::vector<double>& masses) {
    if (numAtoms < 3)
        throw ShapeError("makeZMatrix: the molecule has " + std::to_string(numAtoms) +
                         " atoms, expected 3 or more: fewer have no angle");
    if (!masses.empty() && masses.size() != static_cast<std::size_t>(numAtoms))
        throw ShapeError("makeZMatrix: there are " + std::to_string(masses.size()) + " masses for " +
                         std::to_string(numAtoms) + " atoms");
    Graph graph = makeGraph(numAtoms, bonds);
    const std::vector<bool> heavy = findHeavy(graph, masses), all(graph.size(), true);
    const Tree reached = search(graph, 0, all);
    for (int atom = 0; atom < numAtoms; atom++)
        if (at(reached.depth, atom) < 0)
            throw ShapeError("makeZMatrix: no chain of bonds leads from atom 0 to atom " +
                             std::to_string(atom) + "; internal coordinates are for one molecule at a time");
    std::vector<int> chain = findChain(graph, heavy);
    if (chain.size() < 3)
        chain = findChain(graph, all);
    if (chain.size() < 3) {
        // All atoms are bonded to all others: any path of three is as good.
        chain = {0, 1, 2};
    }
    sortNeighbours(graph, chain);
    const Tree tree = search(graph, chain[0], all);
    const std::vector<int> order = orderRows(tree, chain, heavy);
    std::vector<ZMatrixRow> rows;
    for (int atom : order) {
        ZMatrixRow row{atom};
        const bool third = atom == chain[2];
        row.bond = third ? chain[1] : at(tree.parent, atom);
        if (rows.size() > 1)
            row.angle = row.bond == chain[0] ? chain[1] : at(tree.parent, row.bond);
        if (rows.size() > 2)
            row.torsion = row.bond == chain[0] || row.bond == chain[1] ? chain[2]
                          : row.angle == chain[0]                      ? chain[1]
                                                                       : at(tree.parent, row.angle);
        rows.push_back(row);
    }
    return rows;
}

} // namespace OpenMMScore

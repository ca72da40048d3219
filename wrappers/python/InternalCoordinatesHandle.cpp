#include "InternalCoordinatesHandle.h"

#include <cmath>

#include "openmmscore/sampling/FlowCoordinates.h"

namespace OpenMMScore {

namespace {

std::vector<ZMatrixRow> toRows(const std::vector<int>& numbers) {
    std::vector<ZMatrixRow> rows;
    for (std::size_t i = 0; i + 3 < numbers.size(); i += 4)
        rows.push_back({numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]});
    return rows;
}

} // namespace

InternalCoordinatesHandle::InternalCoordinatesHandle(const std::vector<int>& rows)
    : coordinates(toRows(rows)) {}

std::vector<int> InternalCoordinatesHandle::makeRows(int numAtoms, const std::vector<int>& bonds,
                                                     const std::vector<double>& masses) {
    std::vector<std::array<int, 2>> pairs;
    for (std::size_t i = 0; i + 1 < bonds.size(); i += 2)
        pairs.push_back({bonds[i], bonds[i + 1]});
    std::vector<int> result;
    for (const ZMatrixRow& row : makeZMatrix(numAtoms, pairs, masses))
        result.insert(result.end(), {row.atom, row.bond, row.angle, row.torsion});
    return result;
}

std::vector<int> InternalCoordinatesHandle::getKinds() const {
    std::vector<int> kinds(getNumTorsions());
    for (std::size_t k = 0; k < kinds.size(); k++)
        kinds[k] = static_cast<int>(coordinates.getKind(static_cast<int>(k)));
    return kinds;
}

std::vector<int> InternalCoordinatesHandle::getFirstSiblings() const {
    std::vector<int> first(getNumTorsions());
    for (std::size_t k = 0; k < first.size(); k++)
        first[k] = coordinates.getFirstSibling(static_cast<int>(k));
    return first;
}

int InternalCoordinatesHandle::findBadRow(const double* x) const {
    std::vector<double> u(static_cast<std::size_t>(coordinates.getDimension()));
    return coordinates.toInternal(x, u.data()).row;
}

std::string InternalCoordinatesHandle::fitFlow(long long n, const double* x) const {
    return FlowCoordinates::fit(coordinates.getRows(), n, x).writeSettings();
}

void InternalCoordinatesHandle::toInternal(long long n, const double* x, double* u, double* logJacobian,
                                           std::int32_t* status) const {
    for (long long i = 0; i < n; i++) {
        const auto result = coordinates.toInternal(x + i * 3 * coordinates.getNumParticles(),
                                                   u + i * coordinates.getDimension());
        logJacobian[i] = result.logJacobian;
        status[i] = static_cast<std::int32_t>(result.status);
    }
}

void InternalCoordinatesHandle::toCartesian(long long n, const double* v, double* positions,
                                            double* logJacobian, std::int32_t* status) const {
    for (long long i = 0; i < n; i++) {
        const auto result = coordinates.toCartesian(v + i * coordinates.getDimension(),
                                                    positions + i * 3 * coordinates.getNumParticles());
        logJacobian[i] = result.logJacobian;
        status[i] = static_cast<std::int32_t>(result.status);
    }
}

void InternalCoordinatesHandle::orient(unsigned long long seed, long long first, long long n,
                                       double* positions) const {
    for (long long i = 0; i < n; i++) {
        CounterRandom random(seed, CounterRandom::Stream::Proposal, static_cast<std::uint64_t>(first + i));
        coordinates.orient(random, positions + i * 3 * coordinates.getNumParticles());
    }
}

} // namespace OpenMMScore

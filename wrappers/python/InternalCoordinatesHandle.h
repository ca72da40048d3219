#ifndef OPENMMSCORE_PYTHON_INTERNALCOORDINATESHANDLE_H_
#define OPENMMSCORE_PYTHON_INTERNALCOORDINATESHANDLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "openmmscore/sampling/InternalCoordinates.h"

namespace OpenMMScore {

/**
 * What openmmscore.InternalCoordinates holds of C++. Arrays arrive as addresses of NumPy's data, which
 * internalcoordinates.py has checked; N atoms, n configurations.
 */
class InternalCoordinatesHandle {
public:
    /** @param rows  [4 N]: atom, bond, angle, torsion of each row */
    explicit InternalCoordinatesHandle(const std::vector<int>& rows);
    /** @return [4 N], the rows that makeZMatrix() makes of bonds [2 per bond] and masses [N] or none */
    static std::vector<int> makeRows(int numAtoms, const std::vector<int>& bonds,
                                     const std::vector<double>& masses);

    /** @return [N - 3], InternalCoordinates::Kind of each torsion */
    std::vector<int> getKinds() const;
    /** @return [N - 3], InternalCoordinates::getFirstSibling() of each */
    std::vector<int> getFirstSiblings() const;
    /** @return the first row of a configuration that cannot be, or 0. x [N, 3] */
    int findBadRow(const double* x) const;
    /** @return the JSON of FlowCoordinates::fit(). x [n, N, 3] */
    std::string fitFlow(long long n, const double* x) const;
    /** x [n, N, 3]; u [n, 3 N - 6], logJacobian [n] and status [n] are written */
    void toInternal(long long n, const double* x, double* u, double* logJacobian, std::int32_t* status) const;
    /** v [n, 3 N - 6]; positions [n, N, 3], logJacobian [n] and status [n] are written */
    void toCartesian(long long n, const double* v, double* positions, double* logJacobian,
                     std::int32_t* status) const;
    /** Centre and turn configuration i by the rotation that seed and first + i name. positions [n, N, 3] */
    void orient(unsigned long long seed, long long first, long long n, double* positions) const;

private:
    std::size_t getNumTorsions() const { return static_cast<std::size_t>(coordinates.getNumParticles() - 3); }

    InternalCoordinates coordinates;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_PYTHON_INTERNALCOORDINATESHANDLE_H_

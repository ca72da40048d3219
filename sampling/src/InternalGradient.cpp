#include "InternalGradient.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace OpenMMScore {

namespace {

using Vec = std::array<double, 3>;

Vec operator*(double factor, const Vec& v) {
    return {factor * v[0], factor * v[1], factor * v[2]};
}
Vec operator+(const Vec& a, const Vec& b) {
    return {a[0] + b[0], a[1] + b[1], a[2] + b[2]};
}
Vec operator-(const Vec& a, const Vec& b) {
    return a + -1.0 * b;
}
double dot(const Vec& a, const Vec& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
Vec cross(const Vec& a, const Vec& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

/** Positions, and the gradient that is being added up. */
struct Atoms {
    const double* x;
    double* gradient;

    Vec operator[](int i) const { return {x[3 * i], x[3 * i + 1], x[3 * i + 2]}; }
    void add(int i, const Vec& v) const {
        for (int axis = 0; axis < 3; axis++)
            gradient[3 * i + axis] += v[static_cast<std::size_t>(axis)];
    }
};

void addBond(const Atoms& atoms, const ZMatrixRow& row, double factor) {
    const Vec r = atoms[row.atom] - atoms[row.bond];
    const Vec direction = factor / std::sqrt(dot(r, r)) * r;
    atoms.add(row.atom, direction);
    atoms.add(row.bond, -1.0 * direction);
}

void addAngle(const Atoms& atoms, const ZMatrixRow& row, double factor) {
    const Vec a = atoms[row.atom] - atoms[row.bond], b = atoms[row.angle] - atoms[row.bond];
    const double aa = dot(a, a), bb = dot(b, b), ab = dot(a, b);
    const Vec normal = cross(a, b);
    // d theta = -d cos(theta) / sin(theta), with |a x b| = |a| |b| sin(theta)
    const double scale = factor / std::sqrt(dot(normal, normal));
    const Vec byA = scale * (ab / aa * a - b), byB = scale * (ab / bb * b - a);
    atoms.add(row.atom, byA);
    atoms.add(row.angle, byB);
    atoms.add(row.bond, -1.0 * (byA + byB));
}

/** Blondel and Karplus, J. Comput. Chem. 1996: no division by the sine of the torsion. */
void addTorsion(const Atoms& atoms, const ZMatrixRow& row, double factor) {
    const Vec f = atoms[row.atom] - atoms[row.bond], g = atoms[row.bond] - atoms[row.angle];
    const Vec h = atoms[row.torsion] - atoms[row.angle];
    const Vec a = cross(f, g), b = cross(h, g);
    const double aa = dot(a, a), bb = dot(b, b), length = std::sqrt(dot(g, g));
    const Vec first = -factor * length / aa * a, last = factor * length / bb * b;
    const Vec shift = factor * (dot(f, g) / (aa * length)) * a - factor * (dot(h, g) / (bb * length)) * b;
    atoms.add(row.atom, first);
    atoms.add(row.bond, shift - first);
    atoms.add(row.angle, -1.0 * (shift + last));
    atoms.add(row.torsion, last);
}

/** @return sin and cos of the angle, y = log tan(theta / 2) */
std::array<double, 2> sineCosine(double y) {
    return {1 / std::cosh(y), -std::tanh(y)};
}

} // namespace

void toPositionGradient(const FlowCoordinates& coordinates, const double* x, const double* y, double* byY,
                        double* byX) {
    const InternalCoordinates& internal = coordinates.getInternal();
    const int n = internal.getNumParticles();
    std::fill_n(byX, 3 * n, 0.0);
    const Atoms atoms{x, byX};
    const std::vector<ZMatrixRow>& rows = internal.getRows();
    // J(y) has d^3: two from the volume, one from the logarithm.
    for (int i = 1; i < n; i++)
        addBond(atoms, rows[static_cast<std::size_t>(i)], (byY[i - 1] - 3) * std::exp(-y[i - 1]));
    // And sin(theta) squared, one from the volume, one from the stretch.
    for (int i = 2; i < n; i++) {
        const auto [sine, cosine] = sineCosine(y[n - 3 + i]);
        addAngle(atoms, rows[static_cast<std::size_t>(i)], (byY[n - 3 + i] - 2 * cosine) / sine);
    }
    double* byTorsion = byY + 2 * n - 3;
    for (int k = 0; k < n - 3; k++)
        if (!std::isnan(coordinates.getCentres()[static_cast<std::size_t>(k)])) {
            const double own = y[2 * n - 3 + k];
            byTorsion[k] = byTorsion[k] * (1 + 0.25 * own * own) + 0.5 * own;
        }
    // A sibling is the difference from the first one's dihedral angle, which comes before it.
    for (int k = n - 4; k >= 0; k--) {
        if (const int first = internal.getFirstSibling(k); first != k)
            byTorsion[first] -= byTorsion[k];
        addTorsion(atoms, rows[static_cast<std::size_t>(k) + 3], byTorsion[k]);
    }
}

} // namespace OpenMMScore

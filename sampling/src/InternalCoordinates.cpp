#include "openmmscore/sampling/InternalCoordinates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <utility>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using std::numbers::pi;

struct Vec {
    double x, y, z;
};

Vec load(const double* x, int atom) {
    return {x[3 * atom], x[3 * atom + 1], x[3 * atom + 2]};
}
void store(Vec v, double* x, int atom) {
    x[3 * atom] = v.x;
    x[3 * atom + 1] = v.y;
    x[3 * atom + 2] = v.z;
}
Vec operator+(Vec a, Vec b) {
    return {a.x + b.x, a.y + b.y, a.z + b.z};
}
Vec operator-(Vec a, Vec b) {
    return {a.x - b.x, a.y - b.y, a.z - b.z};
}
Vec operator*(double s, Vec v) {
    return {s * v.x, s * v.y, s * v.z};
}
double dot(Vec a, Vec b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}
Vec cross(Vec a, Vec b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
double norm(Vec v) {
    return std::sqrt(dot(v, v));
}

/** Unit vectors at row.bond: e towards row.angle, p from that bond towards row.torsion, q = e x p. */
struct Axes {
    Vec e, p, q;
};

/** @return false if the three lie on a line */
bool findAxes(const double* x, const ZMatrixRow& row, Axes& axes) {
    const Vec along = load(x, row.angle) - load(x, row.bond),
              last = load(x, row.torsion) - load(x, row.angle);
    axes.e = 1 / norm(along) * along;
    const Vec across = last - dot(last, axes.e) * axes.e;
    const double width = norm(across);
    axes.p = 1 / width * across;
    axes.q = cross(axes.e, axes.p);
    return width > 0.5 * InternalCoordinates::straightest * norm(last);
}

/** @return the same angle from -pi to below pi */
double wrap(double angle) {
    const double rest = std::remainder(angle, 2 * pi);
    return rest >= pi ? -pi : rest;
}

bool isBond(double length) {
    return length >= InternalCoordinates::shortest && length <= InternalCoordinates::longest;
}

bool isAngle(double theta) {
    return theta >= InternalCoordinates::straightest && theta <= pi - InternalCoordinates::straightest;
}

bool areFinite(const double* values, std::size_t count) {
    return std::all_of(values, values + count, [](double value) { return std::isfinite(value); });
}

void checkRows(const std::vector<ZMatrixRow>& rows) {
    const std::string name = "InternalCoordinates: ";
    const auto n = static_cast<int>(rows.size());
    if (n < 3)
        throw ShapeError(name + "a molecule of " + std::to_string(n) +
                         " atoms has no angle, expected 3 or more atoms");
    std::vector<bool> placed(rows.size(), false);
    for (int i = 0; i < n; i++) {
        const ZMatrixRow& row = rows[static_cast<std::size_t>(i)];
        const std::string where = name + "row " + std::to_string(i) + ": ";
        const std::array references{row.bond, row.angle, row.torsion};
        for (int r = 0; r < 3; r++) {
            const int atom = references[static_cast<std::size_t>(r)];
            if (r >= i && atom != -1)
                throw ShapeError(where + "has " + std::to_string(r + 1) + " or more references, expected " +
                                 std::to_string(i) + " and -1 for others");
            if (r < i && (atom < 0 || atom >= n || !placed[static_cast<std::size_t>(atom)]))
                throw ShapeError(where + "refers to atom " + std::to_string(atom) +
                                 ", which has no earlier row");
        }
        if ((i > 1 && row.bond == row.angle) ||
            (i > 2 && (row.torsion == row.bond || row.torsion == row.angle)))
            throw ShapeError(where + "refers to an atom twice");
        if (row.atom < 0 || row.atom >= n || placed[static_cast<std::size_t>(row.atom)])
            throw ShapeError(where + "places atom " + std::to_string(row.atom) + ", expected each of 0 to " +
                             std::to_string(n - 1) + " once");
        placed[static_cast<std::size_t>(row.atom)] = true;
    }
}

} // namespace

InternalCoordinates::InternalCoordinates(std::vector<ZMatrixRow> given) : rows(std::move(given)) {
    checkRows(rows);
    const std::size_t n = rows.size();
    std::vector<int> bondOf(n, -1);
    for (const ZMatrixRow& row : rows)
        bondOf[static_cast<std::size_t>(row.atom)] = row.bond;
    for (std::size_t i = 3; i < n; i++) {
        const ZMatrixRow& row = rows[i];
        const auto torsion = static_cast<int>(i) - 3;
        // The torsion's last atom was bonded to this atom's own: turning the bond turns both.
        const bool improper = bondOf[static_cast<std::size_t>(row.torsion)] == row.bond;
        kinds.push_back(improper ? Kind::Improper : Kind::Rotation);
        first.push_back(torsion);
        for (int other = 0; !improper && other < torsion; other++) {
            const ZMatrixRow& earlier = rows[static_cast<std::size_t>(other) + 3];
            if (earlier.bond != row.bond || earlier.angle != row.angle || earlier.torsion != row.torsion)
                continue;
            kinds.back() = Kind::Sibling;
            first.back() = other;
            break;
        }
    }
    logConstant = std::log(8 * pi * pi) - 1.5 * std::log(static_cast<double>(n));
}

InternalCoordinates::Result InternalCoordinates::fail(Status status, std::size_t row, double* values,
                                                      std::size_t count) const {
    std::fill_n(values, count, std::numeric_limits<double>::quiet_NaN());
    return {status, std::numeric_limits<double>::quiet_NaN(), static_cast<int>(row)};
}

double InternalCoordinates::computeLogJacobian(const double* u) const {
    const std::size_t n = rows.size();
    double sum = 0;
    for (std::size_t i = 0; i + 1 < n; i++)
        sum += 2 * std::log(u[i]);
    for (std::size_t i = n - 1; i < 2 * n - 3; i++)
        sum += std::log(std::sin(u[i]));
    return logConstant + sum;
}

InternalCoordinates::Result InternalCoordinates::toInternal(const double* x, double* u) const {
    const std::size_t n = rows.size(), d = 3 * n - 6;
    if (!areFinite(x, 3 * n))
        return fail(Status::NotFinite, 0, u, d);
    double *const angles = u + n - 1, *const torsions = u + 2 * n - 3;
    for (std::size_t i = 1; i < n; i++) {
        const ZMatrixRow& row = rows[i];
        const Vec a = load(x, row.atom) - load(x, row.bond);
        u[i - 1] = norm(a);
        if (!isBond(u[i - 1]))
            return fail(Status::Bond, i, u, d);
        if (i == 1)
            continue;
        const Vec along = load(x, row.angle) - load(x, row.bond);
        angles[i - 2] = std::atan2(norm(cross(a, along)), dot(a, along));
        if (!isAngle(angles[i - 2]))
            return fail(Status::Angle, i, u, d);
        if (i == 2)
            continue;
        Axes axes;
        if (!findAxes(x, row, axes))
            return fail(Status::Angle, i, u, d);
        const double dihedral = std::atan2(-dot(a, axes.q), dot(a, axes.p));
        const std::size_t torsion = i - 3;
        const auto origin = static_cast<std::size_t>(first[torsion]);
        torsions[torsion] = wrap(origin == torsion ? dihedral : dihedral - torsions[origin]);
    }
    return {Status::Ok, computeLogJacobian(u), 0};
}

InternalCoordinates::Result InternalCoordinates::toCartesian(const double* u, double* x) const {
    const std::size_t n = rows.size();
    if (!areFinite(u, 3 * n - 6))
        return fail(Status::NotFinite, 0, x, 3 * n);
    const double *const angles = u + n - 1, *const torsions = u + 2 * n - 3;
    store({0, 0, 0}, x, rows[0].atom);
    for (std::size_t i = 1; i < n; i++) {
        const ZMatrixRow& row = rows[i];
        if (!isBond(u[i - 1]))
            return fail(Status::Bond, i, x, 3 * n);
        if (i == 1) {
            store({0, 0, u[0]}, x, row.atom);
            continue;
        }
        if (!isAngle(angles[i - 2]))
            return fail(Status::Angle, i, x, 3 * n);
        const double along = u[i - 1] * std::cos(angles[i - 2]), across = u[i - 1] * std::sin(angles[i - 2]);
        if (i == 2) {
            // e is z if the atom hangs on the first one, -z if on the second.
            const double sign = row.bond == rows[0].atom ? 1 : -1;
            store(load(x, row.bond) + Vec{across, 0, sign * along}, x, row.atom);
            continue;
        }
        Axes axes;
        if (!findAxes(x, row, axes))
            return fail(Status::Angle, i, x, 3 * n);
        const std::size_t torsion = i - 3;
        const auto origin = static_cast<std::size_t>(first[torsion]);
        const double dihedral = torsions[torsion] + (origin == torsion ? 0 : torsions[origin]);
        const Vec turned = std::cos(dihedral) * axes.p - std::sin(dihedral) * axes.q;
        store(load(x, row.bond) + along * axes.e + across * turned, x, row.atom);
    }
    return {Status::Ok, computeLogJacobian(u), 0};
}

void InternalCoordinates::orient(CounterRandom& random, double* x) const {
    const int n = getNumParticles();
    double w = random.normal();
    Vec v{random.normal(), 0, 0};
    v.y = random.normal();
    v.z = random.normal();
    // A unit quaternion from four normal numbers is uniform on the sphere, and so is the rotation.
    const double length = std::sqrt(w * w + dot(v, v));
    w /= length;
    v = 1 / length * v;
    Vec sum{0, 0, 0};
    for (int i = 0; i < n; i++)
        sum = sum + load(x, i);
    const Vec centroid = 1.0 / n * sum;
    for (int i = 0; i < n; i++) {
        const Vec r = load(x, i) - centroid, t = 2 * cross(v, r);
        store(r + w * t + cross(v, t), x, i);
    }
}

} // namespace OpenMMScore

#include "BestRotation.h"

#include <algorithm>
#include <cmath>

namespace OpenMMScore {

namespace {

using Matrix = std::array<std::array<double, 4>, 4>;

/** Horn's matrix of h = sum_i b_i a_i^T. */
Matrix quaternionMatrix(const double (&h)[3][3]) {
    const double xx = h[0][0], xy = h[0][1], xz = h[0][2], yx = h[1][0], yy = h[1][1], yz = h[1][2],
                 zx = h[2][0], zy = h[2][1], zz = h[2][2];
    return {{{xx + yy + zz, yz - zy, zx - xz, xy - yx},
             {yz - zy, xx - yy - zz, xy + yx, zx + xz},
             {zx - xz, xy + yx, yy - xx - zz, yz + zy},
             {xy - yx, zx + xz, yz + zy, zz - xx - yy}}};
}

/** Make a symmetric matrix diagonal by Jacobi's rotations. @return the eigenvectors, in columns */
Matrix diagonalize(Matrix& m) {
    Matrix vectors{};
    for (int i = 0; i < 4; i++)
        vectors[i][i] = 1.0;
    double whole = 0.0;
    for (const auto& row : m)
        for (double x : row)
            whole += x * x;
    // Convergence is quadratic: five or six sweeps do.
    for (int sweep = 0; sweep < 30; sweep++) {
        double outside = 0.0;
        for (int p = 0; p < 4; p++)
            for (int q = p + 1; q < 4; q++)
                outside += m[p][q] * m[p][q];
        if (outside <= 1e-30 * whole)
            break;
        for (int p = 0; p < 4; p++)
            for (int q = p + 1; q < 4; q++) {
                if (m[p][q] == 0.0)
                    continue;
                const double theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
                const double t =
                    std::copysign(1.0, theta) / (std::abs(theta) + std::sqrt(theta * theta + 1.0));
                const double c = 1.0 / std::sqrt(t * t + 1.0), s = t * c;
                for (int k = 0; k < 4; k++) {
                    const double a = m[k][p], b = m[k][q];
                    m[k][p] = c * a - s * b;
                    m[k][q] = s * a + c * b;
                }
                for (int k = 0; k < 4; k++) {
                    const double a = m[p][k], b = m[q][k], v = vectors[k][p], w = vectors[k][q];
                    m[p][k] = c * a - s * b;
                    m[q][k] = s * a + c * b;
                    vectors[k][p] = c * v - s * w;
                    vectors[k][q] = s * v + c * w;
                }
            }
    }
    return vectors;
}

} // namespace

BestRotation bestRotation(int count, const double* a, const double* b) {
    double h[3][3] = {};
    for (int i = 0; i < count; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++)
                h[j][k] += b[3 * i + j] * a[3 * i + k];
    Matrix m = quaternionMatrix(h);
    const Matrix vectors = diagonalize(m);
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (m[i][i] > m[best][best])
            best = i;
    const double w = vectors[0][best], x = vectors[1][best], y = vectors[2][best], z = vectors[3][best];
    return {m[best][best],
            {w * w + x * x - y * y - z * z, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y),
             2.0 * (x * y + w * z), w * w - x * x + y * y - z * z, 2.0 * (y * z - w * x),
             2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z}};
}

void BestRotation::apply(int count, const double* b, double* rotated) const {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < 3; j++)
            rotated[3 * i + j] = matrix[3 * j] * b[3 * i] + matrix[3 * j + 1] * b[3 * i + 1] +
                                 matrix[3 * j + 2] * b[3 * i + 2];
}

} // namespace OpenMMScore

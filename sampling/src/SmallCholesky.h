#ifndef OPENMMSCORE_SAMPLING_SMALLCHOLESKY_H_
#define OPENMMSCORE_SAMPLING_SMALLCHOLESKY_H_

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace OpenMMScore {

/**
 * Cholesky factors of a symmetric matrix [n, n] whose row and column 0 are left out: second derivatives with
 * respect to free energies of which the first is fixed.
 */
class SmallCholesky {
public:
    SmallCholesky(std::vector<double> matrix, std::size_t n) : n(n), L(std::move(matrix)) {
        for (std::size_t k = 1; k < n && positive; k++) {
            const double diagonal = L[k * n + k];
            for (std::size_t j = 1; j <= k; j++) {
                double sum = L[k * n + j];
                for (std::size_t m = 1; m < j; m++)
                    sum -= L[k * n + m] * L[j * n + m];
                // A pivot that is all rounding is none.
                if (j == k)
                    positive = sum > 1e-14 * diagonal;
                L[k * n + j] = j == k ? std::sqrt(sum) : sum / L[j * n + j];
            }
        }
    }
    /** @return whether the matrix is positive definite, as the methods below require */
    bool isPositive() const { return positive; }
    /** @return x with A x = b, shape [n], x_0 = 0 */
    std::vector<double> solve(std::vector<double> x) const {
        x[0] = 0;
        for (std::size_t k = 1; k < n; k++) {
            for (std::size_t j = 1; j < k; j++)
                x[k] -= L[k * n + j] * x[j];
            x[k] /= L[k * n + k];
        }
        for (std::size_t k = n - 1; k >= 1; k--) {
            for (std::size_t j = k + 1; j < n; j++)
                x[k] -= L[j * n + k] * x[j];
            x[k] /= L[k * n + k];
        }
        return x;
    }
    /** @return shape [n, n], row and column 0 zero */
    std::vector<double> computeInverse() const {
        std::vector<double> inverse(n * n);
        for (std::size_t k = 1; k < n; k++) {
            std::vector<double> unit(n);
            unit[k] = 1;
            const std::vector<double> column = solve(unit);
            for (std::size_t j = 0; j < n; j++)
                inverse[j * n + k] = column[j];
        }
        return inverse;
    }

private:
    std::size_t n;
    std::vector<double> L;
    bool positive = true;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SMALLCHOLESKY_H_

#ifndef OPENMMSCORE_TESTS_DETERMINANT_H_
#define OPENMMSCORE_TESTS_DETERMINANT_H_

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace OpenMMScore::testing {

/** log |det m|, m [n, n], by elimination with pivots. */
inline double logDeterminant(std::vector<double> m, std::size_t n) {
    double sum = 0;
    for (std::size_t k = 0; k < n; k++) {
        std::size_t pivot = k;
        for (std::size_t i = k; i < n; i++)
            if (std::abs(m[i * n + k]) > std::abs(m[pivot * n + k]))
                pivot = i;
        for (std::size_t j = 0; j < n; j++)
            std::swap(m[k * n + j], m[pivot * n + j]);
        sum += std::log(std::abs(m[k * n + k]));
        for (std::size_t i = k + 1; i < n; i++) {
            const double factor = m[i * n + k] / m[k * n + k];
            for (std::size_t j = k; j < n; j++)
                m[i * n + j] -= factor * m[k * n + j];
        }
    }
    return sum;
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_DETERMINANT_H_

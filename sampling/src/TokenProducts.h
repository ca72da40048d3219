#ifndef OPENMMSCORE_SAMPLING_TOKENPRODUCTS_H_
#define OPENMMSCORE_SAMPLING_TOKENPRODUCTS_H_

namespace OpenMMScore {

// Sums over the width of a token, in an order that a compiler may vectorise: four sums side by side.

inline double dotProduct(int n, const double* a, const double* b) {
    double sum[4] = {};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    double rest = 0;
    for (; i < n; i++)
        rest += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]) + rest;
}

inline double sumOf(int n, const double* a) {
    double sum[4] = {};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k];
    double rest = 0;
    for (; i < n; i++)
        rest += a[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]) + rest;
}

/** y += factor x */
inline void addScaled(int n, double factor, const double* x, double* y) {
    for (int i = 0; i < n; i++)
        y[i] += factor * x[i];
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TOKENPRODUCTS_H_

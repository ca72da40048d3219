#include "Attention.h"

#include <algorithm>
#include <cmath>

namespace OpenMMScore {

namespace {
double dot(int size, const double* a, const double* b) {
    double sum = 0;
    for (int i = 0; i < size; i++)
        sum += a[i] * b[i];
    return sum;
}
void add(int size, double factor, const double* x, double* y) {
    for (int i = 0; i < size; i++)
        y[i] += factor * x[i];
}
} // namespace

Attention::Attention(int heads, int headSize, int hidden, const std::vector<double>& edge,
                     const std::vector<double>& edgeBias, const std::vector<double>& edgeEmbedding,
                     const std::vector<double>& edgeEmbeddingBias)
    : heads(heads), headSize(headSize), scale(1 / std::sqrt(headSize)), constant(edgeBias) {
    // A = W_edge W_embedding and c = W_edge b_embedding + b_edge.
    const int inner = heads * headSize;
    std::vector<double> matrix(inner * 3, 0.0);
    for (int o = 0; o < inner; o++)
        for (int h = 0; h < hidden; h++) {
            add(3, edge[o * hidden + h], &edgeEmbedding[3 * h], &matrix[3 * o]);
            constant[o] += edge[o * hidden + h] * edgeEmbeddingBias[h];
        }
    position = Dense(inner, 3, matrix, {});
}

void Attention::forward(int n, const double* z, const double* q, double* k, double* v, double* weights,
                        double* m) const {
    const int inner = heads * headSize;
    // m holds A z for a moment.
    position.forward(n, z, m);
    for (int i = 0; i < n * inner; i++) {
        k[i] += m[i];
        v[i] += m[i];
    }
    for (int i = 0; i < n; i++)
        for (int c = 0; c < inner; c++)
            m[i * inner + c] = constant[c] - m[i * inner + c];

    for (int h = 0; h < heads; h++)
        for (int i = 0; i < n; i++) {
            const int offset = h * headSize;
            double* a = &weights[(h * n + i) * n];
            for (int j = 0; j < n; j++)
                a[j] = scale * dot(headSize, &q[i * inner + offset], &k[j * inner + offset]);
            double largest = *std::max_element(a, a + n), sum = 0;
            for (int j = 0; j < n; j++)
                sum += a[j] = std::exp(a[j] - largest);
            for (int j = 0; j < n; j++) {
                a[j] /= sum;
                add(headSize, a[j], &v[j * inner + offset], &m[i * inner + offset]);
            }
        }
}

void Attention::addBackward(int n, const double* q, const double* k, const double* v, const double* weights,
                            const double* dm, double* dq, double* dk, double* dv, double* dz,
                            double* scratch) const {
    const int inner = heads * headSize;
    std::fill_n(dq, n * inner, 0.0);
    std::fill_n(dk, n * inner, 0.0);
    std::fill_n(dv, n * inner, 0.0);
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < n; i++) {
            const int offset = h * headSize, row = i * inner + offset;
            const double* a = &weights[(h * n + i) * n];
            double mean = 0;
            for (int j = 0; j < n; j++) {
                const int column = j * inner + offset;
                add(headSize, a[j], &dm[row], &dv[column]);
                scratch[j] = dot(headSize, &dm[row], &v[column]);
                mean += a[j] * scratch[j];
            }
            for (int j = 0; j < n; j++) {
                const int column = j * inner + offset;
                double dLogit = scale * a[j] * (scratch[j] - mean);
                add(headSize, dLogit, &k[column], &dq[row]);
                add(headSize, dLogit, &q[row], &dk[column]);
            }
        }
    // A z_j stands in every key and value, and -A z_i in every m_i.
    position.addBackward(n, dk, dz);
    position.addBackward(n, dv, dz);
    for (int i = 0; i < n; i++) {
        double own[3] = {0, 0, 0};
        position.addBackward(1, &dm[i * inner], own);
        add(3, -1.0, own, &dz[3 * i]);
    }
}

} // namespace OpenMMScore

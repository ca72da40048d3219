#include "Dense.h"

#include <algorithm>

namespace OpenMMScore {

Dense::Dense(int out, int in, const std::vector<double>& weight, const std::vector<double>& bias)
    : out(out), in(in), weight(weight), transposed(weight.size()), bias(bias) {
    this->bias.resize(out, 0.0);
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++)
            transposed[i * out + o] = weight[o * in + i];
}

void Dense::addProduct(const double* x, double* y) const {
    for (int i = 0; i < in; i++) {
        const double* column = &transposed[i * out];
        for (int o = 0; o < out; o++)
            y[o] += x[i] * column[o];
    }
}

void Dense::forward(int rows, const double* x, double* y) const {
    for (int r = 0; r < rows; r++, x += in, y += out) {
        std::copy(bias.begin(), bias.end(), y);
        addProduct(x, y);
    }
}

void Dense::multiply(int rows, const double* x, double* y) const {
    for (int r = 0; r < rows; r++, x += in, y += out) {
        std::fill_n(y, out, 0.0);
        addProduct(x, y);
    }
}

void Dense::addBackward(int rows, const double* dy, double* dx) const {
    for (int r = 0; r < rows; r++, dy += out, dx += in)
        for (int o = 0; o < out; o++) {
            const double* row = &weight[o * in];
            for (int i = 0; i < in; i++)
                dx[i] += dy[o] * row[i];
        }
}

} // namespace OpenMMScore

#include "TransformerMath.h"

#include <cmath>
#include <numbers>

namespace OpenMMScore {

void LayerNorm::forward(int rows, const double* x, double* normalized, double* inverseStd, double* y) const {
    const int width = static_cast<int>(scale.size());
    for (int r = 0; r < rows; r++, x += width, normalized += width, y += width) {
        double mean = 0, variance = 0;
        for (int i = 0; i < width; i++)
            mean += x[i];
        mean /= width;
        for (int i = 0; i < width; i++)
            variance += (x[i] - mean) * (x[i] - mean);
        inverseStd[r] = 1 / std::sqrt(variance / width + epsilon);
        for (int i = 0; i < width; i++) {
            normalized[i] = (x[i] - mean) * inverseStd[r];
            y[i] = normalized[i] * scale[i] + shift[i];
        }
    }
}

void LayerNorm::addBackward(int rows, const double* normalized, const double* inverseStd, double* dy,
                            double* dx) const {
    const int width = static_cast<int>(scale.size());
    for (int r = 0; r < rows; r++, normalized += width, dy += width, dx += width) {
        double sum = 0, dot = 0;
        for (int i = 0; i < width; i++) {
            dy[i] *= scale[i];
            sum += dy[i];
            dot += dy[i] * normalized[i];
        }
        for (int i = 0; i < width; i++)
            dx[i] += inverseStd[r] * (dy[i] - (sum + dot * normalized[i]) / width);
    }
}

Gate::Gate(int width, const std::vector<double>& weight) : width(width), newWeight(width), oldWeight(width) {
    for (int i = 0; i < width; i++) {
        newWeight[i] = weight[i] + weight[2 * width + i];
        oldWeight[i] = weight[width + i] - weight[2 * width + i];
    }
}

void Gate::forward(int rows, const double* x, const double* r, double* gates, double* y) const {
    for (int row = 0; row < rows; row++, x += width, r += width, y += width) {
        double s = 0;
        for (int i = 0; i < width; i++)
            s += newWeight[i] * x[i] + oldWeight[i] * r[i];
        double g = gates[row] = 1 / (1 + std::exp(-s));
        for (int i = 0; i < width; i++)
            y[i] = g * x[i] + (1 - g) * r[i];
    }
}

void Gate::backward(int rows, const double* x, const double* r, const double* gates, const double* dy,
                    double* dx, double* dr) const {
    for (int row = 0; row < rows; row++, x += width, r += width, dy += width, dx += width, dr += width) {
        double g = gates[row], ds = 0;
        for (int i = 0; i < width; i++)
            ds += dy[i] * (x[i] - r[i]);
        ds *= g * (1 - g);
        for (int i = 0; i < width; i++) {
            double d = dy[i];
            dx[i] = g * d + ds * newWeight[i];
            dr[i] = (1 - g) * d + ds * oldWeight[i];
        }
    }
}

void gelu(Gelu kind, int size, double* x, double* slope) {
    const double a = std::sqrt(2 / std::numbers::pi), b = 0.044715;
    const double gauss = 1 / std::sqrt(2 * std::numbers::pi);
    for (int i = 0; i < size; i++) {
        double v = x[i];
        if (kind == Gelu::Tanh) {
            double h = std::tanh(a * (v + b * v * v * v));
            x[i] = 0.5 * v * (1 + h);
            slope[i] = 0.5 * (1 + h) + 0.5 * v * (1 - h * h) * a * (1 + 3 * b * v * v);
        }
        else {
            double cdf = 0.5 * std::erfc(-v / std::numbers::sqrt2);
            x[i] = v * cdf;
            slope[i] = cdf + v * gauss * std::exp(-0.5 * v * v);
        }
    }
}

} // namespace OpenMMScore

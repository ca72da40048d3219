#ifndef OPENMMSCORE_MODELS_TRANSFORMERMATH_H_
#define OPENMMSCORE_MODELS_TRANSFORMERMATH_H_

#include <vector>

#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

// Numbers T are double or Dual.

/** y = (x - mean)/sqrt(variance + epsilon) * scale + shift over the last axis, with its reverse mode. */
class LayerNorm {
public:
    LayerNorm() = default;
    LayerNorm(const std::vector<double>& scale, const std::vector<double>& shift, double epsilon)
        : scale(scale), shift(shift), epsilon(epsilon) {}
    /**
     * @param x           shape [rows, width]
     * @param normalized  shape [rows, width], out: before scale and shift; needed backward
     * @param inverseStd  shape [rows], out: needed backward
     * @param y           shape [rows, width], out
     */
    template <class T>
    void forward(int rows, const T* x, T* normalized, T* inverseStd, T* y) const;
    /** dx += J^T dy; dy is used up as scratch. */
    template <class T>
    void addBackward(int rows, const T* normalized, const T* inverseStd, T* dy, T* dx) const;

private:
    std::vector<double> scale, shift;
    double epsilon = 0;
};

/**
 * A gated residual: g = sigmoid(w . [x, r, x - r]) with w of three parts and one g per row; y = g x + (1-g)
 * r.
 */
class Gate {
public:
    Gate() = default;
    /** @param weight  shape [3 width] */
    Gate(int width, const std::vector<double>& weight);
    /** @param gates  shape [rows], out: needed backward */
    template <class T>
    void forward(int rows, const T* x, const T* r, T* gates, T* y) const;
    /** dx = ..., dr = ...; dy may be the same array as dr. */
    template <class T>
    void backward(int rows, const T* x, const T* r, const T* gates, const T* dy, T* dx, T* dr) const;

private:
    int width = 0;
    /** The three parts folded into two: w . [x, r, x - r] = newWeight . x + oldWeight . r. */
    std::vector<double> newWeight, oldWeight;
};

/** x <- gelu(x), slope <- gelu'(x); either the erf form or its tanh approximation. */
template <class T>
void gelu(Gelu kind, int size, T* x, T* slope);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_TRANSFORMERMATH_H_

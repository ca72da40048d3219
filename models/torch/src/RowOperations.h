#ifndef OPENMMSCORE_TORCH_ROWOPERATIONS_H_
#define OPENMMSCORE_TORCH_ROWOPERATIONS_H_

#include <cstdint>

#include "openmmscore/models/ModelDescription.h"

/**
 * Operations on rows of numbers, [rows, width], row-major, each in the four forms that a loss of a gradient
 * needs (TransformerScore.h tells how they are put together). For an operation y = f(x):
 *
 *     Value     y
 *     Adjoint   g_x = f'(x)^T g_y, where g is the derivative of the energy
 *     Tangent   d_y = f'(x) d_x, where d is the derivative along the direction asked for
 *     Second    r_x = the derivative with respect to x of (g_y . f'(x) d_x + r_y . f(x)), and the same for
 * parameters
 *
 * T is float or double. Pointers named with "add" are added to, all others written.
 */
namespace OpenMMScore::RowOperations {

/** Width and number of rows. */
struct Rows {
    std::int64_t count, width;
};

/** y = gamma (x - mean)/sqrt(variance + epsilon) + beta over each row. */
template <class T>
struct LayerNorm {
    Rows rows;
    const T* gamma;
    const T* beta;
    T epsilon;
    /** Shapes [rows, width] and [rows]: the row before gamma and beta, and the factor 1/sqrt(...); set by
     * value(). */
    T* normalized;
    T* inverseDeviation;

    void value(const T* x, T* y) const;
    void adjoint(const T* gy, T* addGx) const;
    void tangent(const T* dx, T* dy) const;
    void second(const T* gy, const T* ry, const T* dx, T* addRx, T* addGamma, T* addBeta) const;
};

/** y = n + s (x - n), s = sigmoid(wx . x + wn . n): how much of an update x replaces n. */
template <class T>
struct Gate {
    Rows rows;
    const T* wx;
    const T* wn;
    /** The arguments, shape [rows, width]. */
    const T* x;
    const T* n;
    /** Shape [rows] each: s, and the adjoint of its argument; set by value() and adjoint(). */
    T* opening;
    T* argumentAdjoint;

    void value(T* y) const;
    void adjoint(const T* gy, T* gx, T* gn) const;
    void tangent(const T* dx, const T* dn, T* dy) const;
    void second(const T* gy, const T* ry, const T* dx, const T* dn, T* rx, T* rn, T* addWx, T* addWn) const;
};

/** y = f(x), number by number, f = gelu or swish. */
template <class T>
struct Activation {
    std::int64_t count;
    /** First and second derivative at x; set by gelu() and swish(). */
    T* slope;
    T* curvature;

    void gelu(Gelu kind, const T* x, T* y) const;
    /** y = x sigmoid(x) */
    void swish(const T* x, T* y) const;
    void adjoint(const T* gy, T* gx) const;
    void tangent(const T* dx, T* dy) const;
    void second(const T* gy, const T* ry, const T* dx, T* rx) const;
};

} // namespace OpenMMScore::RowOperations

#endif // OPENMMSCORE_TORCH_ROWOPERATIONS_H_

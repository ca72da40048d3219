#ifndef OPENMMSCORE_MODELS_DENSE_H_
#define OPENMMSCORE_MODELS_DENSE_H_

#include <vector>

#include "Dual.h"

namespace OpenMMScore {

/**
 * A dense layer y = W x + b of the plain engine. W is kept in both orders, so that the innermost loop runs
 * over adjacent numbers forward and backward.
 */
class Dense {
public:
    Dense() = default;
    /**
     * @param weight  shape [out, in]
     * @param bias    shape [out], or empty for none
     */
    Dense(int out, int in, const std::vector<double>& weight, const std::vector<double>& bias);

    int getNumInputs() const { return in; }
    int getNumOutputs() const { return out; }
    /** y = W x + b for each of some rows; x: [rows, in], y: [rows, out] */
    void forward(int rows, const double* x, double* y) const;
    void forward(int rows, const Dual* x, Dual* y) const {
        multiplyRows(rows, out, in, weight.data(), bias.data(), x, y);
    }
    /** y = W x, without the bias */
    void multiply(int rows, const double* x, double* y) const;
    /** dx += W^T dy for each of some rows; dy: [rows, out], dx: [rows, in] */
    void addBackward(int rows, const double* dy, double* dx) const;
    void addBackward(int rows, const Dual* dy, Dual* dx) const {
        multiplyRows(rows, in, out, transposed.data(), nullptr, dy, dx);
    }

private:
    /** y += W x */
    void addProduct(const double* x, double* y) const;

    int out = 0, in = 0;
    std::vector<double> weight, transposed, bias;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_DENSE_H_

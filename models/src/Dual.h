#ifndef OPENMMSCORE_MODELS_DUAL_H_
#define OPENMMSCORE_MODELS_DUAL_H_

#include <cmath>

namespace OpenMMScore {

/**
 * A number together with its derivatives along 16 directions. Arithmetic follows the rules of
 * differentiation, so what is computed of such numbers is differentiated to the last digits.
 */
struct Dual {
    static constexpr int lanes = 16;

    Dual() = default;
    /** A constant; not explicit, so that formulas may contain numbers. */
    Dual(double number) : value(number), tangents{} {}

    double value;
    double tangents[lanes];

    /** f(*this), of which value and slope are given. */
    Dual chain(double f, double slope) const {
        Dual result;
        result.value = f;
        for (int l = 0; l < lanes; l++)
            result.tangents[l] = slope * tangents[l];
        return result;
    }
    Dual& operator+=(const Dual& other) {
        value += other.value;
        for (int l = 0; l < lanes; l++)
            tangents[l] += other.tangents[l];
        return *this;
    }
    Dual& operator-=(const Dual& other) {
        value -= other.value;
        for (int l = 0; l < lanes; l++)
            tangents[l] -= other.tangents[l];
        return *this;
    }
    Dual& operator*=(const Dual& other) {
        for (int l = 0; l < lanes; l++)
            tangents[l] = tangents[l] * other.value + value * other.tangents[l];
        value *= other.value;
        return *this;
    }
    Dual& operator*=(double factor) {
        *this = chain(factor * value, factor);
        return *this;
    }
};

inline Dual operator+(Dual a, const Dual& b) {
    return a += b;
}
inline Dual operator-(Dual a, const Dual& b) {
    return a -= b;
}
inline Dual operator*(Dual a, const Dual& b) {
    return a *= b;
}
inline Dual operator*(Dual a, double factor) {
    return a *= factor;
}
inline Dual operator*(double factor, Dual a) {
    return a *= factor;
}
inline Dual operator/(const Dual& a, double divisor) {
    return a * (1 / divisor);
}
inline Dual operator-(const Dual& a) {
    return a.chain(-a.value, -1);
}

inline double valueOf(double x) {
    return x;
}
inline double valueOf(const Dual& x) {
    return x.value;
}
/** f(x), of which value and slope at x are given. */
inline double chain(double /*x*/, double f, double /*slope*/) {
    return f;
}
inline Dual chain(const Dual& x, double f, double slope) {
    return x.chain(f, slope);
}
template <class T>
T inverse(const T& x) {
    const double y = 1 / valueOf(x);
    return chain(x, y, -y * y);
}
template <class T>
T exponential(const T& x) {
    const double y = std::exp(valueOf(x));
    return chain(x, y, y);
}
/** 1/(1 + exp(-x)), whose slope is finite where it saturates, too. */
template <class T>
T logistic(const T& x) {
    const double y = 1 / (1 + std::exp(-valueOf(x)));
    return chain(x, y, y * (1 - y));
}
/** 1/sqrt(x) */
template <class T>
T inverseRoot(const T& x) {
    const double y = 1 / std::sqrt(valueOf(x));
    return chain(x, y, -0.5 * y / valueOf(x));
}

/** @return sum_i a_i b_i */
Dual dot(int size, const Dual* a, const Dual* b);
/** y_i += factor x_i */
void addMultiple(int size, const Dual& factor, const Dual* x, Dual* y);
/**
 * y = W x + b for each of some rows.
 *
 * @param weight  shape [out, in]
 * @param bias    shape [out]; or null: W x is added to y
 */
void multiplyRows(int rows, int out, int in, const double* weight, const double* bias, const Dual* x,
                  Dual* y);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_DUAL_H_

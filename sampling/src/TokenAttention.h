#ifndef OPENMMSCORE_SAMPLING_TOKENATTENTION_H_
#define OPENMMSCORE_SAMPLING_TOKENATTENTION_H_

#include <cstddef>

namespace OpenMMScore {

// What a transformer does with the tokens of one row, apart from its matrices. Every number is computed in
// the same order whatever processor it is computed on.

/** Queries, keys and values of one row lie in [tokens, query | key | value], each in equal parts for heads.
 */
struct TokenAttention {
    int width, heads;
    /** How far apart tokens are. */
    std::size_t step;
};

/** What a token attends to: so many tokens from the first on, and perhaps itself. */
struct TokenView {
    int token, visible;
    bool itself;

    int count() const { return visible + (itself ? 1 : 0); }
    int at(int index) const { return index < visible ? index : token; }
};

/** @return how many numbers there must be room for where so many weights are written */
inline std::size_t paddedWeights(int count) {
    return static_cast<std::size_t>(count) + 8;
}

/**
 * result = softmax(query . key) value, for each head.
 *
 * @param weights  written: room for paddedWeights(view.count())
 * @param result   written: [width]
 */
void attendTokens(const TokenAttention& shape, const TokenView& view, const double* qkv, double* weights,
                  double* result);
/**
 * Add the gradient by queries, keys and values of something whose gradient by that result is given.
 *
 * @param weights, byWeights  written: as above
 */
void differentiateAttention(const TokenAttention& shape, const TokenView& view, const double* qkv,
                            const double* byResult, double* weights, double* byWeights, double* byQkv);
/**
 * y = (x - mean) factor with factor = 1 / sqrt(variance + epsilon).
 *
 * @return the factor
 */
double normalizeToken(int width, double epsilon, const double* x, double* y);
/** Add the gradient by x of something whose gradient by y is given. */
void differentiateNorm(int width, const double* y, double factor, const double* byY, double* byX);
double tokenProduct(int width, const double* a, const double* b);
/** y += factor x */
void addScaledToken(int width, double factor, const double* x, double* y);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TOKENATTENTION_H_

// The part of TransformerSplineConditioner that computes gradients, in reverse.

#include <algorithm>

#include "TokenAttention.h"
#include "TransformerSplineConditioner.h"

namespace OpenMMScore {

void TransformerSplineConditioner::addNormGradient(int rows, const double* norm, const double* factor,
                                                   const double* byNorm, double* byX) const {
    for (int r = 0; r < rows; r++, norm += streamWidth, byNorm += streamWidth, byX += streamWidth)
        differentiateNorm(width, norm, factor[r], byNorm, byX);
}

void TransformerSplineConditioner::differentiateFeedForward(int token, int rows, std::size_t b,
                                                            Workspace& w) const {
    const Block& block = blocks[b];
    double* byX = &w.gradients[ByStream][at(token, rows, streamWidth)];
    double *byInner = w.gradients[ByInner].data(), *byNorm = w.gradients[ByNorm].data();
    multiplyBlock(rows, byX, streamWidth, block.contract.back, byInner, innerWidth);
    multiplyDerivative(rows * innerWidth, &kept(w, b, Before)[at(token, rows, innerWidth)], byInner);
    multiplyBlock(rows, byInner, innerWidth, block.expand.back, byNorm, streamWidth);
    addNormGradient(rows, &kept(w, b, SecondNorm)[at(token, rows, streamWidth)],
                    &kept(w, b, SecondFactor)[at(token, rows, 1)], byNorm, byX);
    multiplyBlock(rows, byX, streamWidth, block.projection.back,
                  &w.gradients[ByAttended][at(token, rows, streamWidth)], streamWidth);
}

void TransformerSplineConditioner::differentiateBlock(int rows, std::size_t b, Workspace& w) const {
    const int numTokens = countTokens() + countQueries();
    for (int token = 0; token < numTokens; token++)
        if (goesOn(token, b))
            differentiateFeedForward(token, rows, b, w);
    w.gradients[ByAttention].assign(static_cast<std::size_t>(rows) * rowStep(), 0.0);
    const TokenAttention shape{width, heads, static_cast<std::size_t>(attentionWidth)};
    for (int r = 0; r < rows; r++)
        for (int token = 0; token < numTokens; token++)
            if (goesOn(token, b))
                differentiateAttention(
                    shape, {token, countVisible(token), isQuery(token)}, &kept(w, b, Attention)[inRow(r, 0)],
                    &w.gradients[ByAttended][at(token, rows, streamWidth) + at(1, r, streamWidth)],
                    w.values[Weights].data(), w.gradients[ByWeights].data(),
                    &w.gradients[ByAttention][inRow(r, 0)]);
    double* byNorm = w.gradients[ByNorm].data();
    for (int token = 0; token < numTokens; token++) {
        multiplyBlock(rows, &w.gradients[ByAttention][inRow(0, token)],
                      static_cast<std::ptrdiff_t>(rowStep()), blocks[b].attention.back, byNorm, streamWidth);
        addNormGradient(rows, &kept(w, b, FirstNorm)[at(token, rows, streamWidth)],
                        &kept(w, b, FirstFactor)[at(token, rows, 1)], byNorm,
                        &w.gradients[ByStream][at(token, rows, streamWidth)]);
    }
}

void TransformerSplineConditioner::addGradient(int rows, Workspace& w, double* byV) const {
    if (width == 0)
        return;
    const int numTokens = countTokens() + countQueries();
    const auto all = static_cast<std::size_t>(rows) * static_cast<std::size_t>(numTokens);
    w.gradients[ByStream].assign(at(numTokens, rows, streamWidth), 0.0);
    grow(w.gradients[ByAttended], all, streamWidth);
    grow(w.gradients[ByInner], static_cast<std::size_t>(rows), innerWidth);
    grow(w.gradients[ByNorm], static_cast<std::size_t>(rows), streamWidth);
    grow(w.gradients[ByWeights], paddedWeights(numTokens), 1);
    const double* byNumbers = w.byNumbers.data();
    for (int p = 0; p < countQueries(); p++) {
        const Map& output = outputs[static_cast<std::size_t>(p)];
        multiplyBlock(rows, byNumbers, static_cast<std::ptrdiff_t>(numNumbers), output.back,
                      w.gradients[ByNorm].data(), streamWidth);
        addNormGradient(rows, &w.values[LastNorm][at(p, rows, streamWidth)],
                        &w.values[LastFactor][at(p, rows, 1)], w.gradients[ByNorm].data(),
                        &w.gradients[ByStream][at(countTokens() + p, rows, streamWidth)]);
        byNumbers += output.back.getNumInputs();
    }
    for (std::size_t b = blocks.size(); b-- > 0;)
        differentiateBlock(rows, b, w);
    for (std::size_t t = 0; t < inputs.size(); t++) {
        const double* byX = &w.gradients[ByStream][at(static_cast<int>(t), rows, streamWidth)];
        for (int r = 0; r < rows; r++, byX += streamWidth) {
            const double* number = &w.input[static_cast<std::size_t>(r * numInputs) + firstNumber[t]];
            const double* direction = &features[firstNumber[t] * static_cast<std::size_t>(width)];
            const double byNumber[] = {tokenProduct(width, byX, direction),
                                       inputs[t].angle ? tokenProduct(width, byX, direction + width) : 0.0};
            const double* next = byNumber;
            addInputGradient(inputs[t], number, next, byV + static_cast<std::size_t>(r) * dimension);
        }
    }
}

} // namespace OpenMMScore

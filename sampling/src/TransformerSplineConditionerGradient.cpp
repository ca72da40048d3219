// The part of TransformerSplineConditioner that computes gradients, in reverse.

#include <algorithm>

#include "TokenProducts.h"
#include "TransformerSplineConditioner.h"

namespace OpenMMScore {

void TransformerSplineConditioner::addNormGradient(int rows, const double* norm, const double* factor,
                                                   const double* byNorm, double* byX) const {
    for (int r = 0; r < rows; r++, norm += streamWidth, byNorm += streamWidth, byX += streamWidth) {
        const double mean = sumOf(width, byNorm) / width, along = dotProduct(width, byNorm, norm) / width;
        for (int i = 0; i < width; i++)
            byX[i] += factor[r] * (byNorm[i] - mean - along * norm[i]);
    }
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

void TransformerSplineConditioner::differentiateAttention(int token, int rows, int row, int head,
                                                          std::size_t b, Workspace& w) const {
    const std::size_t stride = at(1, rows, attentionWidth);
    const auto begin = static_cast<std::size_t>(row * attentionWidth);
    const std::size_t own = static_cast<std::size_t>(token) * stride;
    const int part = head * headSize;
    const double* qkv = &kept(w, b, Attention)[begin];
    double* byQkv = &w.gradients[ByAttention][begin];
    double *weights = w.values[Weights].data(), *byWeights = w.gradients[ByWeights].data();
    const double* byResult =
        &w.gradients[ByAttended][at(token, rows, streamWidth)] + row * streamWidth + part;
    const int count = computeWeights(token, rows, head, qkv, weights), visible = countVisible(token);
    const auto where = [&](int j) { return j < visible ? static_cast<std::size_t>(j) * stride : own; };
    double mean = 0;
    for (int j = 0; j < count; j++) {
        const std::size_t value = where(j) + static_cast<std::size_t>(2 * width + part);
        byWeights[j] = dotProduct(headSize, byResult, qkv + value);
        mean += weights[j] * byWeights[j];
        addScaled(headSize, weights[j], byResult, byQkv + value);
    }
    for (int j = 0; j < count; j++) {
        const double byScore = weights[j] * (byWeights[j] - mean);
        const std::size_t key = where(j) + static_cast<std::size_t>(width + part);
        addScaled(headSize, byScore, qkv + key, byQkv + own + part);
        addScaled(headSize, byScore, qkv + own + part, byQkv + key);
    }
}

void TransformerSplineConditioner::differentiateBlock(int rows, std::size_t b, Workspace& w) const {
    const int numTokens = countTokens() + countQueries();
    for (int token = 0; token < numTokens; token++)
        if (goesOn(token, b))
            differentiateFeedForward(token, rows, b, w);
    w.gradients[ByAttention].assign(at(numTokens, rows, attentionWidth), 0.0);
    for (int r = 0; r < rows; r++)
        for (int token = 0; token < numTokens; token++)
            for (int head = 0; goesOn(token, b) && head < heads; head++)
                differentiateAttention(token, rows, r, head, b, w);
    double* byNorm = w.gradients[ByNorm].data();
    for (int token = 0; token < numTokens; token++) {
        multiplyBlock(rows, &w.gradients[ByAttention][at(token, rows, attentionWidth)], attentionWidth,
                      blocks[b].attention.back, byNorm, streamWidth);
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
    grow(w.gradients[ByWeights], 1, numTokens + 1);
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
            const double byNumber[] = {dotProduct(width, byX, direction),
                                       inputs[t].angle ? dotProduct(width, byX, direction + width) : 0.0};
            const double* next = byNumber;
            addInputGradient(inputs[t], number, next, byV + static_cast<std::size_t>(r) * dimension);
        }
    }
}

} // namespace OpenMMScore

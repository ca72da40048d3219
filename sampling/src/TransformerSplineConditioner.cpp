#include "TransformerSplineConditioner.h"

#include <algorithm>
#include <cmath>

#include "TokenAttention.h"

namespace OpenMMScore {

namespace {

using Description = SplineFlowDescription;

/** Multiply columns by what a norm multiplies, and move what it adds into the bias. */
void foldNorm(const std::vector<double>& scale, const std::vector<double>& shift, std::vector<double>& weight,
              std::vector<double>& bias) {
    for (std::size_t o = 0; o < bias.size(); o++)
        for (std::size_t i = 0; i < scale.size(); i++) {
            bias[o] += weight[o * scale.size() + i] * shift[i];
            weight[o * scale.size() + i] *= scale[i];
        }
}

const char* headOf(Description::Kind kind) {
    return kind == Description::Kind::Real       ? "head.real.weight"
           : kind == Description::Kind::Circular ? "head.circular.weight"
                                                 : "head.box.weight";
}

} // namespace

TransformerSplineConditioner::TransformerSplineConditioner(const Description& description, std::size_t l,
                                                           const SplineFlow::Tensors& tensors)
    : SplineConditioner(description, l),
      autoregressive(description.layers[l].type == Description::Layer::Type::Autoregressive),
      width(inputs.empty() ? 0 : description.layers[l].hidden[0]), heads(description.layers[l].heads) {
    const Description::Layer& layer = description.layers[l];
    const std::string prefix = "layers." + std::to_string(l) + ".";
    const auto find = [&](const std::string& name) { return tensors.at(prefix + name); };
    const auto makeMap = [](int out, int in, const std::vector<double>& weight,
                            const std::vector<double>& bias) {
        return Map{{out, in, weight.data(), bias.data()}, transposed(out, in, weight.data())};
    };
    std::vector<double> lastScale, lastShift;
    if (width > 0) {
        numFree = countTokens() - (autoregressive ? static_cast<int>(layer.transformed.size()) - 1 : 0);
        for (std::size_t t = 0, number = 0; t < inputs.size(); number += inputs[t++].angle ? 2 : 1)
            firstNumber.push_back(number);
        features = find("features");
        embedding = find("embedding");
        queries = find("queries");
        for (std::size_t b = 0; b < layer.hidden.size(); b++) {
            const auto tensor = [&](const std::string& name) {
                return find("blocks." + std::to_string(b) + "." + name);
            };
            std::vector<double> attention = tensor("attention.weight"), bias = tensor("attention.bias");
            foldNorm(tensor("attention_norm.weight"), tensor("attention_norm.bias"), attention, bias);
            const int headSize = width / heads;
            const double scale = 1 / std::sqrt(static_cast<double>(headSize));
            for (int i = 0; i < width * width; i++)
                attention[static_cast<std::size_t>(i)] *= scale;
            for (int i = 0; i < width; i++)
                bias[static_cast<std::size_t>(i)] *= scale;
            std::vector<double> expand = tensor("expand.weight"), expandBias = tensor("expand.bias");
            foldNorm(tensor("feed_forward_norm.weight"), tensor("feed_forward_norm.bias"), expand,
                     expandBias);
            blocks.push_back(
                {makeMap(3 * width, width, attention, bias),
                 makeMap(width, width, tensor("projection.weight"), tensor("projection.bias")),
                 makeMap(layer.feedForward, width, expand, expandBias),
                 makeMap(width, layer.feedForward, tensor("contract.weight"), tensor("contract.bias"))});
        }
        lastScale = find("norm.weight");
        lastShift = find("norm.bias");
        streamWidth = blocks[0].projection.forward.getNumOutputs();
        attentionWidth = blocks[0].attention.forward.getNumOutputs();
        innerWidth = blocks[0].expand.forward.getNumOutputs();
    }
    const std::vector<double> biases = find("head.bias");
    auto bias = biases.begin();
    for (int i : layer.transformed) {
        const int count = description.countKnotNumbers(description.getKind(i));
        std::vector<double> own(bias, bias + count), weight;
        if (width > 0)
            weight = find(headOf(description.getKind(i)));
        foldNorm(lastScale, lastShift, weight, own);
        outputs.push_back(makeMap(count, width, weight, own));
        bias += count;
    }
}

int TransformerSplineConditioner::countVisible(int token) const {
    const int behind = isQuery(token) ? token - countTokens() : token + 1 - numFree;
    return autoregressive ? numFree + std::max(0, behind) : numFree;
}

void TransformerSplineConditioner::reserve(std::size_t rows, Workspace& w) const {
    w.values.resize(std::max(w.values.size(), numShared + blocks.size() * numKept));
    w.gradients.resize(std::max<std::size_t>(w.gradients.size(), numGradients));
    grow(w.input, rows, numInputs);
    for (const Map& output : outputs)
        grow(w.numbers, rows, output.forward.getNumOutputs());
    if (width == 0)
        return;
    const int numTokens = countTokens() + countQueries();
    const std::size_t all = rows * static_cast<std::size_t>(numTokens);
    for (Shared what : {Stream, Attended})
        grow(w.values[what], all, streamWidth);
    grow(w.values[LastNorm], rows * outputs.size(), streamWidth);
    grow(w.values[LastFactor], rows * outputs.size(), 1);
    grow(w.values[Active], rows, innerWidth);
    grow(w.values[Added], rows, streamWidth);
    grow(w.values[Weights], paddedWeights(numTokens), 1);
    for (std::size_t b = 0; b < blocks.size(); b++) {
        for (Kept what : {FirstNorm, SecondNorm})
            grow(kept(w, b, what), all, streamWidth);
        for (Kept what : {FirstFactor, SecondFactor})
            grow(kept(w, b, what), all, 1);
        grow(kept(w, b, Attention), rows * rowStep(), 1);
        grow(kept(w, b, Before), all, innerWidth);
    }
}

void TransformerSplineConditioner::begin(int first, int end, int rows, const double* v, Workspace& w) const {
    for (int token = first; token < end; token++) {
        double* x = &w.values[Stream][at(token, rows, streamWidth)];
        const auto index = static_cast<std::size_t>(isQuery(token) ? token - countTokens() : token);
        const double* from = &(isQuery(token) ? queries : embedding)[index * static_cast<std::size_t>(width)];
        for (int r = 0; r < rows; r++, x += streamWidth) {
            std::copy_n(from, width, x);
            if (isQuery(token))
                continue;
            double* number = &w.input[static_cast<std::size_t>(r * numInputs) + firstNumber[index]];
            const double* const behind =
                writeInput(inputs[index], v + static_cast<std::size_t>(r) * dimension, number);
            const double* direction = &features[firstNumber[index] * static_cast<std::size_t>(width)];
            for (; number != behind; number++, direction += width)
                addScaledToken(width, *number, direction, x);
        }
    }
}

void TransformerSplineConditioner::normalize(int rows, const double* x, double* y, double* factor) const {
    for (int r = 0; r < rows; r++, x += streamWidth, y += streamWidth)
        factor[r] = normalizeToken(width, Description::layerNormEpsilon, x, y);
}

void TransformerSplineConditioner::attend(int first, int end, int rows, std::size_t b, Workspace& w) const {
    const TokenAttention shape{width, heads, static_cast<std::size_t>(attentionWidth)};
    // Row by row: what all tokens of one row attend to stays in the cache.
    for (int r = 0; r < rows; r++) {
        const double* qkv = &kept(w, b, Attention)[inRow(r, 0)];
        for (int token = first; token < end; token++)
            if (goesOn(token, b))
                attendTokens(shape, {token, countVisible(token), isQuery(token)}, qkv,
                             w.values[Weights].data(),
                             &w.values[Attended][at(token, rows, streamWidth) + at(1, r, streamWidth)]);
    }
}

void TransformerSplineConditioner::feedForward(int token, int rows, std::size_t b, Workspace& w) const {
    const Block& block = blocks[b];
    double* x = &w.values[Stream][at(token, rows, streamWidth)];
    double *added = w.values[Added].data(), *active = w.values[Active].data();
    multiplyBlock(rows, &w.values[Attended][at(token, rows, streamWidth)], streamWidth,
                  block.projection.forward, added, streamWidth);
    for (int i = 0; i < rows * streamWidth; i++)
        x[i] += added[i];
    double* norm = &kept(w, b, SecondNorm)[at(token, rows, streamWidth)];
    double* before = &kept(w, b, Before)[at(token, rows, innerWidth)];
    normalize(rows, x, norm, &kept(w, b, SecondFactor)[at(token, rows, 1)]);
    multiplyBlock(rows, norm, streamWidth, block.expand.forward, before, innerWidth);
    applyActivation(rows * innerWidth, before, active);
    multiplyBlock(rows, active, innerWidth, block.contract.forward, added, streamWidth);
    for (int i = 0; i < rows * streamWidth; i++)
        x[i] += added[i];
}

void TransformerSplineConditioner::run(int first, int end, int rows, Workspace& w) const {
    for (std::size_t b = 0; b < blocks.size(); b++) {
        for (int token = first; token < end; token++) {
            double* norm = &kept(w, b, FirstNorm)[at(token, rows, streamWidth)];
            normalize(rows, &w.values[Stream][at(token, rows, streamWidth)], norm,
                      &kept(w, b, FirstFactor)[at(token, rows, 1)]);
            multiplyBlock(rows, norm, streamWidth, blocks[b].attention.forward,
                          &kept(w, b, Attention)[inRow(0, token)], static_cast<std::ptrdiff_t>(rowStep()));
        }
        attend(first, end, rows, b, w);
        for (int token = first; token < end; token++)
            if (goesOn(token, b))
                feedForward(token, rows, b, w);
    }
    for (int token = std::max(first, countTokens()); token < end; token++)
        normalize(rows, &w.values[Stream][at(token, rows, streamWidth)],
                  &w.values[LastNorm][at(token - countTokens(), rows, streamWidth)],
                  &w.values[LastFactor][at(token - countTokens(), rows, 1)]);
}

void TransformerSplineConditioner::compute(int rows, const double* v, Workspace& w) const {
    if (width == 0)
        return;
    const int end = countTokens() + countQueries();
    begin(0, end, rows, v, w);
    run(0, end, rows, w);
}

void TransformerSplineConditioner::computeNext(int rows, std::size_t p, const double* v, Workspace& w) const {
    if (width == 0)
        return;
    if (!autoregressive) {
        if (p == 0)
            compute(rows, v, w);
        return;
    }
    // Those that are known from the beginning, then what was inverted last; and the query.
    const int position = static_cast<int>(p), query = countTokens() + position;
    const int first = p == 0 ? 0 : numFree + position - 1, end = numFree + position;
    begin(first, end, rows, v, w);
    run(first, end, rows, w);
    begin(query, query + 1, rows, v, w);
    run(query, query + 1, rows, w);
}

const double* TransformerSplineConditioner::computeNumbers(int rows, std::size_t p, Workspace& w,
                                                           std::size_t& step) const {
    const PackedLayer& output = outputs[p].forward;
    step = static_cast<std::size_t>(output.getNumOutputs());
    const double* x = w.values[LastNorm].data() + at(static_cast<int>(p), rows, streamWidth);
    multiplyBlock(rows, x, streamWidth, output, w.numbers.data(), static_cast<std::ptrdiff_t>(step));
    return w.numbers.data();
}

} // namespace OpenMMScore

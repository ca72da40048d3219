#include "TransformerConditioner.h"

#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

namespace OpenMMScore {

namespace {

using Description = SplineFlowDescription;
using Kind = Description::Kind;

/** The index of the first block's first parameter. */
constexpr std::size_t firstBlock = 3;

} // namespace

TransformerConditioner::TransformerConditioner(const Description& description, std::size_t l,
                                               const std::vector<at::Tensor>& given)
    : layer(description.layers[l]), width(layer.hidden[0]),
      numQueries(static_cast<std::int64_t>(layer.transformed.size())) {
    for (const at::Tensor& parameter : given)
        parameters.push_back(parameter.detach());
    numTokens = parameters[1].size(0);
    std::vector<std::int64_t> tokens;
    for (int last = -1; const int coordinate : description.getInputCoordinates(l)) {
        tokens.push_back(tokens.empty() ? 0 : tokens.back() + (coordinate == last ? 0 : 1));
        last = coordinate;
    }
    tokenOfInput = at::tensor(tokens, at::kLong);
    makeMask(description, parameters[0].options());
    orderNumbers(description);
}

void TransformerConditioner::makeMask(const Description& description, const at::TensorOptions& options) {
    const bool autoregressive = layer.type == Description::Layer::Type::Autoregressive;
    const std::int64_t numFree = description.dimension - numQueries;
    mask =
        at::full({numTokens + numQueries, numTokens + 1}, -std::numeric_limits<double>::infinity(), options);
    for (std::int64_t i = 0; i < numTokens + numQueries; i++) {
        const bool query = i >= numTokens;
        const std::int64_t behind = query ? i - numTokens : std::max<std::int64_t>(0, i + 1 - numFree);
        mask[i].narrow(0, 0, numFree + (autoregressive ? behind : 0)).zero_();
        if (query)
            mask[i][numTokens] = 0;
    }
}

void TransformerConditioner::orderNumbers(const Description& description) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(parameters.back().numel()));
    std::int64_t from = 0;
    for (const Kind kind : {Kind::Real, Kind::Circular, Kind::Box}) {
        std::vector<std::int64_t> queries;
        std::size_t to = 0;
        for (std::size_t p = 0; p < layer.transformed.size(); p++) {
            const Kind own = description.getKind(layer.transformed[p]);
            const auto count = static_cast<std::size_t>(description.countKnotNumbers(own));
            if (own == kind) {
                queries.push_back(static_cast<std::int64_t>(p));
                for (std::size_t k = 0; k < count; k++)
                    order[to + k] = from++;
            }
            to += count;
        }
        if (!queries.empty())
            queriesOfKind.push_back(at::tensor(queries, at::kLong));
    }
    numberOrder = at::tensor(order, at::kLong);
}

at::Tensor TransformerConditioner::normalize(const at::Tensor& x, std::size_t& next) const {
    next += 2;
    return at::layer_norm(x, {width}, parameters[next - 2], parameters[next - 1],
                          Description::layerNormEpsilon);
}

at::Tensor TransformerConditioner::map(const at::Tensor& x, std::size_t& next) const {
    next += 2;
    return at::linear(x, parameters[next - 2], parameters[next - 1]);
}

at::Tensor TransformerConditioner::begin(const at::Tensor& inputs) const {
    const std::int64_t samples = inputs.size(1);
    at::Tensor tokens = inputs.t().unsqueeze(2) * parameters[0];
    if (inputs.size(0) > numTokens)
        tokens = at::zeros({samples, numTokens, width}, inputs.options()).index_add(1, tokenOfInput, tokens);
    return at::cat({tokens + parameters[1], parameters[2].unsqueeze(0).expand({samples, -1, -1})}, 1);
}

at::Tensor TransformerConditioner::attend(const at::Tensor& queryKeyValue, std::int64_t first) const {
    const std::int64_t samples = queryKeyValue.size(0), all = queryKeyValue.size(1);
    const at::Tensor parts =
        queryKeyValue.view({samples, all, 3, layer.heads, width / layer.heads}).permute({2, 0, 3, 1, 4});
    const std::int64_t count = all - first;
    const at::Tensor query = parts[0].narrow(2, first, count) / std::sqrt(double(width / layer.heads)),
                     key = parts[1], value = parts[2];
    const at::Tensor others = at::matmul(query, key.narrow(2, 0, numTokens).transpose(2, 3)),
                     itself = (query * key.narrow(2, first, count)).sum(-1, true);
    const at::Tensor weights = at::softmax(at::cat({others, itself}, 3) + mask.narrow(0, first, count), 3);
    const at::Tensor result = at::matmul(weights.narrow(3, 0, numTokens), value.narrow(2, 0, numTokens)) +
                              weights.narrow(3, numTokens, 1) * value.narrow(2, first, count);
    return result.transpose(1, 2).reshape({samples, count, width});
}

at::Tensor TransformerConditioner::runBlock(const at::Tensor& x, std::size_t& next,
                                            std::int64_t first) const {
    const at::Tensor norm = normalize(x, next);
    const at::Tensor attended = attend(map(norm, next), first);
    const at::Tensor result = x.narrow(1, first, x.size(1) - first) + map(attended, next);
    const at::Tensor inner = normalize(result, next);
    const at::Tensor active = activate(layer.activation, map(inner, next));
    return result + map(active, next);
}

at::Tensor TransformerConditioner::knotNumbers(const at::Tensor& x, std::size_t next) const {
    std::vector<at::Tensor> ofKinds;
    for (const at::Tensor& queries : queriesOfKind) {
        const at::Tensor y = at::matmul(x.index_select(1, queries), parameters[next++].t());
        ofKinds.push_back(y.permute({1, 2, 0}).reshape({-1, x.size(0)}));
    }
    const at::Tensor bias = parameters[next].unsqueeze(1);
    // Of one kind alone they lie as they should.
    return (ofKinds.size() == 1 ? ofKinds[0] : at::cat(ofKinds, 0).index_select(0, numberOrder)) + bias;
}

at::Tensor TransformerConditioner::run(const at::Tensor& inputs, bool keep) {
    const at::AutoGradMode mode(keep);
    leaf = inputs.detach().requires_grad_(keep);
    for (at::Tensor& parameter : parameters)
        parameter.requires_grad_(keep);
    at::Tensor x = begin(leaf);
    std::size_t next = firstBlock;
    // Behind the last block only queries are wanted.
    for (std::size_t b = 0; b < layer.hidden.size(); b++)
        x = runBlock(x, next, b + 1 < layer.hidden.size() ? 0 : numTokens);
    x = normalize(x, next);
    numbers = knotNumbers(x, next);
    return numbers.detach().contiguous();
}

at::Tensor TransformerConditioner::differentiate(const at::Tensor& gNumbers,
                                                 std::vector<at::Tensor>& gradient) {
    std::vector<at::Tensor> of = parameters;
    of.push_back(leaf);
    const auto parts = torch::autograd::grad({numbers}, of, {gNumbers}, false, false, true);
    for (std::size_t i = 0; i < parameters.size(); i++)
        if (parts[i].defined())
            gradient[i].add_(parts[i]);
    return parts.back().contiguous();
}

} // namespace OpenMMScore

#ifndef OPENMMSCORE_TORCH_TRANSFORMERCONDITIONER_H_
#define OPENMMSCORE_TORCH_TRANSFORMERCONDITIONER_H_

#include "ConditionerSweep.h"

namespace OpenMMScore {

/** A transformer, whose way back is that of LibTorch's autograd. */
class TransformerConditioner : public ConditionerSweep {
public:
    TransformerConditioner(const SplineFlowDescription& description, std::size_t layer,
                           const std::vector<at::Tensor>& parameters);

    at::Tensor run(const at::Tensor& inputs, bool keep) override;
    at::Tensor differentiate(const at::Tensor& gNumbers, std::vector<at::Tensor>& gradient) override;

private:
    /** @return [samples, tokens and queries, H] */
    at::Tensor begin(const at::Tensor& inputs) const;
    /** @param next  index of the block's first parameter, moved on behind its last
     *  @param first  the first token that goes on */
    at::Tensor runBlock(const at::Tensor& x, std::size_t& next, std::int64_t first) const;
    /** @return [samples, tokens from first on, H] */
    at::Tensor attend(const at::Tensor& queryKeyValue, std::int64_t first) const;
    at::Tensor knotNumbers(const at::Tensor& x, std::size_t next) const;
    at::Tensor normalize(const at::Tensor& x, std::size_t& next) const;
    at::Tensor map(const at::Tensor& x, std::size_t& next) const;
    void makeMask(const SplineFlowDescription& description, const at::TensorOptions& options);
    void orderNumbers(const SplineFlowDescription& description);

    const SplineFlowDescription::Layer& layer;
    /** Leaves of the graph where one is recorded. */
    std::vector<at::Tensor> parameters;
    std::int64_t width, numTokens, numQueries;
    /** Of each input its token. */
    at::Tensor tokenOfInput;
    /** [tokens and queries, tokens + 1]: 0 where attention is, -infinity elsewhere; the last column is of
     * each query for itself. */
    at::Tensor mask;
    /** Of each kind of coordinates that there is, their queries; and where each number is when kinds lie one
     * after the other. */
    std::vector<at::Tensor> queriesOfKind;
    at::Tensor numberOrder;
    /** What run() was given and gave. */
    at::Tensor leaf, numbers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TRANSFORMERCONDITIONER_H_

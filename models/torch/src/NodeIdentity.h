#ifndef OPENMMSCORE_TORCH_NODEIDENTITY_H_
#define OPENMMSCORE_TORCH_NODEIDENTITY_H_

#include "TransformerParameters.h"

namespace OpenMMScore {

/**
 * What a graph transformer's nodes begin with beside the time: W_n times a one-hot index of the particle or,
 * in a network with features, times the embeddings of its features side by side. Rows are looked up, not
 * multiplied: W_n and an embedding are multiplied once for each value that a feature can have.
 */
class NodeIdentity {
public:
    /** @param features  shape [molecules, particles, features], int64; undefined for the one-hot index */
    NodeIdentity(const TransformerParameters& parameters, std::int64_t particles, const at::Tensor& features);

    /** @return how many columns of W_n belong to the identity; those of the time follow */
    std::int64_t getWidth() const { return width; }
    /** @return shape [molecules or 1, particles, H], which autograd can follow */
    at::Tensor nodes() const;
    /**
     * @param ofNodes   shape [molecules, particles, H]: the derivative by nodes()
     * @param gradient  of W_n and of the embeddings, added to
     */
    void addGradient(const at::Tensor& ofNodes, const TransformerParameters& gradient) const;

private:
    /** @return the columns of a matrix like W_n that belong to feature f */
    at::Tensor columns(const at::Tensor& weight, std::size_t f) const;
    at::Tensor index(std::size_t f) const {
        return features.select(2, static_cast<std::int64_t>(f)).flatten();
    }

    const TransformerParameters& parameters;
    std::int64_t particles, width;
    at::Tensor features;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_NODEIDENTITY_H_

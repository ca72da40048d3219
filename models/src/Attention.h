#ifndef OPENMMSCORE_MODELS_ATTENTION_H_
#define OPENMMSCORE_MODELS_ATTENTION_H_

#include <vector>

#include "Dense.h"

namespace OpenMMScore {

/**
 * Multi-head attention over the particles of one molecule, with edges.
 *
 * The networks add to every key and value an edge term e_ij that is affine in z_j - z_i: e_ij = A z_j - A z_i
 * + c. What does not depend on j drops out of the softmax, so that no array of N x N edges is needed
 * (docs/physics.md, "Factored attention"):
 *
 *     a_ij = softmax_j( q_i . (k_j + A z_j) / sqrt(headSize) ),     m_i = sum_j a_ij (v_j + A z_j) - A z_i +
 * c.
 */
class Attention {
public:
    Attention() = default;
    /**
     * @param edge           the layer's edge weights, shape [heads headSize, hidden], and bias
     * @param edgeEmbedding  weights of the edge embedding, shape [hidden, 3], and bias
     */
    Attention(int heads, int headSize, int hidden, const std::vector<double>& edge,
              const std::vector<double>& edgeBias, const std::vector<double>& edgeEmbedding,
              const std::vector<double>& edgeEmbeddingBias);

    /**
     * Numbers T are double or Dual.
     *
     * @param n        number of particles
     * @param z        shape [n, 3]
     * @param q,k,v    shape [n, heads headSize]; k and v come back with A z_j added
     * @param weights  shape [heads, n, n], out: a_ij
     * @param m        shape [n, heads headSize], out
     */
    template <class T>
    void forward(int n, const T* z, const T* q, T* k, T* v, T* weights, T* m) const;
    /**
     * @param q,k,v,weights  as forward() left them
     * @param dm             shape [n, heads headSize]
     * @param dq,dk,dv       shape [n, heads headSize], out
     * @param dz             shape [n, 3], added to
     * @param scratch        shape [n]
     */
    template <class T>
    void addBackward(int n, const T* q, const T* k, const T* v, const T* weights, const T* dm, T* dq, T* dk,
                     T* dv, T* dz, T* scratch) const;

private:
    int heads = 0, headSize = 0;
    double scale = 1;
    Dense position;
    std::vector<double> constant;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_ATTENTION_H_

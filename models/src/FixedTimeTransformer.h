#ifndef OPENMMSCORE_MODELS_FIXEDTIMETRANSFORMER_H_
#define OPENMMSCORE_MODELS_FIXEDTIMETRANSFORMER_H_

#include "GraphTransformer.h"

namespace OpenMMScore {

/**
 * A graph transformer at one t for one molecule: nodes, queries, keys and values of the first layer do not
 * depend on positions any more and are kept.
 */
class FixedTimeTransformer : public FixedTimeNetwork {
public:
    FixedTimeTransformer(const GraphTransformer& network, double t, std::span<const int> features);
    std::size_t getWorkspaceSize() const override;
    void evaluate(const double* z, double* output, double* gradient, double* workspace) const override;
    std::size_t getDivergenceWorkspaceSize() const override;
    /**
     * Everything is computed of numbers that carry their derivatives along 16 directions (Dual.h): those of
     * all particles but the last, since the network is a function of differences of positions and its
     * derivatives along a common displacement are zero.
     */
    void evaluateDivergence(const double* z, double* output, double* gradient, double* divergence,
                            double* workspace) const override;
    void multiplyJacobian(const double* z, const double* direction, double* product,
                          double* workspace) const override;

    /** evaluate() with numbers T, double or Dual; workspace for as many of these. */
    template <class T>
    void run(const T* z, T* output, T* gradient, T* workspace) const;

private:
    /** What the reverse pass needs of one layer; points into the workspace. Numbers T are double or Dual. */
    template <class T>
    struct Tape {
        T *q, *k, *v, *weights, *m, *attended, *attentionGates;
        T *normalized1, *inverseStd1, *normalized2, *inverseStd2;
        T *nodes1, *expanded, *slopes, *contracted, *feedForwardGates, *nodes2;
    };
    /** Arrays that every layer uses anew, and what goes into the first. */
    template <class T>
    struct Scratch {
        T *nodes0, *nodesGradient, *branchGradient, *y, *dq, *dk, *dv, *dm, *wide, *row;
    };
    /** Lays the arrays out one after another. @return how many numbers they take */
    template <class T>
    std::size_t layOut(T* workspace, Tape<T>* tapes, Scratch<T>& scratch) const;
    template <class T>
    void forwardLayer(int l, const T* z, const T* nodes, const Tape<T>& tape, T* y) const;
    template <class T>
    void backwardLayer(int l, const T* nodes, const Tape<T>& tape, const Scratch<T>& scratch, T* dz) const;
    template <class T>
    void projectToHeads(const TransformerLayer& layer, const T* y, T* q, T* k, T* v) const;
    struct Duals;
    int getNumOutputs() const;

    const GraphTransformer& network;
    int n, hidden, inner, wide;
    std::vector<double> nodes0, q0, k0, v0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_FIXEDTIMETRANSFORMER_H_

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

private:
    /** What the reverse pass needs of one layer; points into the workspace. */
    struct Tape {
        double *q, *k, *v, *weights, *m, *attended, *attentionGates;
        double *normalized1, *inverseStd1, *normalized2, *inverseStd2;
        double *nodes1, *expanded, *slopes, *contracted, *feedForwardGates, *nodes2;
    };
    /** Arrays that every layer uses anew. */
    struct Scratch {
        double *nodesGradient, *branchGradient, *y, *dq, *dk, *dv, *dm, *wide, *row;
    };
    /** Lays the arrays out one after another. @return how many doubles they take */
    std::size_t layOut(double* workspace, Tape* tapes, Scratch& scratch) const;
    void forwardLayer(int l, const double* z, const double* nodes, const Tape& tape, double* y) const;
    void backwardLayer(int l, const double* nodes, const Tape& tape, const Scratch& scratch,
                       double* dz) const;
    void projectToHeads(const TransformerLayer& layer, const double* y, double* q, double* k,
                        double* v) const;

    const GraphTransformer& network;
    int n, hidden, inner, wide;
    std::vector<double> nodes0, q0, k0, v0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_FIXEDTIMETRANSFORMER_H_

#ifndef OPENMMSCORE_SAMPLING_TRANSFORMERSPLINECONDITIONER_H_
#define OPENMMSCORE_SAMPLING_TRANSFORMERSPLINECONDITIONER_H_

#include "SplineConditioner.h"

namespace OpenMMScore {

/**
 * The transformer. What a token attends to is a prefix of the tokens and, of queries, the query itself. So
 * tokens may be computed one after the other once those before them are: drawing from an autoregressive layer
 * costs what its density costs.
 *
 * Scales and biases of layer norms, and the scale of attention, are folded into the matrices behind them.
 * Arrays are [tokens, rows, width], widths padded as products write them; the queries follow the tokens and
 * are tokens themselves wherever that makes no difference.
 */
class TransformerSplineConditioner : public SplineConditioner {
public:
    TransformerSplineConditioner(const SplineFlowDescription& description, std::size_t layer,
                                 const SplineFlow::Tensors& tensors);

    void reserve(std::size_t rows, Workspace& workspace) const override;
    void compute(int rows, const double* v, Workspace& workspace) const override;
    void computeNext(int rows, std::size_t p, const double* v, Workspace& workspace) const override;
    const double* computeNumbers(int rows, std::size_t p, Workspace& workspace,
                                 std::size_t& step) const override;
    void addGradient(int rows, Workspace& workspace, double* byV) const override;

private:
    struct Map {
        PackedLayer forward, back;
    };
    struct Block {
        Map attention, projection, expand, contract;
    };
    /** Of a workspace's values. */
    enum Shared {
        /** The stream of every token; what attention gives. */
        Stream,
        Attended,
        /** The queries' last norms (centred and scaled), and the factors of these. */
        LastNorm,
        LastFactor,
        /** Of one token: activations, and what is added to the stream. */
        Active,
        Added,
        /** Of attention of one row, head and token. */
        Weights,
        numShared
    };
    /** Of a workspace's values, for each block: norms and their factors, [query | key | value], of which the
     * tokens of a row lie together, and what the activation gets. */
    enum Kept { FirstNorm, FirstFactor, Attention, SecondNorm, SecondFactor, Before, numKept };
    /** Of a workspace's gradients: by the stream, by what attention gives, by query, key and value, and of
     * one token by an inner width and by a norm. */
    enum Gradient { ByStream, ByAttended, ByAttention, ByInner, ByNorm, ByWeights, numGradients };

    static std::vector<double>& kept(Workspace& workspace, std::size_t block, Kept what) {
        return workspace.values[numShared + block * numKept + what];
    }
    /** @return how far apart rows are where tokens of a row lie together, an odd number of cache lines */
    std::size_t rowStep() const {
        return (static_cast<std::size_t>((countTokens() + countQueries()) * attentionWidth) &
                ~std::size_t(15)) +
               24;
    }
    /** @return where a token's query, key and value lie */
    std::size_t inRow(int row, int token) const {
        return static_cast<std::size_t>(row) * rowStep() + static_cast<std::size_t>(token * attentionWidth);
    }
    /** @return where a token's rows begin, in an array of this width */
    static std::size_t at(int token, int rows, int width) {
        return static_cast<std::size_t>(token) * static_cast<std::size_t>(rows) *
               static_cast<std::size_t>(width);
    }
    int countTokens() const { return static_cast<int>(inputs.size()); }
    int countQueries() const { return static_cast<int>(outputs.size()); }
    /** @return how many tokens this one attends to, from the first on */
    int countVisible(int token) const;
    bool isQuery(int token) const { return token >= countTokens(); }
    /** Whether a block does more with it than to let others attend to it. */
    bool goesOn(int token, std::size_t block) const { return isQuery(token) || block + 1 < blocks.size(); }

    /** Write the stream's beginning. */
    void begin(int first, int end, int rows, const double* v, Workspace& workspace) const;
    /** Take tokens through all blocks; those that they attend to went before, or are among them. */
    void run(int first, int end, int rows, Workspace& workspace) const;
    void attend(int first, int end, int rows, std::size_t block, Workspace& workspace) const;
    void feedForward(int token, int rows, std::size_t block, Workspace& workspace) const;
    /** y = (x - mean)/deviation of each row, and 1/deviation */
    void normalize(int rows, const double* x, double* y, double* factor) const;

    /** From the gradients by what a block gives to those by what it gets. */
    void differentiateBlock(int rows, std::size_t block, Workspace& workspace) const;
    void differentiateFeedForward(int token, int rows, std::size_t block, Workspace& workspace) const;
    /** Add to the gradient by a row of x what that by its norm says. */
    void addNormGradient(int rows, const double* norm, const double* factor, const double* byNorm,
                         double* byX) const;

    bool autoregressive;
    int width, heads;
    /** Padded: the stream's, that of [query, key, value], and that of feed forward. */
    int streamWidth = 0, attentionWidth = 0, innerWidth = 0;
    /** How many tokens every token sees. */
    int numFree = 0;
    /** Of each token its first number among the inputs. */
    std::vector<std::size_t> firstNumber;
    /** [inputs, width], [tokens, width] and [queries, width] */
    std::vector<double> features, embedding, queries;
    std::vector<Block> blocks;
    /** For each transformed coordinate. */
    std::vector<Map> outputs;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TRANSFORMERSPLINECONDITIONER_H_

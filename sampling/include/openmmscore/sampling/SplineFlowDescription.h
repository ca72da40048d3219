#ifndef OPENMMSCORE_SAMPLING_SPLINEFLOWDESCRIPTION_H_
#define OPENMMSCORE_SAMPLING_SPLINEFLOWDESCRIPTION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace OpenMMScore {

/**
 * What a normalising flow of rational-quadratic splines consists of, apart from its numbers: one text for
 * whoever trains such a flow, writes it, or draws from it. Couplings and splines: Durkan, Bekasov, Murray and
 * Papamakarios, NeurIPS 2019, arXiv:1906.04032; circular ones: Rezende et al., ICML 2020, arXiv:2002.02428;
 * masked autoregressive networks: Papamakarios, Pavlakou and Murray, NIPS 2017, arXiv:1705.07057.
 *
 * The flow maps y (data, d numbers) to z (base) and back:
 *
 *     v = (y - location) / scale      circular coordinates: v = wrap(y - location), scale 1
 *     v = layer_(L-1)( ... layer_1(layer_0(v)))
 *     z = v                           trainable base: z = (v - base.location) exp(-base.log_scale), real ones
 *
 *     log q(y) = log base(z) + log |det dz/dy|
 *
 * So layers are listed from data to base, as a density is computed and as maximum likelihood trains them;
 * drawing runs through them backwards. The base is a standard normal for real coordinates, uniform on
 * [-pi, pi) for circular and on [-B, B] for boxed ones. wrap(a) = a - 2 pi floor((a + pi) / (2 pi)).
 *
 * A layer takes each of its transformed coordinates through a monotonic spline on K bins, of its own shape
 * for every sample: v_i <- spline_i(v_i; knots_i). A circular one is rotated first, v_i <- wrap(v_i -
 * shift_i), and not rotated back; the shift keeps the joint of first and last bin from always falling on the
 * same angle. The knots are what the layer's conditioner, a small network, makes of its inputs.
 *
 *     Coupling        inputs: all coordinates that are not transformed, in ascending order. None at all is
 *                     allowed: then the knots are the same for all samples
 *     Autoregressive  inputs: all d coordinates in ascending order, as they are before the layer (on the side
 *                     of the data); knots of transformed[p] may depend on transformed[0 ... p-1] and on those
 *                     that are not transformed, which structural zeros in the weights see to. Density in one
 *                     pass, drawing in as many passes as there are transformed coordinates
 *
 * An input coordinate v is one number, or for circular ones two: cos v, sin v (unless rawAngles).
 *
 * The conditioner's matrices are linear.0 ... linear.n, [out, in], y = W x + b, with activation f:
 *
 *     plain     h = f(linear.j(h)) for each hidden width, at last linear.n(h)
 *     residual  h = linear.0(x); h = h + linear.(2b)(f(linear.(2b-1)(f(h)))) for b = 1, 2 ...;
 *               at last linear.n(h)
 *
 * and without inputs it is linear.0.bias alone. A transformer (Vaswani et al., arXiv:1706.03762, with norms
 * in front, arXiv:2002.04745) of width H sees one token for each input coordinate, first those that are not
 * transformed, in ascending order, and if it is autoregressive then transformed[0 ... P-2], but no last one,
 * which nothing may depend on; and one query for each transformed coordinate:
 *
 *     x_t = embedding_t + sum of features_k input_k over the token's one or two numbers, or queries_p
 *     x = x + projection(attention(norm(x))), x = x + contract(f(expand(norm(x)))) in each block
 *     knot numbers of transformed[p] = head.KIND.weight norm(x_p) + head.bias
 *
 * norm(x) = weight (x - mean) / sqrt(variance + 1e-5) + bias. attention.weight gives [query | key | value] of
 * every token, each in turn split among the heads, attention is softmax(query . key / sqrt(H / heads)) value.
 * A token attends to the tokens of coordinates that are not transformed, and if it is one of transformed[t],
 * to those of transformed[0 ... t]; a query attends to itself, to the tokens of coordinates that are not
 * transformed and, autoregressive, to those of transformed[0 ... p-1]. Nothing attends to another's query. So
 * no mask is needed, and the first of an autoregressive layer knows its own query alone. Without tokens
 * head.bias is all there is.
 *
 * Outputs lie transformed coordinate by transformed coordinate,
 * in the layer's order, each as [K widths | K heights | slopes]. With Knots::Softplus
 *
 *     width_k  = 2 B (m_w + (1 - K m_w) softmax(widths)_k)      heights alike with m_h
 *     slope_k  = m_s + softplus(slopes_k + log(exp(1 - m_s) - 1))
 *
 * where 2 B is 2 pi for circular coordinates. There are K - 1 slopes for real coordinates (of the inner
 * knots; it is 1 at both ends, and outside [-B, B] the spline is the identity), K for circular ones (that of
 * the last knot is that of the first), K + 1 for boxed ones. Zero outputs give the identity: a flow whose
 * last matrices and biases are zero only rotates circular coordinates.
 *
 * Knots::SoftClip is that of the library zuko: with clip_c(a) = a / (1 + |c a / log(m_s)|), widths are
 * 2 B softmax(clip_2(widths)), heights alike, slopes are exp(clip_1(slopes)); K - 1 slopes for every kind of
 * coordinate, 1 at both ends.
 */
struct SplineFlowDescription {
    enum class Kind { Real, Circular, Box };
    enum class Activation { ReLU, SiLU, Tanh };
    enum class Knots { Softplus, SoftClip };
    enum class Network { Plain, Residual, Transformer };

    struct Layer {
        enum class Type { Coupling, Autoregressive };
        Type type = Type::Coupling;
        /** Indices of coordinates, no repeats; for Autoregressive the order counts. */
        std::vector<int> transformed;
        /** Hidden widths; residual: all equal, an odd number of them (1 + 2 for each block); transformer: all
         * equal, one for each block. */
        std::vector<int> hidden;
        Network network = Network::Plain;
        Activation activation = Activation::ReLU;
        /** Whether circular inputs are the angles themselves, in [-pi, pi), instead of cosine and sine. */
        bool rawAngles = false;
        /** Of a transformer: attention heads, which share the width, and F. */
        int heads = 4, feedForward = 128;
    };

    static constexpr int maxDimension = 16384, maxLayers = 256, maxHidden = 8192, maxWidths = 32,
                         maxBins = 256, maxHeads = 256;
    /** Most numbers that all tokens and queries of a transformer have together. */
    static constexpr std::int64_t maxTokenNumbers = 1 << 18;
    /** Most numbers that it works with at once: tokens and queries times blocks times F or 4 H. */
    static constexpr std::int64_t maxKeptNumbers = 1 << 22;
    static constexpr double layerNormEpsilon = 1e-5;

    /** d. */
    int dimension = 0;
    /** Indices of coordinates in ascending order; those in neither list are real. */
    std::vector<int> circular, box;
    /** K. */
    int bins = 8;
    /** B, in units of v: where the splines of real coordinates end, and the edge of boxed ones. */
    double bound = 5.0;
    /** m_w, m_h and m_s. */
    double minimumWidth = 1e-3, minimumHeight = 1e-3, minimumSlope = 1e-3;
    Knots knots = Knots::Softplus;
    /** Whether the normal base has a location and scale of its own. */
    bool trainableBase = false;
    std::vector<Layer> layers;

    /** @throws ShapeError  if it describes no flow; the sentence names the field */
    void check() const;
    Kind getKind(int coordinate) const;
    /** @return how many outputs the conditioner has for a coordinate of this kind, 3 K - 1 to 3 K + 1 */
    int countKnotNumbers(Kind kind) const;
    /** @return for each number that a layer's conditioner sees, of which coordinate it is made; in the order
     * of the tokens if it is a transformer */
    std::vector<int> getInputCoordinates(std::size_t layer) const;
    /** @return for each number that a layer's conditioner gives, for which coordinate it is */
    std::vector<int> getOutputCoordinates(std::size_t layer) const;
    /** @return how long getOutputCoordinates() is */
    std::int64_t countOutputs(std::size_t layer) const;
    /** @return how many of a layer's transformed coordinates are circular */
    int countShifts(std::size_t layer) const;
};

/** One tensor of a flow, row-major. */
struct SplineFlowTensor {
    std::string name;
    std::vector<std::int64_t> shape;
};

/**
 * @return name and shape of every tensor that a file of this flow holds, in this order:
 *
 *     location, scale                     [d]; scale > 0, and 1 for circular coordinates
 *     base.location, base.log_scale       [d] if trainableBase; zero for coordinates that are not real
 *     layers.l.shift                      [countShifts(l)] if that is not 0, in the layer's order
 *     layers.l.linear.j.weight, .bias     [out, in] and [out]; of an autoregressive layer already masked
 *
 * and instead of layers.l.linear for a transformer with I inputs, T tokens, P queries, after layers.l.:
 *
 *     features, embedding, queries        [I, H], [T, H], [P, H]
 *     blocks.b.attention_norm, .feed_forward_norm, and norm       .weight and .bias, [H]
 *     blocks.b.attention, .projection     .weight [3 H, H] and [H, H], .bias
 *     blocks.b.expand, .contract          .weight [F, H] and [H, F], .bias
 *     head.KIND.weight                    [numbers, H] for KIND real, circular, box if transformed has such
 *     head.bias                           [all numbers], which is all there is if T = 0
 *
 * @throws ShapeError  as SplineFlowDescription::check() does
 */
std::vector<SplineFlowTensor> splineFlowTensors(const SplineFlowDescription& description);

/**
 * A mask for a weight of an autoregressive layer (no transformer), for whoever trains one (a reader takes any
 * weights with sufficient structural zeros). With P transformed coordinates, inputs of transformed[p] have
 * degree p and other inputs -1; unit k of every hidden width has degree k mod max(1, P - 1), or k mod P - 1
 * if some coordinates are not transformed; a unit sees degrees up to its own, and outputs of transformed[p]
 * see degrees below p.
 *
 * @param linear  which matrix
 * @return [out, in], 0 or 1; all 1 for a coupling
 */
std::vector<std::uint8_t> splineFlowMask(const SplineFlowDescription& description, std::size_t layer,
                                         std::size_t linear);

/** @return the description as JSON: the object settings.flow of a proposal file (docs/model-format.md) */
std::string writeSplineFlowSettings(const SplineFlowDescription& description);

/**
 * @param origin  what to call it in messages
 * @throws ModelFileError  if the text is not what writeSplineFlowSettings() writes, or describes no flow
 */
SplineFlowDescription readSplineFlowSettings(std::string_view json, const std::string& origin);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINEFLOWDESCRIPTION_H_

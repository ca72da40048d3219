#ifndef OPENMMSCORE_SAMPLING_AFFINECOUPLINGPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_AFFINECOUPLINGPROPOSAL_H_

#include <memory>
#include <vector>

#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

class ProposalContents;

/**
 * A small normalising flow of affine couplings (real NVP: Dinh, Sohl-Dickstein and Bengio, ICLR 2017,
 * arXiv:1605.08803), in the coordinates y of FrameCoordinates.
 *
 * A standard normal z in d dimensions passes L layers. Layer l keeps the coordinates i with i mod 2 = l mod 2
 * (p of them, called c below) and changes the others (a = d - p of them):
 *
 *     h = tanh(A c + b),  v <- v exp(tanh(S h + s)) + T h + t
 *
 * and at last y = location + scale v. The logarithm of the scaling is kept within +-1, so that no weights
 * make the flow degenerate. The density is exact: log q = log N(z; 0, I) - sum of all logarithms of scalings.
 */
class AffineCouplingProposal : public Proposal {
public:
    /** Matrices row-major, [out, in]; H is the number of hidden units of this layer. */
    struct Layer {
        /** A [H, p] and b [H]. */
        std::vector<double> hiddenWeight, hiddenBias;
        /** S [a, H] and s [a]. */
        std::vector<double> scaleWeight, scaleBias;
        /** T [a, H] and t [a]. */
        std::vector<double> shiftWeight, shiftBias;
    };
    struct Parameters {
        /** N, or d in the frame Vector. */
        int count = 0;
        Frame frame = Frame::Absolute;
        std::vector<Layer> layers;
        /** [d] in nm. */
        std::vector<double> location;
        /** [d] in nm, positive. */
        std::vector<double> scale;
    };

    /** @throws ShapeError  if a length does not fit, a number is not finite, or a scale is not positive */
    explicit AffineCouplingProposal(Parameters parameters);

    int getNumParticles() const override { return coordinates.getNumParticles(); }
    Frame getFrame() const override { return coordinates.getFrame(); }
    int getNumCoordinates() const override { return coordinates.getNumCoordinates(); }
    std::string getFamily() const override { return "affine-coupling"; }
    bool hasGradient() const override { return true; }
    const Parameters& getParameters() const { return parameters; }
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                double* logDensity) const override;
    void logDensity(std::int64_t count, const double* positions, double* logDensity) const override;
    void logDensityGradient(std::int64_t count, const double* positions, double* gradient) const override;
    std::string encode() const override;
    /** Make one from a file whose family is getFamily(); makeProposal() is the caller. */
    static std::shared_ptr<const Proposal> fromContents(const ProposalContents& contents);
    /** @return how many coordinates layer l keeps, p */
    static std::size_t countKept(std::size_t dimension, std::size_t layer) {
        return (dimension + 1 - layer % 2) / 2;
    }

private:
    struct Trace;

    /** Evaluate h, and the scale's logarithm and shift of every changed coordinate. */
    void computeCoupling(std::size_t layer, const double* v, Trace& trace) const;
    /** Take positions back to z through all layers. @return log q */
    double invert(const double* positions, std::vector<Trace>& traces, std::vector<double>& v) const;
    /** Turn the gradient by a layer's values before it (towards z) into that by those after it, in place. */
    void propagateGradient(std::size_t layer, const Trace& trace, std::vector<double>& gradient) const;
    std::vector<Trace> makeTraces() const;

    Parameters parameters;
    FrameCoordinates coordinates;
    /** The constants of log q: normalisation of z and the logarithms of all scales. */
    double logConstant;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_AFFINECOUPLINGPROPOSAL_H_

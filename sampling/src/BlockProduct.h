#ifndef OPENMMSCORE_SAMPLING_BLOCKPRODUCT_H_
#define OPENMMSCORE_SAMPLING_BLOCKPRODUCT_H_

#include <cstddef>
#include <vector>

namespace OpenMMScore {

/**
 * A dense layer y = W x + b in float64, in the order in which multiplyBlock() reads it: W^T in panels of 16
 * outputs (8 for the last, if that suffices), each panel input by input. Outputs that pad a panel are zero.
 */
class PackedLayer {
public:
    static constexpr int panelWidth = 16, padding = 8;

    PackedLayer() = default;
    /**
     * @param weight  [out, in], row-major
     * @param bias    [out]
     */
    PackedLayer(int out, int in, const double* weight, const double* bias);

    int getNumInputs() const { return in; }
    /** @return the number of outputs with padding, a multiple of `padding` */
    int getNumOutputs() const { return out; }
    const double* getBias() const { return bias.data(); }
    /** @param output  its first, a multiple of panelWidth */
    const double* getPanel(int output) const { return data.data() + std::size_t(output) * std::size_t(in); }

private:
    int out = 0, in = 0;
    std::vector<double> data, bias;
};

/**
 * Apply a dense layer to a block of rows. A row's result does not depend, bit for bit, on the rows beside it:
 * each output is one chain of multiply-adds over the inputs in ascending order, starting from the bias.
 *
 * @param x      [rows, in], rows xStep apart
 * @param y      written: [rows, getNumOutputs()], rows yStep apart; may not overlap x
 */
void multiplyBlock(int rows, const double* x, std::ptrdiff_t xStep, const PackedLayer& layer, double* y,
                   std::ptrdiff_t yStep);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_BLOCKPRODUCT_H_

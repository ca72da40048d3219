#ifndef OPENMMSCORE_SAMPLING_LANELAYERS_H_
#define OPENMMSCORE_SAMPLING_LANELAYERS_H_

namespace OpenMMScore {

// Layers of networks for 8 samples at once: arrays are [width, 8]. What a lane gets is computed from that
// lane alone, in the same order whichever lane it is and whatever processor it runs on.

/** y = W x + b; W: [out, in], b: [out] or null for none. */
void multiplyLanes(int out, int in, const double* weight, const double* bias, const double* x, double* y);
/** y += W x with rows of W that are rowLength apart, so that W may be some columns of a wider matrix. */
void addProductLanes(int out, int in, int rowLength, const double* weight, const double* x, double* y);
/** Replace x by swish(x), or by tanh(x), and write the slopes and, unless null, the second derivatives. */
void activateLanes(bool swish, int width, double* x, double* slopes, double* curvatures = nullptr);
/** sum += sum_i a_i b_i; sum: [8] */
void addLaneProducts(int width, const double* a, const double* b, double* sum);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_LANELAYERS_H_

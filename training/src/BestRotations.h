#ifndef OPENMMSCORE_TRAINING_BESTROTATIONS_H_
#define OPENMMSCORE_TRAINING_BESTROTATIONS_H_

#include <ATen/core/Tensor.h>

namespace OpenMMScore {

// Rotations R that turn vectors b_i as close to vectors a_i as rotations can: sum_i |a_i - R b_i|^2 is least.
// Mirror images are not tried. All tensors are float64 on the CPU.
//
// Source: Horn, J. Opt. Soc. Am. A 4 (1987) 629: the quaternion of R is the eigenvector of the largest
// eigenvalue, which is sum_i a_i . R b_i, of a symmetric 4 x 4 matrix.

/**
 * @param a  shape [A, n, 3]
 * @param b  shape [B, n, 3]
 * @return shape [A, B]: sum_i a_i . R b_i, the largest that a rotation can make it, for every pair
 */
at::Tensor bestOverlaps(const at::Tensor& a, const at::Tensor& b);

/**
 * @param a, b  shape [samples, n, 3]
 * @return shape [samples, n, 3]: each b turned onto the a in its place
 */
at::Tensor turnOnto(const at::Tensor& a, const at::Tensor& b);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_BESTROTATIONS_H_

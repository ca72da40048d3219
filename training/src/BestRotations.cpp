#include "BestRotations.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>

namespace OpenMMScore {

namespace {

/** @param h  shape [..., 3, 3], sum_i b_i a_i^T @return shape [..., 4, 4], Horn's matrix */
at::Tensor hornMatrices(const at::Tensor& h) {
    const std::vector<at::Tensor> parts = h.flatten(-2).unbind(-1);
    const at::Tensor &xx = parts[0], &xy = parts[1], &xz = parts[2], &yx = parts[3], &yy = parts[4],
                     &yz = parts[5], &zx = parts[6], &zy = parts[7], &zz = parts[8];
    return at::stack({xx + yy + zz, yz - zy, zx - xz, xy - yx, //
                      yz - zy, xx - yy - zz, xy + yx, zx + xz, //
                      zx - xz, xy + yx, yy - xx - zz, yz + zy, //
                      xy - yx, zx + xz, yz + zy, zz - xx - yy},
                     -1)
        .unflatten(-1, {4, 4});
}

/** @param q  shape [samples, 4], unit quaternions @return shape [samples, 3, 3] */
at::Tensor rotationMatrices(const at::Tensor& q) {
    const std::vector<at::Tensor> parts = q.unbind(-1);
    const at::Tensor &w = parts[0], &x = parts[1], &y = parts[2], &z = parts[3];
    return at::stack({w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y), //
                      2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x), //
                      2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z},
                     -1)
        .unflatten(-1, {3, 3});
}

} // namespace

at::Tensor bestOverlaps(const at::Tensor& a, const at::Tensor& b) {
    // Eigenvalues ascend.
    return at::linalg_eigvalsh(hornMatrices(at::einsum("bij,aik->abjk", {b, a}))).select(-1, 3);
}

at::Tensor turnOnto(const at::Tensor& a, const at::Tensor& b) {
    const at::Tensor vectors = std::get<1>(at::linalg_eigh(hornMatrices(at::matmul(b.transpose(1, 2), a))));
    return at::matmul(b, rotationMatrices(vectors.select(-1, 3)).transpose(1, 2));
}

} // namespace OpenMMScore

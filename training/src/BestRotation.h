#ifndef OPENMMSCORE_TRAINING_BESTROTATION_H_
#define OPENMMSCORE_TRAINING_BESTROTATION_H_

#include <array>

namespace OpenMMScore {

/** A proper rotation R, and what it attains. */
struct BestRotation {
    /** sum_i a_i . R b_i, the largest that a rotation can make it. */
    double overlap;
    /** [3, 3], row-major. */
    std::array<double, 9> matrix;

    /** @param b, rotated  [count, 3] each; rotated is written */
    void apply(int count, const double* b, double* rotated) const;
};

/**
 * Turn vectors b as close to vectors a as rotations can: sum_i |a_i - R b_i|^2 is least. Mirror images are
 * not tried.
 *
 * Source: Horn, J. Opt. Soc. Am. A 4 (1987) 629: the quaternion of R is the eigenvector of the largest
 * eigenvalue, which is the overlap, of a symmetric 4 x 4 matrix.
 *
 * @param a, b  [count, 3] each
 */
BestRotation bestRotation(int count, const double* a, const double* b);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_BESTROTATION_H_

#ifndef OPENMMSCORE_TORCH_ATTENTIONOPERATIONS_H_
#define OPENMMSCORE_TORCH_ATTENTIONOPERATIONS_H_

#include <cstdint>

namespace OpenMMScore {

/**
 * The attention among the particles of each molecule, with positions factored in (TorchGraphTransformer.h),
 * in the four forms of RowOperations.h. Per molecule and head, with i, j over particles, kappa =
 * 1/sqrt(headSize) and u_i = A^T q_i:
 *
 *     l_ij = kappa (q_i . k_j + u_i . z_j),   a_ij = softmax_j l_ij,   m_i = sum_j a_ij v_j,   p_i = sum_j
 * a_ij z_j - z_i
 *
 * Shapes: query, key, value, mixed (m) [molecules, particles, heads, headSize]; position (z) [molecules,
 * particles, 3]; shift (p) [molecules, particles, heads, 3]; weights [molecules, heads, particles,
 * particles].
 */
template <class T>
struct AttentionOperations {
    std::int64_t molecules, particles, heads, headSize;
    /** A^T, shape [heads, 3, headSize] */
    const T* positionWeight;
    const T* query;
    const T* key;
    const T* value;
    const T* position;
    /** a; set by values() */
    T* weights;
    /** Adjoints of a and of l, shaped like weights; set by adjoint() */
    T* weightAdjoints;
    T* logitAdjoints;

    /** Derivatives of one kind (adjoint, tangent or second) of what goes in. */
    struct Inputs {
        T* query;
        T* key;
        T* value;
    };
    void values(T* mixed, T* shift) const;
    /**
     * @param inputs      written; null pointers if queries, keys and values do not depend on positions
     * @param addPosition added to
     */
    void adjoint(const T* mixedAdjoint, const T* shiftAdjoint, const Inputs& inputs, T* addPosition) const;
    /** @param inputs  tangents that go in; null pointers for zero */
    void tangent(const Inputs& inputs, const T* positionTangent, T* mixed, T* shift) const;
    /** What second() needs to know of the other forms. */
    struct Others {
        const T* mixedAdjoint;
        const T* shiftAdjoint;
        const T* positionTangent;
        /** Null pointers for zero. */
        Inputs tangents;
    };
    /**
     * @param mixedSecond, shiftSecond  r of m and p
     * @param inputs     written: r of query, key and value
     * @param addWeight  shaped like positionWeight, added to
     */
    void second(const Others& others, const T* mixedSecond, const T* shiftSecond, const Inputs& inputs,
                T* addWeight) const;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_ATTENTIONOPERATIONS_H_

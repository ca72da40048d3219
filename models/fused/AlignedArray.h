#ifndef OPENMMSCORE_FUSED_ALIGNEDARRAY_H_
#define OPENMMSCORE_FUSED_ALIGNEDARRAY_H_

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace OpenMMScore {

/** Every row of floats is padded to a multiple of this: the longest vector of any instruction set used. */
constexpr int rowPadding = 16;

constexpr int padded(int size) {
    return (size + rowPadding - 1) / rowPadding * rowPadding;
}

/** Floats from a cache line's start on, zero at first. */
class AlignedArray {
public:
    AlignedArray() = default;
    explicit AlignedArray(std::size_t size) : values(new (std::align_val_t(alignment)) float[size]()) {}
    /** Round to float and pad with zeros. */
    explicit AlignedArray(const std::vector<double>& source) : AlignedArray(padded(int(source.size()))) {
        for (std::size_t i = 0; i < source.size(); i++)
            values[i] = static_cast<float>(source[i]);
    }
    float* get() const { return values.get(); }

private:
    static constexpr std::size_t alignment = 128;
    struct Free {
        void operator()(float* p) const { ::operator delete[](p, std::align_val_t(alignment)); }
    };
    std::unique_ptr<float[], Free> values;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_ALIGNEDARRAY_H_

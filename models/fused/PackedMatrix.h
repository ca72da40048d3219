#ifndef OPENMMSCORE_FUSED_PACKEDMATRIX_H_
#define OPENMMSCORE_FUSED_PACKEDMATRIX_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "AlignedArray.h"
#include "Matrix.h"

namespace OpenMMScore {

/**
 * The right factor B[k,n] of a matrix product in float32, in the order in which the product reads it: panels
 * of 32 columns (16 for the last, if that suffices), each panel row by row. Missing columns are zero.
 *
 *     columns 0..31:  b[0][0..31] b[1][0..31] ... b[k-1][0..31]   columns 32..63: ...
 *
 * The layout is the same for every instruction set; one with shorter vectors takes a panel in strips.
 */
class PackedMatrix {
public:
    static constexpr int panelWidth = 32;

    PackedMatrix() = default;
    explicit PackedMatrix(const Matrix& matrix);

    int getNumRows() const { return rows; }
    /** @return the number of columns with padding, a multiple of rowPadding */
    int getNumColumns() const { return columns; }
    /** @param column  its first, a multiple of panelWidth */
    const float* getPanel(int column) const { return data.get() + std::size_t(column) * rows; }
    float get(int row, int column) const {
        const int panel = column / panelWidth * panelWidth;
        return getPanel(panel)[row * std::min(panelWidth, columns - panel) + column - panel];
    }
    std::size_t getNumBytes() const { return sizeof(float) * std::size_t(rows) * columns; }

private:
    int rows = 0, columns = 0;
    AlignedArray data;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_PACKEDMATRIX_H_

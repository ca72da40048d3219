#include "PackedMatrix.h"

#include <algorithm>

namespace OpenMMScore {

PackedMatrix::PackedMatrix(const Matrix& matrix)
    : rows(matrix.getNumRows()), columns(padded(matrix.getNumColumns())), data(std::size_t(rows) * columns) {
    float* out = data.get();
    for (int first = 0; first < columns; first += panelWidth)
        for (int r = 0; r < rows; r++)
            for (int c = first; c < std::min(first + panelWidth, columns); c++)
                *out++ = c < matrix.getNumColumns() ? static_cast<float>(matrix(r, c)) : 0.0f;
}

} // namespace OpenMMScore

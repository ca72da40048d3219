#ifndef OPENMMSCORE_FUSED_MATRIX_H_
#define OPENMMSCORE_FUSED_MATRIX_H_

#include <cstddef>
#include <vector>

namespace OpenMMScore {

/** A float64 matrix, row-major, in which weights are folded before they are rounded and packed. */
class Matrix {
public:
    Matrix() = default;
    Matrix(int rows, int columns) : rows(rows), columns(columns), values(std::size_t(rows) * columns, 0.0) {}
    Matrix(int rows, int columns, const std::vector<double>& values)
        : rows(rows), columns(columns), values(values) {}

    int getNumRows() const { return rows; }
    int getNumColumns() const { return columns; }
    double& operator()(int r, int c) { return values[std::size_t(r) * columns + c]; }
    double operator()(int r, int c) const { return values[std::size_t(r) * columns + c]; }

    Matrix transposed() const;
    /** @return some adjacent rows */
    Matrix rowRange(int first, int count) const;
    /** @return some adjacent columns */
    Matrix columnRange(int first, int count) const;
    /** Overwrite a block with factor times another matrix. */
    void set(int row, int column, const Matrix& block, double factor = 1);

private:
    int rows = 0, columns = 0;
    std::vector<double> values;
};

Matrix operator*(const Matrix& a, const Matrix& b);
/** @return m x for a vector x */
std::vector<double> operator*(const Matrix& m, const std::vector<double>& x);

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_MATRIX_H_

#include "Matrix.h"

namespace OpenMMScore {

Matrix Matrix::transposed() const {
    Matrix result(columns, rows);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            result(c, r) = (*this)(r, c);
    return result;
}

Matrix Matrix::rowRange(int first, int count) const {
    Matrix result(count, columns);
    for (int r = 0; r < count; r++)
        for (int c = 0; c < columns; c++)
            result(r, c) = (*this)(first + r, c);
    return result;
}

Matrix Matrix::columnRange(int first, int count) const {
    Matrix result(rows, count);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < count; c++)
            result(r, c) = (*this)(r, first + c);
    return result;
}

void Matrix::set(int row, int column, const Matrix& block, double factor) {
    for (int r = 0; r < block.rows; r++)
        for (int c = 0; c < block.columns; c++)
            (*this)(row + r, column + c) = factor * block(r, c);
}

Matrix operator*(const Matrix& a, const Matrix& b) {
    Matrix result(a.getNumRows(), b.getNumColumns());
    for (int r = 0; r < a.getNumRows(); r++)
        for (int k = 0; k < a.getNumColumns(); k++) {
            const double x = a(r, k);
            for (int c = 0; c < b.getNumColumns(); c++)
                result(r, c) += x * b(k, c);
        }
    return result;
}

std::vector<double> operator*(const Matrix& m, const std::vector<double>& x) {
    std::vector<double> result(m.getNumRows(), 0.0);
    for (int r = 0; r < m.getNumRows(); r++)
        for (int c = 0; c < m.getNumColumns(); c++)
            result[r] += m(r, c) * x[c];
    return result;
}

} // namespace OpenMMScore

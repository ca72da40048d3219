#include "TransformerMath.h"

namespace OpenMMScore {

Gate::Gate(int width, const std::vector<double>& weight) : width(width), newWeight(width), oldWeight(width) {
    for (int i = 0; i < width; i++) {
        newWeight[i] = weight[i] + weight[2 * width + i];
        oldWeight[i] = weight[width + i] - weight[2 * width + i];
    }
}

} // namespace OpenMMScore

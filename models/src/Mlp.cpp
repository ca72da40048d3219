#include "Mlp.h"

#include <algorithm>
#include <cmath>

#include "TimeFeatures.h"

namespace OpenMMScore {

/** The perceptron at one t: the first layer acts on z alone, its share of the time features is in the bias.
 */
class FixedTimeMlp : public FixedTimeNetwork {
public:
    FixedTimeMlp(const Mlp& mlp, double t) : mlp(mlp), numInputs(mlp.model.getNumCoordinates()) {
        std::vector<double> f = computeTimeFeatures(mlp.expert, t);
        int width = mlp.expert.mlp.hidden[0], rowLength = numInputs + static_cast<int>(f.size());
        std::vector<double> weight, bias(mlp.firstBias);
        for (int o = 0; o < width; o++) {
            const double* row = &mlp.firstWeight[o * rowLength];
            weight.insert(weight.end(), row, row + numInputs);
            for (std::size_t k = 0; k < f.size(); k++)
                bias[o] += row[numInputs + k] * f[k];
        }
        first = Dense(width, numInputs, weight, bias);
    }

    std::size_t getWorkspaceSize() const override {
        // Each hidden layer keeps its activations and the slopes of its swish; two more rows hold gradients.
        std::size_t widest = 0, total = 0;
        for (int width : mlp.expert.mlp.hidden) {
            total += 2 * width;
            widest = std::max<std::size_t>(widest, width);
        }
        return total + 2 * widest;
    }

    void evaluate(const double* z, double* output, double* gradient, double* workspace) const override {
        const std::vector<int>& widths = mlp.expert.mlp.hidden;
        const int last = static_cast<int>(widths.size()) - 1;
        double* activation = workspace;
        first.forward(1, z, activation);
        activate(widths[0], activation);
        for (int l = 1; l <= last; l++) {
            double* next = activation + 2 * widths[l - 1];
            mlp.layers[l - 1].forward(1, activation, next);
            activate(widths[l], next);
            activation = next;
        }
        mlp.layers[last].forward(1, activation, output);
        if (gradient != nullptr && mlp.expert.head == Head::Energy)
            differentiate(activation, activation + 2 * widths[last], gradient);
    }

    std::size_t getDivergenceWorkspaceSize() const override {
        const std::vector<int>& widths = mlp.expert.mlp.hidden;
        // Values, tangents in each direction and Laplacians, in two places that layers take in turn.
        const std::size_t widest = *std::max_element(widths.begin(), widths.end());
        return 2 * std::size_t(numInputs + 2) * widest;
    }

    /**
     * One pass forward that carries, beside each layer's values x(z), their tangents dx/dz_c and Laplacians
     * sum_c d^2x/dz_c^2: through y = W x + b they go as x does, and through f(y) as f' dy and
     * f' lap y + f'' |dy|^2. Source: Li et al., Nature Machine Intelligence 2024, arXiv:2307.08214.
     */
    void evaluateDivergence(const double* z, double* output, double* gradient, double* divergence,
                            double* workspace) const override {
        const std::vector<int>& widths = mlp.expert.mlp.hidden;
        const int rows = numInputs + 2;
        double *values = workspace, *next = workspace + getDivergenceWorkspaceSize() / 2;
        first.forward(1, z, values);
        std::fill_n(gradient, numInputs, 0.0);
        for (int c = 0; c < numInputs; c++) {
            gradient[c] = 1;
            first.multiply(1, gradient, values + (c + 1) * widths[0]);
            gradient[c] = 0;
        }
        std::fill_n(values + (rows - 1) * widths[0], widths[0], 0.0);
        activateWithTangents(widths[0], values);
        for (std::size_t l = 1; l < widths.size(); l++) {
            mlp.layers[l - 1].forward(1, values, next);
            mlp.layers[l - 1].multiply(rows - 1, values + widths[l - 1], next + widths[l]);
            activateWithTangents(widths[l], next);
            std::swap(values, next);
        }
        const Dense& last = mlp.layers.back();
        last.forward(1, values, output);
        *divergence = 0;
        if (mlp.expert.head == Head::Energy) {
            last.multiply(numInputs, values + widths.back(), gradient);
            last.multiply(1, values + (rows - 1) * widths.back(), divergence);
            return;
        }
        for (int c = 0; c < numInputs; c++) {
            last.multiply(1, values + (c + 1) * widths.back(), next);
            *divergence += next[c];
        }
    }

private:
    /** @param x  shape [numInputs + 2, width]: values, tangents, Laplacians; in and out */
    void activateWithTangents(int width, double* x) const {
        double* laplacian = x + (numInputs + 1) * width;
        for (int i = 0; i < width; i++) {
            const double s = 1 / (1 + std::exp(-x[i])), slope = s * (1 + x[i] * (1 - s));
            double squares = 0;
            for (int c = 1; c <= numInputs; c++) {
                squares += x[c * width + i] * x[c * width + i];
                x[c * width + i] *= slope;
            }
            laplacian[i] = slope * laplacian[i] + s * (1 - s) * (2 + x[i] * (1 - 2 * s)) * squares;
            x[i] *= s;
        }
    }

    /** Replace x by swish(x), and keep its slope right behind. */
    static void activate(int width, double* x) {
        for (int i = 0; i < width; i++) {
            double s = 1 / (1 + std::exp(-x[i]));
            x[width + i] = s * (1 + x[i] * (1 - s));
            x[i] *= s;
        }
    }

    /** @param activation  of the last hidden layer; @param scratch  two rows of the greatest width */
    void differentiate(const double* activation, double* scratch, double* gradient) const {
        const std::vector<int>& widths = mlp.expert.mlp.hidden;
        int widest = *std::max_element(widths.begin(), widths.end());
        double *above = scratch, *below = scratch + widest;
        const double one = 1;
        std::fill_n(above, widths.back(), 0.0);
        mlp.layers.back().addBackward(1, &one, above);
        for (int l = static_cast<int>(widths.size()) - 1; l >= 0; l--) {
            for (int i = 0; i < widths[l]; i++)
                above[i] *= activation[widths[l] + i];
            if (l == 0)
                break;
            std::fill_n(below, widths[l - 1], 0.0);
            mlp.layers[l - 1].addBackward(1, above, below);
            std::swap(above, below);
            activation -= 2 * widths[l - 1];
        }
        std::fill_n(gradient, numInputs, 0.0);
        first.addBackward(1, above, gradient);
    }

    const Mlp& mlp;
    int numInputs;
    Dense first;
};

Mlp::Mlp(const ModelDescription& model, int index, const std::vector<std::vector<double>>& tensors)
    : model(model), expert(model.experts[index]), firstWeight(tensors[0]), firstBias(tensors[1]) {
    for (std::size_t l = 1; 2 * l < tensors.size(); l++) {
        int in = expert.mlp.hidden[l - 1];
        int out = static_cast<int>(tensors[2 * l + 1].size());
        layers.emplace_back(out, in, tensors[2 * l], tensors[2 * l + 1]);
    }
}

std::unique_ptr<FixedTimeNetwork> Mlp::atTime(double t, std::span<const int>) const {
    return std::make_unique<FixedTimeMlp>(*this, t);
}

} // namespace OpenMMScore

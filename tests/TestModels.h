#ifndef OPENMMSCORE_TESTS_TESTMODELS_H_
#define OPENMMSCORE_TESTS_TESTMODELS_H_

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/models/NoiseSchedule.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore::testing {

/** A congruential generator of numbers in [-1, 1): the same on every machine. */
class Filler {
public:
    double next() {
        state = (1103515245ULL * state + 12345) % (1ULL << 31);
        return 2.0 * static_cast<double>(state) / static_cast<double>(1ULL << 31) - 1;
    }

private:
    unsigned long long state = 1;
};

inline ExpertDescription mlpExpert(std::vector<int> hidden, double t0, double t1, Head head = Head::Energy) {
    ExpertDescription expert;
    expert.architecture = ExpertDescription::Architecture::Mlp;
    expert.mlp.hidden = std::move(hidden);
    expert.lowerTime = t0;
    expert.upperTime = t1;
    expert.head = head;
    expert.timeFeatures = t0 > 0 ? TimeFeatures::FourierRescaled : TimeFeatures::Fourier;
    return expert;
}

inline ExpertDescription transformerExpert(int hidden, int layers, double t0, double t1,
                                           Head head = Head::Energy) {
    ExpertDescription expert = mlpExpert({}, t0, t1, head);
    expert.architecture = ExpertDescription::Architecture::GraphTransformer;
    expert.graphTransformer.hidden = hidden;
    expert.graphTransformer.layers = layers;
    expert.graphTransformer.feedForward = 4 * hidden;
    expert.outputSign = head == Head::Energy ? 1 : -1;
    return expert;
}

inline ModelDescription describe(ModelDescription::Space space, int count,
                                 std::vector<ExpertDescription> experts) {
    ModelDescription model;
    model.title = "test";
    model.space = space;
    model.count = count;
    model.experts = std::move(experts);
    model.defaultDiffusionTime = model.experts.back().lowerTime;
    model.lengthScale = space == ModelDescription::Space::Particles ? 0.1 : 1.0;
    for (int i = 0; i < model.getNumParticles(); i++)
        model.particles.push_back({"P" + std::to_string(i), "C", 12.0 + i, "MOL", 0});
    for (int i = 0; i + 1 < model.getNumParticles(); i++)
        model.bonds.emplace_back(i, i + 1);
    return model;
}

/**
 * Weights as a network would be initialised: kernels of variance 1/in, small biases, normalisation near one.
 * One stream of numbers for the whole model, matrices column by column.
 */
inline std::vector<NamedTensor> fillWeights(const ModelDescription& model, double gain = 1.0) {
    Filler filler;
    std::vector<NamedTensor> tensors;
    auto endsWith = [](const std::string& s, const std::string& end) {
        return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
    };
    for (int k = 0; k < static_cast<int>(model.experts.size()); k++)
        for (const TensorShape& shape : expertTensors(model, k)) {
            NamedTensor tensor{shape.name, shape.shape, {}, DType::Float64};
            bool embedding = shape.name.find("feature_embeddings") != std::string::npos;
            if (shape.shape.size() == 1) {
                double base = endsWith(shape.name, "norm.weight") ? 1.0 : 0.0;
                for (int i = 0; i < shape.shape[0]; i++)
                    tensor.values.push_back(base + 0.1 * filler.next());
            }
            else {
                const auto out = shape.shape[0], in = shape.shape[1];
                tensor.values.resize(out * in);
                if (embedding)
                    for (double& value : tensor.values)
                        value = filler.next();
                else
                    for (int i = 0; i < in; i++)
                        for (int o = 0; o < out; o++)
                            tensor.values[o * in + i] = gain * std::sqrt(3.0 / in) * filler.next();
            }
            tensors.push_back(std::move(tensor));
        }
    return tensors;
}

inline std::shared_ptr<const ScoreModel> makeModel(const ModelDescription& model,
                                                   const std::vector<NamedTensor>& tensors) {
    return ScoreModel::fromBytes(ModelFile::encode(model.toJson(), tensors), "test model");
}

inline std::shared_ptr<const ScoreModel> makeModel(const ModelDescription& model, double gain = 1.0) {
    return makeModel(model, fillWeights(model, gain));
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TESTMODELS_H_

#include "openmmscore/models/ModelDescription.h"

#include <set>

#include "FileText.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

/** Collects the tensors of one expert. */
class TensorList {
public:
    explicit TensorList(int expert) : prefix("experts." + std::to_string(expert) + ".") {}

    void add(const std::string& name, std::vector<std::int64_t> shape) {
        tensors.push_back({prefix + name, std::move(shape)});
    }
    void addDense(const std::string& name, std::int64_t out, std::int64_t in) {
        add(name + ".weight", {out, in});
        add(name + ".bias", {out});
    }
    void addNorm(const std::string& name, std::int64_t width) {
        add(name + ".weight", {width});
        add(name + ".bias", {width});
    }

    std::vector<TensorShape> tensors;

private:
    std::string prefix;
};

void addMlp(TensorList& list, const ModelDescription& model, const ExpertDescription& expert) {
    std::int64_t in = model.getNumCoordinates() + numTimeFeatures(expert.timeFeatures);
    std::vector<int> widths = expert.mlp.hidden;
    widths.push_back(expert.head == Head::Energy ? 1 : model.getNumCoordinates());
    for (std::size_t i = 0; i < widths.size(); i++) {
        list.addDense("layers." + std::to_string(i), widths[i], in);
        in = widths[i];
    }
}

void addTransformerLayer(TensorList& list, const GraphTransformerDescription& sizes, int index) {
    const std::string layer = "layers." + std::to_string(index) + ".";
    const std::int64_t hidden = sizes.hidden, inner = std::int64_t(sizes.heads) * sizes.headSize;
    list.addNorm(layer + "attention_norm", hidden);
    for (const char* part : {"query", "key", "value", "edge"})
        list.addDense(layer + "attention." + part, inner, hidden);
    list.addDense(layer + "attention.output", hidden, inner);
    list.add(layer + "attention_gate.weight", {1, 3 * hidden});
    list.addNorm(layer + "feed_forward_norm", hidden);
    list.addDense(layer + "feed_forward.expand", sizes.feedForward, hidden);
    list.addDense(layer + "feed_forward.contract", hidden, sizes.feedForward);
    list.add(layer + "feed_forward_gate.weight", {1, 3 * hidden});
}

void addGraphTransformer(TensorList& list, const ModelDescription& model, const ExpertDescription& expert) {
    const GraphTransformerDescription& sizes = expert.graphTransformer;
    const std::int64_t count = model.count, hidden = sizes.hidden;
    std::int64_t identity = model.features.empty() ? count : 0;
    for (std::size_t j = 0; j < model.features.size(); j++) {
        list.add("feature_embeddings." + std::to_string(j) + ".weight",
                 {model.features[j].numValues, sizes.embeddingWidth});
        identity += sizes.embeddingWidth;
    }
    list.addDense("edge_embedding", hidden, 3);
    list.addDense("node_embedding", hidden, identity + numTimeFeatures(expert.timeFeatures));
    for (int l = 0; l < sizes.layers; l++)
        addTransformerLayer(list, sizes, l);
    if (expert.head == Head::Energy)
        list.addDense("readout", 1, hidden);
    else
        list.addDense("readout", 3 * count, count * hidden);
}

} // namespace

std::unique_ptr<NoiseSchedule> ScheduleDescription::create() const {
    if (kind == Kind::VariancePreserving)
        return std::make_unique<VariancePreserving>(betaMin, betaMax);
    if (kind == Kind::PolynomialDdpm)
        return std::make_unique<PolynomialDdpm>(numSteps, precision);
    return std::make_unique<CosineDdpm>(numSteps, offset, maxBeta);
}

int numTimeFeatures(TimeFeatures kind) {
    if (kind == TimeFeatures::Linear)
        return 1;
    return kind == TimeFeatures::Fourier ? 4 : 7;
}

std::vector<TensorShape> expertTensors(const ModelDescription& model, int index) {
    const ExpertDescription& expert = model.experts[static_cast<std::size_t>(index)];
    TensorList list(index);
    if (expert.architecture == ExpertDescription::Architecture::Mlp)
        addMlp(list, model, expert);
    else
        addGraphTransformer(list, model, expert);
    return std::move(list.tensors);
}

void checkTensors(const ModelDescription& model, const ModelFile& file) {
    const std::string start = file.getOrigin() + ": tensor ";
    std::set<std::string> expected;
    for (int k = 0; k < static_cast<int>(model.experts.size()); k++) {
        for (TensorShape& tensor : expertTensors(model, k)) {
            auto found = file.getTensors().find(tensor.name);
            if (found == file.getTensors().end())
                throw ModelFileError(start + inQuotes(tensor.name) + ": is missing, experts[" +
                                     std::to_string(k) + "] needs it with shape " + shapeText(tensor.shape));
            if (found->second.shape != tensor.shape)
                throw ModelFileError(start + inQuotes(tensor.name) + ": has shape " +
                                     shapeText(found->second.shape) + ", experts[" + std::to_string(k) +
                                     "] needs " + shapeText(tensor.shape));
            expected.insert(std::move(tensor.name));
        }
    }
    for (const auto& item : file.getTensors())
        if (expected.count(item.first) == 0)
            throw ModelFileError(start + inQuotes(item.first) +
                                 ": is superfluous, no expert has a tensor of this name");
}

} // namespace OpenMMScore

#include "openmmscore/models/Network.h"

#include "GraphTransformer.h"
#include "Mlp.h"

namespace OpenMMScore {

std::unique_ptr<Network> Network::create(const ModelDescription& model, int index,
                                         const std::vector<std::vector<double>>& tensors) {
    if (model.experts[index].architecture == ExpertDescription::Architecture::Mlp)
        return std::make_unique<Mlp>(model, index, tensors);
    return std::make_unique<GraphTransformer>(model, index, tensors);
}

} // namespace OpenMMScore

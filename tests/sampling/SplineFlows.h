#ifndef OPENMMSCORE_TESTS_SPLINEFLOWS_H_
#define OPENMMSCORE_TESTS_SPLINEFLOWS_H_

#include <algorithm>
#include <memory>
#include <string>

#include "Proposals.h"
#include "openmmscore/sampling/SplineFlowProposal.h"

namespace OpenMMScore::testing {

/** @return tensors for a flow: weights of any sign, masked where they must be */
inline SplineFlow::Tensors anyTensors(const SplineFlowDescription& description, double strength = 1) {
    Filler filler;
    SplineFlow::Tensors tensors;
    for (const auto& [name, shape] : splineFlowTensors(description)) {
        std::size_t size = 1;
        for (std::int64_t each : shape)
            size *= static_cast<std::size_t>(each);
        std::vector<double>& values = tensors[name];
        if (name == "scale")
            values = anyNumbers(filler, size, 0.05, 0.3);
        else if (name.ends_with("norm.weight"))
            values = anyNumbers(filler, size, 0.3, 1);
        else if (name.ends_with(".weight"))
            values = anyNumbers(filler, size, 2 * strength / std::sqrt(static_cast<double>(shape[1])));
        else
            values = anyNumbers(filler, size, name.ends_with("shift") ? 2 : 0.5 * strength);
        const std::size_t dot = name.find(".linear.");
        if (dot != name.npos && name.ends_with(".weight")) {
            const std::size_t layer = std::stoul(name.substr(7)), linear = std::stoul(name.substr(dot + 8));
            const auto mask = splineFlowMask(description, layer, linear);
            for (std::size_t i = 0; i < size; i++)
                values[i] *= mask[i];
        }
    }
    for (int i = 0; i < description.dimension; i++) {
        const auto kind = description.getKind(i);
        const auto at = static_cast<std::size_t>(i);
        if (kind == SplineFlowDescription::Kind::Circular)
            tensors["scale"][at] = 1;
        if (description.trainableBase && kind != SplineFlowDescription::Kind::Real)
            tensors["base.location"][at] = tensors["base.log_scale"][at] = 0;
    }
    return tensors;
}

/** Couplings that take turns with each other, or autoregressive layers of opposite orders. */
inline SplineFlowDescription anyFlow(int dimension, bool autoregressive, std::vector<int> circular = {},
                                     std::vector<int> box = {}) {
    SplineFlowDescription description;
    description.dimension = dimension;
    description.circular = std::move(circular);
    description.box = std::move(box);
    description.bins = 5;
    description.bound = 3;
    description.trainableBase = true;
    using Layer = SplineFlowDescription::Layer;
    for (int l = 0; l < 3; l++) {
        Layer layer;
        layer.type = autoregressive ? Layer::Type::Autoregressive : Layer::Type::Coupling;
        for (int i = 0; i < dimension; i++)
            if (autoregressive || i % 2 == l % 2 || dimension == 1)
                layer.transformed.push_back(l % 2 == 0 ? i : dimension - 1 - i);
        if (!autoregressive)
            for (int& i : layer.transformed)
                i = std::min(i, dimension - 1);
        layer.hidden = l == 1 ? std::vector<int>{7, 7, 7} : std::vector<int>{9, 6};
        layer.network =
            l == 1 ? SplineFlowDescription::Network::Residual : SplineFlowDescription::Network::Plain;
        layer.activation = l == 0   ? SplineFlowDescription::Activation::Tanh
                           : l == 1 ? SplineFlowDescription::Activation::ReLU
                                    : SplineFlowDescription::Activation::SiLU;
        description.layers.push_back(layer);
    }
    return description;
}

/** The same with transformers, which attend with 1 to 3 heads. */
inline SplineFlowDescription withTransformers(SplineFlowDescription description) {
    for (std::size_t l = 0; l < description.layers.size(); l++) {
        SplineFlowDescription::Layer& layer = description.layers[l];
        layer.network = SplineFlowDescription::Network::Transformer;
        layer.hidden.assign(l == 2 ? 1 : 2, l == 0 ? 6 : 9);
        layer.heads = l == 0 ? 2 : l == 1 ? 3 : 1;
        layer.feedForward = l == 0 ? 10 : 7;
    }
    return description;
}

inline std::shared_ptr<SplineFlowProposal> splineFlow(int count, Proposal::Frame frame, bool autoregressive,
                                                      std::vector<int> circular = {},
                                                      std::vector<int> box = {}, double strength = 1,
                                                      bool transformers = false) {
    SplineFlowDescription description = anyFlow(FrameCoordinates(count, frame).getDimension(), autoregressive,
                                                std::move(circular), std::move(box));
    if (transformers)
        description = withTransformers(description);
    return std::make_shared<SplineFlowProposal>(count, frame, description, anyTensors(description, strength));
}

/**
 * A chain of up to four atoms, the fifth a branch, with bonds of about 0.14 nm and angles of about 90
 * degrees. The chain's torsion is circular, the branch's is not.
 */
inline std::shared_ptr<SplineFlowProposal> internalFlow(int numAtoms = 4, double strength = 1) {
    std::vector<ZMatrixRow> rows = {
        {1, -1, -1, -1}, {2, 1, -1, -1}, {0, 1, 2, -1}, {3, 2, 1, 0}, {4, 2, 1, 0}};
    std::vector<double> centres = {std::nan(""), 2};
    rows.resize(static_cast<std::size_t>(numAtoms));
    centres.resize(static_cast<std::size_t>(numAtoms) - 3);
    const FlowCoordinates coordinates(rows, centres);
    const SplineFlowDescription description =
        anyFlow(coordinates.getDimension(), false, coordinates.getCircular());
    SplineFlow::Tensors tensors = anyTensors(description, strength);
    for (std::size_t i = 0; i < static_cast<std::size_t>(numAtoms) - 1; i++)
        tensors["location"][i] = -2;
    return std::make_shared<SplineFlowProposal>(coordinates, description, tensors);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_SPLINEFLOWS_H_
